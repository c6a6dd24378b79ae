package live

import (
	"cmp"
	"slices"
	"time"

	"github.com/longan-edge/longan"
)

// Bounds of what is remembered of refusals, whoever floods the city.
const (
	refusedDevices = 500 // with refusals remembered, besides those without a device
	refusedReasons = 16  // of one device
	refusedKept    = 10 * time.Minute
	refusedShown   = 5 * time.Second // between two changes of a center for refusals alone
)

// Where something was refused.
const (
	AtBroker = "broker" // a connection, a topic to publish to, a subscription
	AtIngest = "ingest" // a message
	AtView   = "view"   // a status of a second board with the same id
)

// Refusal is what the city did not take from a device, counted by reason since
// the city's start.
type Refusal struct {
	Device longan.DeviceID `json:"device,omitempty"` // "": not known, or too many to tell apart
	At     string          `json:"at"`               // broker, ingest or view
	Reason string          `json:"reason"`
	Detail string          `json:"detail,omitempty"` // of the last one
	Count  uint64          `json:"count"`
	First  time.Time       `json:"first"`
	Last   time.Time       `json:"last"`
}

// refusalBook holds the refusals. The view's mutex guards it.
type refusalBook struct {
	of    map[longan.DeviceID]*refused
	dirty map[longan.DeviceID]bool // not shown yet
	shown time.Time
	full  time.Time // until then no device is old enough to be forgotten
}

type refused struct {
	last time.Time
	all  []Refusal
}

// ApplyRefusal counts something that was refused. Of a device that is none, or
// when too many devices are refused at once, it is counted without a device.
func (v *View) ApplyRefusal(device longan.DeviceID, at, reason, detail string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.refuse(device, at, reason, detail, v.cfg.Now())
}

// refuse is ApplyRefusal while v.mu is held.
func (v *View) refuse(device longan.DeviceID, at, reason, detail string, now time.Time) {
	b := &v.refusals
	if _, err := longan.ParseDeviceID(string(device)); err != nil {
		device = ""
	}
	r := b.of[device]
	if r == nil && device != "" && len(b.of) > refusedDevices && !b.forget(now) {
		device, r = "", b.of[""]
	}
	if r == nil {
		r = &refused{}
		b.of[device] = r
	}
	r.last = now
	i := slices.IndexFunc(r.all, func(x Refusal) bool { return x.At == at && x.Reason == reason })
	if i < 0 && len(r.all) >= refusedReasons {
		i = len(r.all) - 1
	}
	if i < 0 {
		r.all = append(r.all, Refusal{Device: device, At: at, Reason: clip(reason), First: now})
		i = len(r.all) - 1
	}
	x := &r.all[i]
	x.Count, x.Last, x.Detail = x.Count+1, now, clip(detail)
	b.dirty[device] = true
}

// forget drops the device that was refused longest ago, if that is long ago. A
// flood makes it look once, not every time.
func (b *refusalBook) forget(now time.Time) bool {
	if now.Before(b.full) {
		return false
	}
	var oldest longan.DeviceID
	for d, r := range b.of {
		if d != "" && (oldest == "" || r.last.Before(b.of[oldest].last)) {
			oldest = d
		}
	}
	if oldest == "" {
		return false
	}
	if b.full = b.of[oldest].last.Add(refusedKept); now.Before(b.full) {
		return false
	}
	delete(b.of, oldest)
	return true
}

// showRefusals tells of centers that have new refusals, now and then.
func (v *View) showRefusals(now time.Time) {
	b := &v.refusals
	if len(b.dirty) == 0 || now.Sub(b.shown) < refusedShown {
		return
	}
	for d := range b.dirty {
		if c := v.centers[d]; c != nil {
			v.changed(c)
		}
	}
	clear(b.dirty)
	b.shown = now
}

// Refusals returns what was refused since the city's start, the latest first.
func (v *View) Refusals() []Refusal {
	v.mu.Lock()
	defer v.mu.Unlock()
	out := []Refusal{}
	for _, r := range v.refusals.of {
		out = append(out, r.all...)
	}
	slices.SortFunc(out, func(a, b Refusal) int {
		return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.Device, b.Device), cmp.Compare(a.At+a.Reason, b.At+b.Reason))
	})
	return out
}

// refusalsOf returns those of one device of the last hour, the latest first. v.mu
// is held.
func (b *refusalBook) refusalsOf(d longan.DeviceID, now time.Time) []Refusal {
	r := b.of[d]
	if r == nil || now.Sub(r.last) > time.Hour {
		return nil
	}
	out := slices.DeleteFunc(slices.Clone(r.all), func(x Refusal) bool { return now.Sub(x.Last) > time.Hour })
	slices.SortStableFunc(out, func(x, y Refusal) int { return y.Last.Compare(x.Last) })
	return out
}
