package live

import (
	"maps"
	"slices"
	"time"

	"github.com/longan-edge/longan"
)

// ApplyStatus folds a status into the view. retained is the MQTT retain flag of
// the delivery: the broker kept the status from before the subscription, so it
// proves nothing about now. The view keeps s; the caller must not change it.
func (v *View) ApplyStatus(s *longan.Status, retained bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := v.cfg.Now()
	c := v.center(s.Device, now)
	before := c.state
	var changed, aged bool
	switch {
	case slices.Contains(c.past, s.Session):
		v.cfg.Log.Debug("ignored status of a superseded session", "device", c.device, "session", s.Session)
		return
	case s.State != longan.Online && s.State != longan.Offline:
		v.cfg.Log.Warn("ignored status with a state that this program does not know", "device", c.device, "status_state", s.State)
		return
	case s.State == longan.Offline && (c.live || !retained):
		if s.Session != c.session {
			v.cfg.Log.Debug("ignored will of another session", "device", c.device, "session", s.Session)
			return
		}
		changed = c.applyWill(s, now)
	case retained:
		changed = c.applyRetained(s, now)
	default:
		changed, aged = c.applyLive(s, now)
		if changed || aged {
			v.restoreByStatus(c, s, now)
		}
	}
	if c.state != before {
		v.cfg.Log.Info("center changed", "device", c.device, "state", c.state, "cause", c.cause)
	}
	switch {
	case changed:
		v.changed(c)
	case aged && s.Full:
		v.heard(c, ChangeAges)
	case aged:
		v.heard(c, ChangeHeard)
	}
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
		c.unsettled = false
	}
	return c.become(Offline, CauseLeft, now) || changed
}

// applyRetained takes what a broker had kept. It never touches the liveness of
// a center that was heard live.
func (c *center) applyRetained(s *longan.Status, now time.Time) bool {
	if c.live {
		if s.Session != c.session {
			c.candidate = s // the birth may have been missed; a heartbeat will tell
			return false
		}
		if s.N <= c.n || !s.Full {
			return false
		}
		c.n = s.N
		c.unsettled = true
		return c.absorb(s, now)
	}
	// Not superseded: two retained ones, of a broker and of the city's own
	// store, may come in either order.
	c.session, c.n = s.Session, s.N
	c.head(s, now)
	if s.Full {
		c.absorb(s, now)
		c.unsettled = true
	}
	if s.State == longan.Offline {
		c.become(Unknown, CauseRetainedWill, now)
	} else {
		c.become(Unknown, CauseRetained, now)
	}
	return true
}

// applyLive takes a heartbeat or a full status that the board sent just now.
func (c *center) applyLive(s *longan.Status, now time.Time) (changed, aged bool) {
	switch {
	case s.Session != c.session:
		c.supersede(s.Session)
		if c.candidate != nil && c.candidate.Session == s.Session && c.candidate.Full {
			changed = c.absorb(c.candidate, now)
			c.unsettled = true
		}
		c.candidate = nil
	case c.live && s.N != 0 && s.N <= c.n:
		return false, false // delivered twice or late
	}
	c.n, c.live, c.heard = s.N, true, now
	c.mono, c.anchor = s.Mono, now
	changed = c.head(s, now) || changed
	if s.Full {
		changed = c.absorb(s, now) || changed
		c.unsettled = false
	} else {
		c.settle(s, now)
	}
	return c.become(Online, CauseLive, now) || changed, true
}

// head takes what every status carries and reports whether it shows.
func (c *center) head(s *longan.Status, now time.Time) bool {
	changed := c.epoch != s.Epoch || c.version != s.Version || c.clock != s.Clock
	c.epoch, c.version, c.clock, c.boot, c.board = s.Epoch, s.Version, s.Clock, s.Boot, s.Time
	if s.Name != "" && s.Name != c.name {
		c.name, changed = s.Name, true
	}
	if s.Backlog != nil && !maps.Equal(s.Backlog, c.backlog) {
		c.backlog, changed = maps.Clone(s.Backlog), true
	}
	return changed
}
