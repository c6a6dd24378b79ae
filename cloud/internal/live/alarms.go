package live

import (
	"time"

	"github.com/longan-edge/longan"
)

// alarmBook holds the open alarms and the recent ones. The view's mutex guards
// it.
type alarmBook struct {
	open   map[alarmKey]*alarm
	count  map[longan.DeviceID]int // of open by device
	recent []*alarm                // by arrival, oldest first; at most recentAlarms
	rested map[alarmKey]notice     // the last alarm.restored of each; a cause may be ""
	seen   map[eventKey]struct{}
	order  []eventKey // of seen, oldest first
	lost   uint64     // the highest revision that Since can no longer tell
}

// alarmKey is what a restored event closes.
type alarmKey struct {
	device longan.DeviceID
	point  string
	cause  string
}

// eventKey names an event for ever.
type eventKey struct {
	device longan.DeviceID
	epoch  string
	lane   longan.Lane
	seq    uint64
}

// follows reports whether k is a later event than other. Of different streams
// nobody can tell.
func (k eventKey) follows(other eventKey) bool {
	return k.device == other.device && k.epoch == other.epoch && k.lane == other.lane && k.seq > other.seq
}

type alarm struct {
	key      alarmKey
	raised   notice
	restored *notice // nil while open
	by       string  // what restored it: ByEvent, ByStatus
	label    string  // the point's label when it was last known
	kind     string
}

// notice is one event of an alarm.
type notice struct {
	key      eventKey
	typ      string
	time     time.Time // at the board
	clock    string
	boot     string
	mono     time.Duration
	received time.Time
	late     bool
	rev      uint64

	corrected      time.Time // by a better clock of the same boot; zero is none
	correctedClock string
}

// maxRested bounds the restored events that are remembered, and maxOpen the alarms
// of one device: no board has so many points.
const (
	maxRested = 20_000
	maxOpen   = 2 * longan.MaxPoints
)

// maxSeen bounds the memory of alarm events that were applied.
const maxSeen = 16 * recentAlarms

// first reports whether the event was not seen before, and remembers it.
func (b *alarmBook) first(k eventKey) bool {
	if _, ok := b.seen[k]; ok {
		return false
	}
	b.seen[k] = struct{}{}
	b.order = append(b.order, k)
	if len(b.order) > maxSeen {
		delete(b.seen, b.order[0])
		b.order = b.order[1:]
	}
	return true
}

// applyAlarm folds an alarm event. v.mu is held.
func (v *View) applyAlarm(c *center, stored *Stored) {
	e, received := &stored.Event, stored.Received
	key := eventKey{e.Device, e.Epoch, e.Lane, e.Seq}
	if !v.alarms.first(key) {
		return
	}
	n := notice{key: key, typ: e.Type, time: e.Time, clock: e.Clock, boot: e.Boot, mono: e.Mono, received: received,
		corrected: stored.Corrected, correctedClock: stored.CorrectedClock}
	if at, clock := c.correct(e.Boot, e.Clock, e.Time, e.Mono); qualityOf(clock) > qualityOf(n.correctedClock) {
		n.corrected, n.correctedClock = at, clock
	}
	if !n.corrected.IsZero() {
		n.late = received.Sub(n.corrected) > lateAfter
	} else if at, ok := c.happened(e); ok {
		n.late = received.Sub(at) > lateAfter
	}
	v.changed(c) // its count of open alarms changes
	n.rev = v.rev
	cause := clip(data(e).Cause)
	if e.Type == longan.AlarmRaised {
		v.raise(c, alarmKey{e.Device, e.Point, cause}, n)
		return
	}
	if k := (alarmKey{e.Device, e.Point, cause}); !v.alarms.rested[k].key.follows(key) {
		if len(v.alarms.rested) >= maxRested {
			clear(v.alarms.rested) // of boards that invent points
		}
		v.alarms.rested[k] = n
	}
	closed := false
	for k, a := range v.alarms.open {
		if a.raised.key.follows(key) {
			continue // raised again since: this comes late, after a batch was lost
		}
		if k.device == e.Device && k.point == e.Point && (cause == "" || k.cause == "" || k.cause == cause) {
			v.restore(c, a, n, ByEvent)
			closed = true
		}
	}
	if !closed { // its raise is lost or was never stored
		a := &alarm{key: alarmKey{e.Device, e.Point, cause}, raised: n, restored: &n, by: ByEvent}
		v.alarms.lost = max(v.alarms.lost, n.rev)
		v.tell(c, a, n)
	}
}

// raise opens an alarm, unless it comes late, after a batch was lost on its way,
// and what followed it is known.
func (v *View) raise(c *center, k alarmKey, n notice) {
	a := &alarm{key: k, raised: n}
	if p := c.points[k.point]; p != nil {
		a.label, a.kind = p.Label, p.Kind
	}
	old := v.alarms.open[k]
	if rest, ok := v.alarms.restOf(k, n.key); ok {
		a.restored, a.by = &rest, ByEvent
	} else if old != nil && old.raised.key.follows(n.key) {
		a.restored, a.by = &old.raised, BySuperseded
	} else if old == nil && v.alarms.count[k.device] >= maxOpen {
		v.cfg.Log.Warn("ignored alarm of a board that has too many open", "device", k.device, "point", k.point)
		return
	} else {
		if old != nil {
			// Its restored event is in a hole, or in another epoch: the new one
			// takes its place.
			old.restored, old.by = &n, BySuperseded
		} else {
			v.alarms.count[k.device]++
		}
		v.alarms.open[k] = a
	}
	v.alarms.recent = append(v.alarms.recent, a)
	if len(v.alarms.recent) > recentAlarms {
		gone := v.alarms.recent[0]
		v.alarms.lost = max(v.alarms.lost, gone.raised.rev)
		if gone.restored != nil {
			v.alarms.lost = max(v.alarms.lost, gone.restored.rev)
		}
		v.alarms.recent = append([]*alarm(nil), v.alarms.recent[1:]...)
	}
	v.tell(c, a, n)
}

// restOf returns the restored event that followed the raise of an alarm.
func (b *alarmBook) restOf(k alarmKey, raise eventKey) (notice, bool) {
	for _, cause := range []string{k.cause, ""} {
		if rest := b.rested[alarmKey{k.device, k.point, cause}]; rest.key.follows(raise) {
			return rest, true
		}
	}
	return notice{}, false
}

func (v *View) restore(c *center, a *alarm, n notice, by string) {
	a.restored, a.by = &n, by
	delete(v.alarms.open, a.key)
	v.alarms.count[a.key.device]--
	if len(v.alarms.recent) > 0 && a.raised.rev < v.alarms.recent[0].raised.rev {
		v.alarms.lost = max(v.alarms.lost, n.rev) // no longer among the recent
	}
	v.tell(c, a, n)
}

// restoreByStatus closes the open alarms of an earlier epoch whose points are
// at rest now: the spool that held their restored events is gone for ever.
func (v *View) restoreByStatus(c *center, s *longan.Status, now time.Time) {
	if !s.Full || s.Epoch == "" {
		return
	}
	for k, a := range v.alarms.open {
		if k.device != c.device || a.raised.key.epoch == s.Epoch {
			continue
		}
		if p := c.points[k.point]; p != nil && p.State == longan.Normal && c.peripheralOK(p.Peripheral) {
			v.changed(c)
			n := notice{key: a.raised.key, typ: longan.AlarmRestored, time: s.Time, clock: s.Clock, received: now, rev: v.rev}
			v.restore(c, a, n, ByStatus)
		}
	}
}

// tell notifies the subscribers of an alarm's event.
func (v *View) tell(c *center, a *alarm, n notice) {
	for s := range v.subs {
		s.alarm(a.export(c, &n), v.rev)
	}
}

// clip bounds foreign text to what a label may be.
func clip(s string) string {
	if len(s) > longan.MaxLabel {
		return s[:longan.MaxLabel]
	}
	return s
}
