package live

import (
	"time"

	"github.com/longan-edge/longan"
)

// center is what the view knows of one device. The view's mutex guards it.
type center struct {
	device longan.DeviceID
	place  longan.Township // zero when the code is not known
	rev    uint64

	state State
	cause Cause
	since time.Time // at the city

	// The last live status, or the retained one while live is false.
	live    bool // a live status was heard since the city's start
	heard   time.Time
	session string
	n       uint64
	epoch   string
	boot    string
	mono    time.Duration // of the board, at the time anchor of the city
	anchor  time.Time
	clock   string
	board   time.Time // the board's own wall time at heard
	name    string
	version string
	backlog map[longan.Lane]uint64

	past      []pastSession  // sessions that count no more
	candidate *longan.Status // retained by the broker, of a session not yet heard live

	full        bool // points and peripherals come from a status
	fullAt      time.Time
	fullSession string
	fullN       uint64
	fullBoot    string
	fullMono    time.Duration
	unsettled   bool      // the age of the full status is not known yet: it was retained
	writtenAt   time.Time // of an unsettled one, at the board; zero when its clock can't tell
	missed      uint64    // the highest number of the session that did not come since; 0 is none
	bridged     bool      // of the numbers up to the next word, none is a full status
	asOf        time.Time // up to then the board vouches for its points
	points      map[string]*point
	peripherals map[string]*peripheral
	streams     []streamSet

	bases          []base     // of the latest boots
	boots          []bootWord // heard live, in the order of their first word
	conflict       *conflict
	eventConflicts EventConflicts
}

type point struct {
	longan.PointStatus
	last   longan.PointState // the last state that was not Unknown
	readAt time.Time         // of the last good reading by the city's clock; zero is never or not known
	silent bool              // readAt is too long ago to tell about now
	boot   string            // this is known from that boot of the board …
	mono   time.Duration     // … at that time
}

type peripheral struct {
	longan.PeripheralStatus
	readAt time.Time
}

func newCenter(d longan.DeviceID, now time.Time) *center {
	place, _ := longan.LookupTownship(d.Township())
	return &center{device: d, place: place, state: Unknown, cause: CauseNever, since: now,
		points: map[string]*point{}, peripherals: map[string]*peripheral{}}
}

// become sets the state and reports whether that is a change.
func (c *center) become(s State, cause Cause, since time.Time) bool {
	if c.state == s && c.cause == cause {
		return false
	}
	if c.state != s {
		c.since = since
	}
	c.state, c.cause = s, cause
	return true
}

// silence lets readings grow old and reports whether one just became too old: a
// board that only gives signs of life tells nothing about its points.
func (c *center) silence(now time.Time, after time.Duration) bool {
	changed := false
	for _, p := range c.points {
		silent := !p.readAt.IsZero() && now.Sub(p.readAt) >= after
		changed = changed || silent != p.silent
		p.silent = silent
	}
	return changed
}

// supersede makes session the known one.
func (c *center) supersede(session string) {
	if c.session != "" && c.session != session {
		c.bury(c.session, c.boot)
	}
	if c.session != session {
		// A heartbeat alone does not tell of which boot it is, nor whether the
		// clock is what it was.
		c.n, c.missed, c.bridged, c.boot, c.board = 0, 0, false, "", time.Time{}
	}
	c.session = session
}

// absorb takes the points and peripherals of a full status that was received
// at now, and reports whether anything but ages changed.
func (c *center) absorb(s *longan.Status, now time.Time) bool {
	changed := !c.full || len(s.Points) != len(c.points) || len(s.Peripherals) != len(c.peripherals)
	points := make(map[string]*point, len(s.Points))
	for name, ps := range s.Points {
		p := &point{PointStatus: ps, last: ps.State, boot: s.Boot, mono: s.Mono}
		old := c.points[name]
		if old != nil && ps.State == longan.Unknown {
			p.last = old.last
		}
		if ps.Age >= 0 {
			p.readAt = now.Add(-ps.Age)
		} else if old != nil && ps.State == longan.Unknown {
			p.readAt = old.readAt
		}
		if old != nil && old.boot != "" && old.boot == s.Boot && old.mono > s.Mono {
			// An event overtook this status: what it told is younger.
			p.State, p.Since, p.Detail, p.last = old.State, old.Since, old.Detail, old.last
			p.readAt, p.mono = old.readAt, old.mono
		}
		points[name] = p
		changed = changed || old == nil || !samePoint(old, p)
	}
	peripherals := make(map[string]*peripheral, len(s.Peripherals))
	for name, ps := range s.Peripherals {
		p := &peripheral{PeripheralStatus: ps}
		old := c.peripherals[name]
		if ps.Age >= 0 {
			p.readAt = now.Add(-ps.Age)
		} else if old != nil {
			p.readAt = old.readAt
		}
		peripherals[name] = p
		changed = changed || old == nil || !samePeripheral(old, p)
	}
	c.points, c.peripherals, c.full = points, peripherals, true
	c.fullAt, c.fullSession, c.fullN, c.fullBoot, c.fullMono = now, s.Session, s.N, s.Boot, s.Mono
	return changed
}

func samePoint(a, b *point) bool {
	x, y := a.PointStatus, b.PointStatus
	x.Age, y.Age = 0, 0
	return x.Since.Equal(y.Since) && a.last == b.last &&
		x.State == y.State && x.Kind == y.Kind && x.Label == y.Label && x.Peripheral == y.Peripheral && x.Detail == y.Detail
}

func samePeripheral(a, b *peripheral) bool {
	x, y := a.PeripheralStatus, b.PeripheralStatus
	x.Age, y.Age = 0, 0
	return x == y
}

// settle corrects the ages of a retained full status once a live word of the
// same session tells how long ago it was written.
func (c *center) settle(s *longan.Status, now time.Time) {
	if !c.unsettled || s.Session != c.fullSession {
		return
	}
	c.unsettled = false
	written := now.Add(c.fullMono - s.Mono)
	shift := min(0, written.Sub(c.fullAt))
	for _, p := range c.points {
		if !p.readAt.IsZero() && p.mono == c.fullMono {
			p.readAt = p.readAt.Add(shift)
		}
	}
	for _, p := range c.peripherals {
		if !p.readAt.IsZero() {
			p.readAt = p.readAt.Add(shift)
		}
	}
	c.fullAt = c.fullAt.Add(shift)
	c.asOf = c.fullAt
}

// happened returns when an event of the board happened by the city's clock.
// The board's monotonic clock is preferred; its wall clock counts unless it is
// only a lower bound.
func (c *center) happened(e *longan.Event) (time.Time, bool) {
	if c.live && e.Boot != "" && e.Boot == c.boot && !c.anchor.IsZero() {
		return c.anchor.Add(e.Mono - c.mono), true
	}
	if e.Time.IsZero() || e.Clock == longan.ClockFloor {
		return time.Time{}, false
	}
	return e.Time, true
}
