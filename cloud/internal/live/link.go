package live

import "time"

const (
	// linkGrace is how long the city's own link may be gone before that shows:
	// most reconnects take less.
	linkGrace = 3 * time.Second
	// linkStable is how long the link must have been back for its loss to be over.
	linkStable = 10 * time.Second
	// returnWithin is how long boards have to come back after the city's link
	// has: they lost the broker too, maybe, and their backoff ends at a minute.
	returnWithin = 90 * time.Second
	// willsBefore the loss of the link, a will is the last word of a broker that goes
	// down and puts everybody out, and says nothing of the board.
	willsBefore = 5 * time.Second
	// pausedAfter without a tick, the city itself stood still and heard nobody.
	pausedAfter = 5 * time.Second
)

// link is how the city's own way to the boards fares. The view's mutex guards
// it. The zero value is a link of which nobody ever spoke; it counts as up.
type link struct {
	down     bool
	since    time.Time // of down, or of its end
	deaf     bool      // down for longer than linkGrace, and shown
	lastWord time.Time // of any board, live
	watched  time.Time // when Run looked last; zero while it does not run
	paused   time.Time // when the city went on after it had stood still
}

// ApplyBroker takes whether the city's connection to its broker is up, with all
// its subscriptions. While it is down the city can know nothing about any
// center: after a short grace all that were online are stale, then unknown, with
// CauseCityLink, and one incident says so. When it is up again centers return by
// their live words; those that have not within 90 s are offline. Calls that say
// what is known already do nothing.
func (v *View) ApplyBroker(up bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.link.down == !up {
		return
	}
	now := v.cfg.Now()
	v.age(now) // with what was true up to now
	v.link.down, v.link.since = !up, now
	if up {
		v.link.deaf = false
	}
	v.age(now)
}

// patience is what silence means at one moment.
type patience struct {
	stale, offline time.Duration
	deaf           bool      // the city hears nobody, since …
	since          time.Time // … then
	listening      time.Time // since when the city hears all without a break
}

// patience returns what silence means now. v.mu is held.
func (v *View) patience(now time.Time) *patience {
	l := &v.link
	if !l.watched.IsZero() && now.Sub(l.watched) >= pausedAfter {
		v.cfg.Log.Warn("the city stood still: silence of the boards counts from now on", "for", now.Sub(l.watched))
		l.paused, l.watched = now, now
	}
	p := &patience{stale: v.cfg.StaleAfter, offline: v.cfg.OfflineAfter, since: l.since, listening: later(l.paused, l.since)}
	if l.down {
		p.listening = now
		if !l.deaf && now.Sub(l.since) >= linkGrace {
			l.deaf = true
			v.deafen(now)
		}
		p.deaf = l.deaf
	}
	return p
}

// deafen begins the time in which the city knows that it hears nobody. What
// silence alone has done since the last word of anybody is taken back: the link
// may have been dead before the city noticed. So are the wills of a broker that
// went down.
func (v *View) deafen(now time.Time) {
	var hit []*center
	for _, c := range v.centers {
		gone := v.link.since.Sub(c.since)
		switch {
		case c.state.there():
			hit = append(hit, c)
		case c.state == Offline && (c.cause == CauseSilent && c.since.After(v.link.lastWord) && gone < lossWindow ||
			c.cause == CauseWill && gone < willsBefore):
			c.become(Unknown, CauseCityLink, c.since)
			v.changed(c)
			hit = append(hit, c)
		}
	}
	v.openCityLink(hit, now)
}

// age lets silence do its work and reports whether the state or its cause
// changed.
func (c *center) age(now time.Time, p *patience) bool {
	silent := now.Sub(c.heard)
	since := later(c.heard, p.listening) // the silence that counts
	switch {
	case c.state.there() && (p.deaf || c.cause == CauseCityLink):
		if silent >= p.offline {
			return c.become(Unknown, CauseCityLink, c.heard.Add(p.offline))
		}
		if p.deaf && (silent >= p.stale || !c.heard.After(p.since)) {
			return c.become(Stale, CauseCityLink, p.since)
		}
	case c.state.there():
		if now.Sub(since) >= p.offline {
			return c.become(Offline, CauseSilent, since.Add(p.offline))
		}
		if silent >= p.stale {
			return c.become(Stale, CauseSilent, c.heard.Add(p.stale))
		}
	case c.state == Unknown && c.cause == CauseCityLink:
		if now.Sub(p.listening) >= returnWithin {
			return c.become(Offline, CauseSilent, p.listening.Add(returnWithin))
		}
	case c.state == Unknown && c.cause == CauseRetainedWill:
		// A retained will and silence agree; a retained online and silence do not.
		if since = later(c.since, p.listening); now.Sub(since) >= p.offline {
			return c.become(Offline, CauseWill, since.Add(p.offline))
		}
	}
	return false
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
