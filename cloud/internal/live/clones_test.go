package live

import (
	"fmt"
	"testing"
	"time"

	"github.com/longan-edge/longan"
)

// twin is one of the boards of a test, with a boot of its own.
type twin struct {
	boot    string
	booted  time.Time
	session string
	n       uint64
}

func (b *twin) connect(now *clock, session string) *longan.Status {
	b.session, b.n = session, 0
	return b.say(now, true)
}

func (b *twin) say(now *clock, all bool) *longan.Status {
	b.n++
	s := full(b.session, b.n, now.t.Sub(b.booted), longan.Normal, 0)
	s.Boot, s.Name = b.boot, b.boot
	if !all {
		return s.Heartbeat()
	}
	return s
}

// TestTwoBoardsWithOneID fight for the connection, as a broker lets them.
func TestTwoBoardsWithOneID(t *testing.T) {
	v, now := newView(t)
	a, b := twin{boot: "boot-a", booted: now.t.Add(-time.Hour)}, twin{boot: "boot-b", booted: now.t.Add(-time.Minute)}
	if v.ApplyStatus(a.connect(now, "a1"), false) {
		t.Error("the only board is refused")
	}
	now.t = now.t.Add(30 * time.Second)
	if v.ApplyStatus(b.connect(now, "b1"), false) || get(t, v).Conflict != nil {
		t.Error("a board that rebooted is refused")
	}
	began := now.t.Add(12 * time.Second)
	for i := range 5 {
		now.t = now.t.Add(12 * time.Second)
		if !v.ApplyStatus(a.connect(now, fmt.Sprintf("a%d", i+2)), false) {
			t.Fatalf("round %d: a word of the older boot is taken", i)
		}
		if !v.ApplyStatus(a.say(now, false), false) {
			t.Errorf("round %d: a heartbeat of the older boot is taken", i)
		}
		now.t = now.t.Add(time.Second)
		if v.ApplyStatus(b.connect(now, fmt.Sprintf("b%d", i+2)), false) {
			t.Errorf("round %d: the newer board is refused", i)
		}
	}
	c := get(t, v)
	k := c.Conflict
	if c.State != Online || c.Name != "boot-b" {
		t.Errorf("shown: %s %s, want the newer board online", c.State, c.Name)
	}
	if k == nil || k.Count != 10 || len(k.Boots) != 2 || k.Boots[0] != "boot-a" || len(k.Sessions) != 5 || !k.Since.Equal(began) {
		t.Fatalf("conflict: got %+v, want 10 refused of boot-a in 5 sessions since %v", k, began)
	}
	if len(c.Refusals) != 1 || c.Refusals[0].Reason != longan.RefusedClone || c.Refusals[0].Count != 10 {
		t.Errorf("refusals: got %+v", c.Refusals)
	}
	last := now.t.Add(-time.Second)
	for now.t.Before(last.Add(cloneOver)) {
		if get(t, v).Conflict == nil {
			t.Fatalf("the conflict is over %v after the last word", now.t.Sub(last))
		}
		now.t = now.t.Add(10 * time.Second)
		v.ApplyStatus(b.say(now, false), false)
	}
	if k := get(t, v).Conflict; k != nil {
		t.Errorf("an hour later: %+v, want none", k)
	}
}

// TestTwinsBothConnected: a broker that lets both be there at once.
func TestTwinsBothConnected(t *testing.T) {
	v, now := newView(t)
	a, b := twin{boot: "boot-a", booted: now.t.Add(-time.Hour)}, twin{boot: "boot-b", booted: now.t.Add(-time.Hour)}
	v.ApplyStatus(a.connect(now, "a1"), false)
	v.ApplyStatus(b.connect(now, "b1"), false)
	for range 30 {
		now.t = now.t.Add(10 * time.Second)
		v.ApplyStatus(a.say(now, false), false)
		v.ApplyStatus(b.say(now, false), false)
	}
	if c := get(t, v); c.Name != "boot-b" || c.State != Online || c.Conflict == nil || c.Conflict.Count != 29 {
		t.Errorf("got %s %s, %+v; want boot-b, 29 refused", c.Name, c.State, c.Conflict)
	}
	// The newer one is taken away: the other is the center's board again.
	refused := 0
	for range 60 {
		now.t = now.t.Add(10 * time.Second)
		if v.ApplyStatus(a.say(now, now.t.Unix()%300 == 0), false) {
			refused++
		}
	}
	if c := get(t, v); c.Name != "boot-a" || c.State != Online || refused == 0 || refused > 18 {
		t.Errorf("the newer one was taken away: got %s %s, %d refused; want boot-a online after three minutes", c.Name, c.State, refused)
	}
}

// TestNoClone: what looks like a second board and is none.
func TestNoClone(t *testing.T) {
	tests := map[string]func(v *View, now *clock) bool{
		"one board that reboots and reconnects": func(v *View, now *clock) (refused bool) {
			for i := range 20 {
				b := twin{boot: fmt.Sprintf("boot-%d", i), booted: now.t}
				for j := range 3 {
					refused = v.ApplyStatus(b.connect(now, fmt.Sprintf("s-%d-%d", i, j)), false) || refused
					now.t = now.t.Add(10 * time.Second)
					refused = v.ApplyStatus(b.say(now, false), false) || refused
				}
			}
			return refused
		},
		"a late word of before the reboot": func(v *View, now *clock) (refused bool) {
			a, b := twin{boot: "boot-a", booted: now.t.Add(-time.Hour)}, twin{boot: "boot-b", booted: now.t.Add(20 * time.Second)}
			v.ApplyStatus(a.connect(now, "a1"), false)
			now.t = now.t.Add(10 * time.Second)
			late, later := a.say(now, false), a.connect(now, "a2")
			now.t = now.t.Add(20 * time.Second)
			v.ApplyStatus(b.connect(now, "b1"), false)
			now.t = now.t.Add(time.Minute)
			refused = v.ApplyStatus(late, false) || v.ApplyStatus(later, false)
			c, _ := v.Center(board)
			return refused || c.Name != "boot-b"
		},
		"history of before the reboot": func(v *View, now *clock) bool {
			a, b := twin{boot: "boot-a", booted: now.t.Add(-time.Hour)}, twin{boot: "boot-b", booted: now.t.Add(20 * time.Second)}
			v.ApplyStatus(a.connect(now, "a1"), false)
			now.t = now.t.Add(time.Minute)
			v.ApplyStatus(b.connect(now, "b1"), false)
			now.t = now.t.Add(time.Hour)
			e := event(longan.State, 1, longan.DoorOpened, "front-door", time.Hour+30*time.Second)
			e.Boot = "boot-a"
			v.ApplyEvents([]longan.Event{e})
			return false
		},
		"a board that does not know its boot": func(v *View, now *clock) (refused bool) {
			for i := range 10 {
				b := twin{booted: now.t.Add(-time.Hour)}
				refused = v.ApplyStatus(b.connect(now, fmt.Sprintf("s%d", i)), false) || refused
				now.t = now.t.Add(time.Minute)
			}
			return refused
		},
	}
	for name, f := range tests {
		t.Run(name, func(t *testing.T) {
			v, now := newView(t)
			if f(v, now) {
				t.Error("a status was refused, or another is shown")
			}
			if k := get(t, v).Conflict; k != nil {
				t.Errorf("conflict: %+v, want none", k)
			}
		})
	}
}

// TestEventsTellOfATwin: an event that an older boot wrote after the newer one
// had appeared is evidence, but it is stored, and not refused.
func TestEventsTellOfATwin(t *testing.T) {
	v, now := newView(t)
	a, b := twin{boot: "boot-a", booted: now.t.Add(-time.Hour)}, twin{boot: "boot-b", booted: now.t}
	v.ApplyStatus(a.connect(now, "a1"), false)
	now.t = now.t.Add(time.Minute)
	v.ApplyStatus(b.connect(now, "b1"), false)
	now.t = now.t.Add(time.Hour)
	e := event(longan.State, 1, longan.DoorOpened, "front-door", time.Hour+30*time.Minute)
	e.Boot = "boot-a"
	v.ApplyEvents([]longan.Event{e})
	if k := get(t, v).Conflict; k == nil || k.Count != 1 || !k.Since.Equal(now.t) {
		t.Errorf("conflict: got %+v, want one of now", k)
	}
}

func TestEventConflicts(t *testing.T) {
	v, now := newView(t)
	if get := v.Snapshot().Centers; len(get) != 0 {
		t.Fatalf("centers: %+v", get)
	}
	v.ApplyConflicts(board, 3, now.t.Add(-time.Hour))
	v.ApplyConflicts(board, 2, now.t)
	v.ApplyConflicts(board, 1, now.t.Add(-time.Minute))
	if k := get(t, v).Collisions; k == nil || k.Count != 6 || !k.Last.Equal(now.t) {
		t.Errorf("got %+v, want 6, the last now", k)
	}
}

// TestFloodOfRefusals: whoever floods the city with refusals takes no memory, and
// hides nobody for long.
func TestFloodOfRefusals(t *testing.T) {
	v, now := newView(t)
	v.ApplyStatus(full("a", 1, 0, longan.Normal, 0), false)
	v.ApplyRefusal(board, AtBroker, "publish", "not its own topic")
	sub := v.Subscribe(t.Context())
	rev := get(t, v).Rev
	for i := range 5_000 {
		now.t = now.t.Add(time.Millisecond)
		d := longan.DeviceID(fmt.Sprintf("62%07d-%02d", i/100, i%100))
		v.ApplyRefusal(d, AtIngest, fmt.Sprintf("reason-%d", i), "x")
		v.ApplyRefusal("rubbish", AtBroker, fmt.Sprintf("reason-%d", i), "x")
		v.ApplyRefusal(board, AtIngest, fmt.Sprintf("reason-%d", i), "x")
		v.Incidents() // as Run does, it looks at everything
	}
	if n := len(v.refusals.of); n > refusedDevices+1 {
		t.Errorf("devices remembered: %d, want at most %d", n, refusedDevices+1)
	}
	c := get(t, v)
	sum := uint64(0)
	for _, r := range c.Refusals {
		sum += r.Count
	}
	if len(c.Refusals) != refusedReasons || sum != 5_001 {
		t.Errorf("of the board: %d reasons, %d in sum; want %d, 5001", len(c.Refusals), sum, refusedReasons)
	}
	if n := c.Rev - rev; n > 2 {
		t.Errorf("5 s of refusals made %d revisions", n)
	}
	if changes, _ := sub.Take(); len(changes) != 1 {
		t.Errorf("told %d changes, want one", len(changes))
	}
	total := uint64(0)
	for _, r := range v.Refusals() {
		total += r.Count
	}
	if total != 15_001 {
		t.Errorf("counted in all: %d, want 15001", total)
	}
	now.t = now.t.Add(refusedKept)
	v.ApplyRefusal("621202999-01", AtBroker, "publish", "")
	if got := v.Refusals()[0].Device; got != "621202999-01" {
		t.Errorf("after the flood: the latest is of %q, want the new one", got)
	}
}
