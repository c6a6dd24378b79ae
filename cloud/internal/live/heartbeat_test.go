package live

import (
	"testing"
	"time"

	"github.com/longan-edge/longan"
)

// beat returns a short heartbeat, as boards send them.
func beat(session string, n uint64, mono time.Duration) *longan.Status {
	return heartbeat(session, n, mono).Heartbeat()
}

// TestShortHeartbeats: what a heartbeat leaves out stands.
func TestShortHeartbeats(t *testing.T) {
	v, now := newView(t)
	s := full("a", 1, time.Minute, longan.Active, time.Second)
	s.Time, s.Clock, s.Backlog = now.t.Add(-time.Hour), longan.ClockRTC, map[longan.Lane]uint64{longan.State: 3}
	v.ApplyStatus(s, false)
	rev := get(t, v).Rev
	now.t = now.t.Add(10 * time.Second)
	b := beat("a", 2, 70*time.Second)
	b.Backlog = map[longan.Lane]uint64{longan.State: 3}
	v.ApplyStatus(b, false)
	c := get(t, v)
	if c.Rev != rev {
		t.Errorf("a heartbeat that says nothing new is revision %d, want %d", c.Rev, rev)
	}
	if c.Epoch != "epoch-1" || c.Version != "1" || c.Clock != longan.ClockRTC || c.Name != s.Name || c.Backlog[longan.State] != 3 {
		t.Errorf("after a heartbeat: got %+v", c)
	}
	if want := s.Time.Add(10 * time.Second); !c.BoardTime.Equal(want) {
		t.Errorf("the board's clock: got %v, want %v", c.BoardTime, want)
	}
	now.t = now.t.Add(10 * time.Second)
	v.ApplyStatus(beat("a", 3, 80*time.Second), false)
	if c := get(t, v); len(c.Backlog) != 0 || c.Rev == rev {
		t.Errorf("backlog of a heartbeat without one: got %v, revision %d", c.Backlog, c.Rev)
	}
	v.ApplyEvents([]longan.Event{event(longan.State, 1, longan.DoorClosed, "front-door", 75*time.Second)})
	if p := pointOf(t, v, "front-door"); p.State != longan.Normal || p.Age != 5000 {
		t.Errorf("an event after short heartbeats: got %v, age %d; want normal, 5000", p.State, p.Age)
	}
}

// TestAsOf: heartbeats vouch for what the last full status told, as long as none
// of the statuses between is missing; ages of readings grow all the while.
func TestAsOf(t *testing.T) {
	type word struct {
		status *longan.Status
		late   bool // it is 10 s after the last one otherwise
		asOf   time.Duration
		state  longan.PointState
	}
	at := func(s int) time.Duration { return time.Duration(s) * time.Second }
	tests := map[string][]word{
		"heartbeats": {
			{status: full("a", 1, at(10), longan.Active, 0), asOf: at(10), state: longan.Active},
			{status: beat("a", 2, at(20)), asOf: at(20), state: longan.Active},
			{status: beat("a", 3, at(30)), asOf: at(30), state: longan.Active},
		},
		"one is missing, and may have been full": {
			{status: full("a", 1, at(10), longan.Active, 0), asOf: at(10), state: longan.Active},
			{status: beat("a", 3, at(20)), asOf: at(10), state: longan.Active},
			{status: beat("a", 4, at(30)), asOf: at(10), state: longan.Active},
			{status: full("a", 5, at(40), longan.Normal, 0), asOf: at(40), state: longan.Normal},
			{status: beat("a", 6, at(50)), asOf: at(50), state: longan.Normal},
		},
		"it was full, and comes late": {
			{status: full("a", 1, at(10), longan.Active, 0), asOf: at(10), state: longan.Active},
			{status: beat("a", 3, at(20)), asOf: at(10), state: longan.Active},
			{status: full("a", 2, at(19), longan.Normal, 0), late: true, asOf: at(20), state: longan.Normal},
			{status: full("a", 2, at(19), longan.Active, 0), late: true, asOf: at(20), state: longan.Normal},
			{status: beat("a", 4, at(30)), asOf: at(30), state: longan.Normal},
		},
		"a late one leaves another missing": {
			{status: full("a", 1, at(10), longan.Active, 0), asOf: at(10), state: longan.Active},
			{status: beat("a", 4, at(20)), asOf: at(10), state: longan.Active},
			{status: full("a", 2, at(18), longan.Normal, 0), late: true, asOf: at(10), state: longan.Normal},
			{status: full("a", 3, at(19), longan.Active, 0), late: true, asOf: at(20), state: longan.Active},
		},
		"a session that has not told of its points": {
			{status: full("a", 1, at(10), longan.Active, 0), asOf: at(10), state: longan.Active},
			{status: beat("b", 2, at(20)), asOf: at(10), state: longan.Unknown},
			{status: full("b", 1, at(19), longan.Normal, 0), late: true, asOf: at(20), state: longan.Normal},
		},
	}
	for name, words := range tests {
		t.Run(name, func(t *testing.T) {
			v, now := newView(t)
			t0 := now.t
			for i, w := range words {
				if !w.late {
					now.t = now.t.Add(10 * time.Second)
				}
				v.ApplyStatus(w.status, false)
				c, p := get(t, v), pointOf(t, v, "front-door")
				if got := c.AsOf.Sub(t0); got != w.asOf || p.State != w.state || c.State != Online {
					t.Errorf("word %d: %s, as of %v, front door %v; want online, %v, %v", i+1, c.State, got, p.State, w.asOf, w.state)
				}
			}
		})
	}
}

// TestAgesGrowBetweenFullStatuses: five minutes of heartbeats make no reading
// younger, nor unknown.
func TestAgesGrowBetweenFullStatuses(t *testing.T) {
	v, now := newView(t)
	v.ApplyStatus(full("a", 1, 0, longan.Normal, 2*time.Second), false)
	t0 := now.t
	for n := uint64(2); n < 30; n++ {
		now.t = now.t.Add(10 * time.Second)
		v.ApplyStatus(beat("a", n, now.t.Sub(t0)), false)
		p, c := pointOf(t, v, "front-door"), get(t, v)
		if want := now.t.Sub(t0) + 2*time.Second; p.State != longan.Normal || p.Age != want.Milliseconds() || c.AsOfAge != 0 {
			t.Fatalf("heartbeat %d: %v, age %d ms, as of %d ms ago; want normal, %v, 0", n, p.State, p.Age, c.AsOfAge, want)
		}
	}
}

// TestBridges: what a broker retained is the last full status, so the heartbeats
// that a restarted or reconnected city missed may be many. What the city itself
// had kept may not be the last.
func TestBridges(t *testing.T) {
	v, now := newView(t)
	t0 := now.t
	v.ApplySaved(full("a", 5, time.Minute, longan.Normal, 0))
	v.ApplyStatus(beat("a", 20, 4*time.Minute), false)
	if c, want := get(t, v), t0.Add(-3*time.Minute); !c.AsOf.Equal(want) {
		t.Errorf("after what the city had kept: as of %v, want %v", c.AsOf, want)
	}

	v, now = newView(t)
	v.ApplyStatus(full("a", 5, time.Minute, longan.Active, 0), true)
	v.ApplyStatus(beat("a", 20, 4*time.Minute), false)
	if c, p := get(t, v), pointOf(t, v, "front-door"); !c.AsOf.Equal(now.t) || p.Age != (3*time.Minute).Milliseconds() {
		t.Errorf("after what a broker had kept: as of %v, age %d; want %v, 3 minutes", c.AsOf, p.Age, now.t)
	}
	// The city's link breaks and is back: the same status is retained still.
	now.t = now.t.Add(time.Minute)
	v.ApplyStatus(full("a", 5, time.Minute, longan.Active, 0), true)
	v.ApplyStatus(beat("a", 26, 5*time.Minute), false)
	if c := get(t, v); !c.AsOf.Equal(now.t) {
		t.Errorf("after a reconnect: as of %v, want %v", c.AsOf, now.t)
	}
	// And once more, with news meanwhile.
	now.t = now.t.Add(time.Minute)
	v.ApplyStatus(full("a", 30, 5*time.Minute+30*time.Second, longan.Normal, 0), true)
	now.t = now.t.Add(time.Second)
	v.ApplyStatus(beat("a", 33, 6*time.Minute), false)
	if c, p := get(t, v), pointOf(t, v, "front-door"); !c.AsOf.Equal(now.t) || p.State != longan.Normal || p.Age != 30000 {
		t.Errorf("after news: as of %v, %v, age %d; want %v, normal, 30000", c.AsOf, p.State, p.Age, now.t)
	}
}
