package live

import (
	"slices"
	"time"

	"github.com/longan-edge/longan"
)

// ApplyStatus folds a status into the view. retained is the MQTT retain flag of
// the delivery: the broker kept the status from before the subscription, so it
// proves nothing about now. The view keeps s; the caller must not change it. It
// reports whether s is refused because another board uses the same device id.
func (v *View) ApplyStatus(s *longan.Status, retained bool) (isClone bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := v.cfg.Now()
	c := v.center(s.Device, now)
	before, cause := c.state, c.cause
	var changed, aged bool
	if c.noteBase(s.Boot, s.Clock, s.Time, s.Mono) {
		v.correctAlarms(c, s.Boot)
	}
	said := take
	if !retained && s.State == longan.Online {
		said = c.assess(s, now)
	} else if slices.ContainsFunc(c.past, func(p pastSession) bool { return p.session == s.Session }) {
		said = drop
	}
	switch {
	case said == clone:
		v.refuse(c.device, AtView, longan.RefusedClone, "session "+s.Session, now)
		v.changed(c)
		return true
	case said == drop:
		v.cfg.Log.Debug("ignored status of a superseded session", "device", c.device, "session", s.Session)
		return false
	case s.State != longan.Online && s.State != longan.Offline:
		v.cfg.Log.Warn("ignored status with a state that this program does not know", "device", c.device, "status_state", s.State)
		return false
	case s.State == longan.Offline && retained && c.live && c.cause == CauseCityLink:
		return false // of a broker that went down, maybe: who has not come back soon is offline anyway
	case s.State == longan.Offline && (c.live || !retained):
		if s.Session != c.session {
			v.cfg.Log.Debug("ignored will of another session", "device", c.device, "session", s.Session)
			return false
		}
		changed = c.applyWill(s, now)
	case retained:
		changed = c.applyRetained(s, now)
	default:
		v.link.lastWord = now
		changed, aged = c.applyLive(s, now)
		if changed || aged {
			v.restoreByStatus(c, s, now)
		}
	}
	if c.state != before || c.cause != cause {
		v.moved(c, before, now)
	}
	switch {
	case changed:
		v.changed(c)
	case aged && s.Full:
		v.heard(c, ChangeAges)
	case aged:
		v.heard(c, ChangeHeard)
	}
	return false
}

// ApplySaved folds in a status that the city itself had kept, before its start.
// Unlike what a broker retained, it need not be the board's latest full one.
func (v *View) ApplySaved(s *longan.Status) {
	v.ApplyStatus(s, true)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.centers[s.Device].bridged = false
}

// applyWill takes a will, or the board's own goodbye, of the known session. A
// goodbye is a full status or a numbered one; a will is neither.
func (c *center) applyWill(s *longan.Status, now time.Time) bool {
	if !s.Full && s.N == 0 {
		return c.become(Offline, CauseWill, now)
	}
	c.n = max(c.n, s.N)
	changed := false
	if s.Full {
		changed = c.absorb(s, now)
		c.unsettled, c.asOf = false, now
	}
	return c.become(Offline, CauseLeft, now) || changed
}

// applyRetained takes what a broker had kept. It never touches the liveness of
// a center that was heard live.
func (c *center) applyRetained(s *longan.Status, now time.Time) bool {
	switch {
	case c.live && s.Session != c.session && c.superseded(s.Boot) != nil:
		return false // of a second board with this id, or of long ago
	case c.live && s.Session != c.session:
		c.candidate = s // the birth may have been missed; a heartbeat will tell
		return false
	case c.live && !s.Full:
		return false
	case c.live && s.N <= c.n:
		c.bridged = true // between this and the present come only heartbeats
		return c.applyLate(s)
	case c.live:
		c.n = s.N
		c.retained(s, now)
		return true
	}
	// Not superseded: two retained ones, of a broker and of the city's own
	// store, may come in either order.
	c.session, c.n = s.Session, s.N
	c.head(s)
	if s.Full {
		c.retained(s, now)
	}
	if s.State == longan.Offline {
		c.become(Unknown, CauseRetainedWill, now)
	} else {
		c.become(Unknown, CauseRetained, now)
	}
	return true
}

// retained takes a full status of which the next live word of its session will
// tell the age.
func (c *center) retained(s *longan.Status, now time.Time) bool {
	c.head(s)
	c.mono = s.Mono
	changed := c.absorb(s, now)
	c.unsettled, c.bridged, c.missed, c.writtenAt = true, true, 0, time.Time{}
	if s.Clock != longan.ClockFloor {
		c.writtenAt = s.Time
	}
	return changed
}

// applyLive takes a heartbeat or a full status that the board sent just now.
func (c *center) applyLive(s *longan.Status, now time.Time) (changed, aged bool) {
	switch {
	case s.Session != c.session:
		c.supersede(s.Session)
		if c.candidate != nil && c.candidate.Session == s.Session && c.candidate.Full {
			c.n = c.candidate.N
			changed = c.retained(c.candidate, now)
		}
		c.candidate = nil
	case c.live && s.N != 0 && s.N <= c.n:
		return c.applyLate(s), false // delivered twice, or late
	}
	if s.N > c.n+1 && !c.bridged {
		c.missed = s.N - 1
	}
	c.bridged = false
	changed = c.head(s) || changed
	c.n, c.live, c.heard = s.N, true, now
	c.mono, c.anchor = s.Mono, now
	if s.Full {
		changed = c.absorb(s, now) || changed
		c.unsettled, c.missed = false, 0
	} else {
		c.settle(s, now)
	}
	c.noteBoot(c.boot, s.Mono, now)
	c.vouch(now)
	return c.become(Online, CauseLive, now) || changed, true
}

// applyLate takes a full status that later words of its session have overtaken:
// they were heartbeats, and left out what this one tells.
func (c *center) applyLate(s *longan.Status) (changed bool) {
	if !s.Full || s.Session != c.session || c.anchor.IsZero() || (c.fullSession == s.Session && s.N <= c.fullN) {
		return false
	}
	mono, board := c.mono, s.Time
	changed = c.head(s)
	c.mono, c.board = mono, time.Time{}
	if !board.IsZero() {
		c.board = board.Add(mono - s.Mono)
	}
	changed = c.absorb(s, earlier(c.anchor, c.anchor.Add(s.Mono-mono))) || changed
	c.unsettled = false
	if s.N >= c.missed {
		c.missed = 0
	}
	c.vouch(c.anchor)
	return changed
}

// vouch notes that the board was heard at that time, and what it told of its
// points still stood: of every status since the last full one nothing is missing.
func (c *center) vouch(at time.Time) {
	if c.fullSession == c.session && c.missed == 0 && !c.unsettled {
		c.asOf = at
	}
}

// head takes what stands until the board says otherwise: a heartbeat leaves most
// of it out. It reports whether it shows.
func (c *center) head(s *longan.Status) (changed bool) {
	for _, f := range [...]struct {
		known *string
		said  string
	}{{&c.epoch, s.Epoch}, {&c.version, s.Version}, {&c.clock, s.Clock}, {&c.name, s.Name}} {
		if f.said != "" && f.said != *f.known {
			*f.known, changed = f.said, true
		}
	}
	if s.Boot != "" {
		c.boot = s.Boot
	}
	switch {
	case !s.Time.IsZero():
		c.board = s.Time
	case s.Mono > c.mono && !c.board.IsZero():
		c.board = c.board.Add(s.Mono - c.mono)
	}
	if s.State != longan.Online {
		return changed // a will has no backlog to tell of
	}
	backlog := map[longan.Lane]uint64{}
	for lane, n := range s.Backlog {
		if n > 0 {
			backlog[lane] = n
		}
	}
	if !sameBacklog(backlog, c.backlog) {
		c.backlog, changed = backlog, true
	}
	return changed
}

func sameBacklog(a, b map[longan.Lane]uint64) bool {
	for _, lane := range longan.Lanes {
		if a[lane] != b[lane] {
			return false
		}
	}
	return true
}
