package live

import (
	"cmp"
	"context"
	"slices"

	"github.com/longan-edge/longan"
)

// ChangeKind is what a Change tells, the least first.
type ChangeKind uint8

// The kinds of change.
const (
	ChangeHeard    ChangeKind = iota // a center spoke; only Heard moved
	ChangeAges                       // ages of readings were renewed, nothing else
	ChangeCenter                     // anything else about a center: fetch it
	ChangeAlarm                      // an alarm was raised or restored
	ChangeIncident                   // an incident began, changed or ended
	ChangeResync                     // changes were dropped: fetch a Snapshot
)

// Change is one notification. Several of one center coalesce into one.
type Change struct {
	Kind     ChangeKind
	Device   longan.DeviceID // of ChangeHeard, ChangeAges, ChangeCenter
	Alarm    Alarm           // of ChangeAlarm
	Incident *Incident       // of ChangeIncident, as it is now
}

// DefaultQueue bounds the changes that wait for one subscriber.
const DefaultQueue = 1024

// Subscription is a bounded queue of changes for one client. A client that
// does not take them loses them and gets one ChangeResync instead; it never
// holds up the view.
type Subscription struct {
	view  *View
	ready chan struct{}
	limit int
	stop  func()

	// The view's mutex guards these, so that Take sees all of a call that
	// folds something into the view, or nothing of it.
	marks     map[longan.DeviceID]ChangeKind
	alarms    []Alarm
	incidents bool // some changed after told
	told      uint64
	resync    bool
	rev       uint64
}

// Subscribe returns the changes from now on, until ctx ends or Close is called.
func (v *View) Subscribe(ctx context.Context) *Subscription {
	s := &Subscription{view: v, ready: make(chan struct{}, 1), limit: DefaultQueue, marks: map[longan.DeviceID]ChangeKind{}}
	v.mu.Lock()
	s.rev, s.told = v.rev, v.rev
	v.subs[s] = struct{}{}
	v.mu.Unlock()
	remove := func() {
		v.mu.Lock()
		delete(v.subs, s)
		v.mu.Unlock()
	}
	cancel := context.AfterFunc(ctx, remove)
	s.stop = func() {
		cancel()
		remove()
	}
	return s
}

// Close ends the subscription.
func (s *Subscription) Close() { s.stop() }

// Ready delivers a value when there is something to Take.
func (s *Subscription) Ready() <-chan struct{} { return s.ready }

// Take returns what changed since the last Take, alarms first and in order, then
// incidents, and the revision of the view up to which that is everything. It does not
// wait.
func (s *Subscription) Take() (changes []Change, rev uint64) {
	s.view.mu.Lock()
	defer s.view.mu.Unlock()
	if s.resync {
		changes = append(changes, Change{Kind: ChangeResync})
	}
	for i := range s.alarms {
		changes = append(changes, Change{Kind: ChangeAlarm, Device: s.alarms[i].Device, Alarm: s.alarms[i]})
	}
	if s.incidents {
		for _, in := range s.view.exportIncidents(s.told) {
			changes = append(changes, Change{Kind: ChangeIncident, Incident: &in})
		}
	}
	centers := len(changes)
	for d, kind := range s.marks {
		changes = append(changes, Change{Kind: kind, Device: d})
	}
	slices.SortFunc(changes[centers:], func(a, b Change) int { return cmp.Compare(a.Device, b.Device) })
	s.alarms, s.incidents, s.resync, s.told = nil, false, false, s.view.rev
	clear(s.marks)
	return changes, s.rev
}

func (s *Subscription) mark(d longan.DeviceID, kind ChangeKind, rev uint64) {
	s.put(rev, func() { s.marks[d] = max(s.marks[d], kind) })
}

func (s *Subscription) alarm(a Alarm, rev uint64) {
	s.put(rev, func() { s.alarms = append(s.alarms, a) })
}

func (s *Subscription) incident(rev uint64) {
	s.put(rev, func() { s.incidents = true })
}

// put adds to the queue, or drops all of it when it is full. The view's mutex is
// held. After a resync nothing is queued until the client has taken it: the snapshot tells it all.
func (s *Subscription) put(rev uint64, add func()) {
	s.rev = rev
	if !s.resync {
		add()
		if len(s.marks)+len(s.alarms) > s.limit {
			clear(s.marks)
			s.alarms, s.incidents, s.resync = nil, false, true
		}
	}
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

// Delta is what changed since a revision.
type Delta struct {
	Rev       uint64
	Centers   []Center   // as they are now
	Alarms    []Alarm    // the events, in order
	Incidents []Incident // as they are now
}

// Since returns what changed after rev of the named instance. It reports false
// when it can't tell, and the client needs a Snapshot.
func (v *View) Since(instance string, rev uint64) (Delta, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := v.cfg.Now()
	v.age(now)
	if instance != v.cfg.Instance || rev > v.rev || rev < max(v.alarms.lost, v.incidents.gone) {
		return Delta{}, false
	}
	d := Delta{Rev: v.rev, Incidents: v.exportIncidents(rev)}
	for _, c := range v.centers {
		if c.rev > rev {
			d.Centers = append(d.Centers, v.export(c, now))
		}
	}
	slices.SortFunc(d.Centers, func(a, b Center) int { return cmp.Compare(a.Device, b.Device) })
	for _, a := range v.alarms.recent {
		for _, n := range []*notice{&a.raised, a.restored} {
			if n != nil && n.rev > rev && (n == &a.raised || a.by != BySuperseded) {
				d.Alarms = append(d.Alarms, a.export(v.centers[a.key.device], n))
			}
		}
	}
	slices.SortFunc(d.Alarms, func(a, b Alarm) int { return cmp.Compare(a.Rev, b.Rev) })
	return d, true
}
