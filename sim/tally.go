package sim

import (
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/cloud"
)

// Tally keeps the books of a run from outside: what each agent said it had
// accepted, which the simulator holds against the city's store at the end, and
// when a button was pressed and its alarm was seen.
type Tally struct {
	mu       sync.Mutex
	accepted map[stream]map[uint64]struct{}
	count    int
	presses  map[longan.DeviceID][]press // not seen by the city yet
	pressed  int
	seen     map[alarmID]bool
	latency  []time.Duration // of presses with the link up
	late     []time.Duration // of presses with the link down
	stored   int             // alarms.raised that the live feed showed
}

type stream struct {
	device longan.DeviceID
	epoch  string
	lane   string
}

type alarmID struct {
	stream
	seq uint64
}

// NewTally returns empty books.
func NewTally() *Tally {
	return &Tally{
		accepted: map[stream]map[uint64]struct{}{},
		presses:  map[longan.DeviceID][]press{},
		seen:     map[alarmID]bool{},
	}
}

// LogLine takes a line of an agent's log (JSON, debug level). The agent writes
// one for every event after it is on disk, so a killed agent can have accepted
// one more event than the books show, never one less.
func (t *Tally) LogLine(device longan.DeviceID, line []byte) {
	var l struct {
		Msg, Epoch, Lane string
		Seq              uint64
		Durable          bool
	}
	if json.Unmarshal(line, &l) != nil || l.Msg != "accepted" || !l.Durable || l.Seq == 0 {
		return
	}
	t.Accept(device, l.Epoch, l.Lane, l.Seq)
}

// Accept notes that an agent has an event on disk.
func (t *Tally) Accept(device longan.DeviceID, epoch, lane string, seq uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := stream{device, epoch, lane}
	if t.accepted[s] == nil {
		t.accepted[s] = map[uint64]struct{}{}
	}
	if _, had := t.accepted[s][seq]; !had {
		t.accepted[s][seq] = struct{}{}
		t.count++
	}
}

// Accepted returns how many events the agents have accepted.
func (t *Tally) Accepted() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.count
}

// Alarms returns how many raised alarms the city's live feed has shown.
func (t *Tally) Alarms() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stored
}

// press is a press of a panic button.
type press struct {
	at       time.Time
	linkDown bool
}

// Press notes that a panic button was pressed, and whether the city could hear
// it at all.
func (t *Tally) Press(device longan.DeviceID, at time.Time, linkDown bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pressed++
	t.presses[device] = append(t.presses[device], press{at, linkDown})
}

// Pressed returns how many presses of a device the city has not seen.
func (t *Tally) Pressed(device longan.DeviceID) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.presses[device])
}

// Seen notes that the city's live feed showed an alarm event, and reports
// whether it is new: a feed that resumes shows some events again.
func (t *Tally) Seen(device longan.DeviceID, epoch string, seq uint64, typ string, at time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	id := alarmID{stream{device, epoch, longan.Alarm.String()}, seq}
	if t.seen[id] {
		return false
	}
	t.seen[id] = true
	if typ != longan.AlarmRaised {
		return true
	}
	t.stored++
	if p := t.presses[device]; len(p) > 0 {
		took := at.Sub(p[0].at)
		if p[0].linkDown {
			t.late = append(t.late, took)
		} else {
			t.latency = append(t.latency, took)
		}
		t.presses[device] = p[1:]
	}
	return true
}

// Behind returns the streams of which the city has acknowledged less than the
// agents have accepted, given what it has acknowledged.
func (t *Tally) Behind(acked func(device longan.DeviceID, epoch, lane string) uint64) (streams int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for s, seqs := range t.accepted {
		for seq := range seqs {
			if seq > acked(s.device, s.epoch, s.lane) {
				streams++
				break
			}
		}
	}
	return streams
}

// Report is the result of a run.
type Report struct {
	Centers    int          `json:"centers"`
	Accepted   int          `json:"accepted"`
	Stored     int          `json:"stored"`
	Lost       int          `json:"lost"`
	Duplicated int          `json:"duplicated"`
	OutOfOrder int          `json:"out_of_order"`
	Alarms     int          `json:"alarms"`
	AlarmMS    Milliseconds `json:"alarm_ms"`      // button to live feed, pressed with the link up
	LateMS     Milliseconds `json:"late_alarm_ms"` // pressed with the link down
	Presses    int          `json:"presses"`
	Unseen     int          `json:"presses_unseen"`
	Holes      int          `json:"holes"`
	Kills      int          `json:"kills"`
	CloudKills int          `json:"cloud_kills"`
	LinkDrops  int          `json:"link_drops"`
	Seconds    float64      `json:"seconds"`
	Full       *FullReport  `json:"full,omitempty"` // of a center with everything
}

// Milliseconds are a distribution's median, 99th percentile and worst.
type Milliseconds struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// OK reports whether nothing went wrong that the system promises.
func (r *Report) OK() bool {
	return r.Lost == 0 && r.Duplicated == 0 && r.OutOfOrder == 0 && r.Holes == 0 && r.Accepted > 0 && (r.Full == nil || r.Full.OK())
}

// Close holds the books against the audited store.
//
// Lost counts accepted events that the store does not have; duplicated, events
// it has more than once; out of order, streams whose events were not stored in
// the order of their numbers, or have a gap in the middle.
func (t *Tally) Close(r *Report, streams []cloud.StreamAudit) {
	t.mu.Lock()
	defer t.mu.Unlock()
	have := map[stream]cloud.StreamAudit{}
	for _, a := range streams {
		have[stream{a.Device, a.Epoch, a.Lane.String()}] = a
		r.Stored += int(a.Count)
		r.Holes += int(a.Lost)
		if !a.InOrder || !a.Contiguous {
			r.OutOfOrder++
		}
		if a.Count > a.Max {
			r.Duplicated += int(a.Count - a.Max)
		}
	}
	logged := 0 // of what is stored
	for s, seqs := range t.accepted {
		a := have[s]
		for seq := range seqs {
			if seq <= a.Max {
				logged++
			} else {
				r.Lost++
			}
		}
		if missing := int(a.Max) - int(a.Count); missing > 0 { // a gap in the middle
			r.Lost += missing
			logged -= missing
		}
	}
	r.Accepted = t.count + max(0, r.Stored-logged) // see LogLine: what is stored was accepted
	r.Alarms, r.Presses = t.stored, t.pressed
	for _, p := range t.presses {
		r.Unseen += len(p)
	}
	r.AlarmMS, r.LateMS = distribution(t.latency), distribution(t.late)
}

func distribution(d []time.Duration) Milliseconds {
	if len(d) == 0 {
		return Milliseconds{}
	}
	d = slices.Clone(d)
	slices.Sort(d)
	at := func(q float64) float64 {
		return float64(d[min(len(d)-1, int(q*float64(len(d))))].Microseconds()) / 1000
	}
	return Milliseconds{P50: at(0.50), P99: at(0.99), Max: at(1)}
}

// marks returns how far every stream has been accepted.
func (t *Tally) marks() map[stream]uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	marks := make(map[stream]uint64, len(t.accepted))
	for s, seqs := range t.accepted {
		for seq := range seqs {
			marks[s] = max(marks[s], seq)
		}
	}
	return marks
}
