package live

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/longan-edge/longan"
)

func TestAgeGrowsByTheCitysClock(t *testing.T) {
	v, now := newView(t)
	v.ApplyStatus(full("a", 1, time.Minute, longan.Active, 2*time.Second), false)
	if got := pointOf(t, v, "front-door").Age; got != 2000 {
		t.Errorf("age at once: got %d ms, want 2000", got)
	}
	now.t = now.t.Add(5 * time.Second)
	v.ApplyStatus(heartbeat("a", 2, time.Minute+5*time.Second), false)
	if got := pointOf(t, v, "front-door").Age; got != 7000 {
		t.Errorf("a heartbeat without points renewed the age: got %d ms, want 7000", got)
	}
	v.ApplyStatus(full("a", 3, 2*time.Minute, longan.Unknown, longan.Never), false)
	p := pointOf(t, v, "front-door")
	if p.State != longan.Unknown || p.Last != longan.Active || p.Age != 7000 {
		t.Errorf("unread point: got %v, last %v, age %d; want unknown, last active, 7000", p.State, p.Last, p.Age)
	}
}

func TestUnknownWhenNotThere(t *testing.T) {
	v, now := newView(t)
	s := full("a", 1, 0, longan.Active, time.Second)
	s.Peripherals["inputs"] = longan.PeripheralStatus{Driver: "modbus", Error: "silent", Age: time.Second}
	v.ApplyStatus(s, false)
	if p := pointOf(t, v, "front-door"); p.State != longan.Unknown || p.Last != longan.Active {
		t.Errorf("peripheral not OK: got %v, last %v; want unknown, last active", p.State, p.Last)
	}
	v.ApplyStatus(full("a", 2, 0, longan.Active, 0), false)
	if p := pointOf(t, v, "front-door"); p.State != longan.Active {
		t.Errorf("peripheral OK again: got %v, want active", p.State)
	}
	at := now.t
	now.t = now.t.Add(DefaultOfflineAfter)
	p := pointOf(t, v, "front-door")
	if p.State != longan.Unknown || p.Last != longan.Active || !p.AsOf.Equal(at) {
		t.Errorf("center offline: got %v, last %v, as of %v; want unknown, active, %v", p.State, p.Last, p.AsOf, at)
	}
}

func TestHistoryDoesNotOverwriteThePresent(t *testing.T) {
	tests := []struct {
		name string
		e    longan.Event
		want longan.PointState
	}{
		{"older than the status", event(longan.State, 1, longan.DoorOpened, "front-door", 59*time.Second), longan.Normal},
		{"of the same moment", event(longan.State, 1, longan.DoorOpened, "front-door", time.Minute), longan.Normal},
		{"younger than the status", event(longan.State, 1, longan.DoorOpened, "front-door", 61*time.Second), longan.Active},
		{"of another boot", func() longan.Event {
			e := event(longan.State, 1, longan.DoorOpened, "front-door", time.Hour)
			e.Boot, e.Time, e.Clock = "boot-0", time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), longan.ClockNTP
			return e
		}(), longan.Normal},
		{"younger, nobody knows", event(longan.State, 1, longan.PointUnknown, "front-door", 61*time.Second), longan.Unknown},
		{"younger, its line is cut", func() longan.Event {
			e := event(longan.State, 1, longan.PointUnknown, "front-door", 61*time.Second)
			e.Data = json.RawMessage(`{"state":"fault"}`)
			return e
		}(), longan.Fault},
		{"younger, known again", func() longan.Event {
			e := event(longan.State, 1, longan.PointKnown, "front-door", 61*time.Second)
			e.Data = json.RawMessage(`{"state":"active"}`)
			return e
		}(), longan.Active},
		{"a point that is gone", event(longan.State, 1, longan.DoorOpened, "old-door", 61*time.Second), longan.Normal},
		{"younger, its peripheral fails", event(longan.State, 1, longan.PeripheralFault, "inputs", 61*time.Second), longan.Unknown},
		{"older failure of its peripheral", event(longan.State, 1, longan.PeripheralFault, "inputs", 59*time.Second), longan.Normal},
		{"a type of a newer contract", event(longan.State, 1, "door.melted", "front-door", 61*time.Second), longan.Normal},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v, _ := newView(t)
			v.ApplyStatus(full("a", 1, time.Minute, longan.Normal, 0), false)
			v.ApplyEvents([]longan.Event{tt.e})
			if got := pointOf(t, v, "front-door").State; got != tt.want {
				t.Errorf("front-door: got %v, want %v", got, tt.want)
			}
			if n := len(get(t, v).Points); n != 2 {
				t.Errorf("points: got %d, want 2", n)
			}
		})
	}
}

func TestStatusThatAnEventOvertook(t *testing.T) {
	v, _ := newView(t)
	v.ApplyStatus(full("a", 1, time.Minute, longan.Normal, 0), false)
	v.ApplyEvents([]longan.Event{event(longan.State, 1, longan.DoorOpened, "front-door", 70*time.Second)})
	v.ApplyStatus(full("a", 2, 69*time.Second, longan.Normal, 0), false)
	if got := pointOf(t, v, "front-door").State; got != longan.Active {
		t.Errorf("after a status written before the event: got %v, want active", got)
	}
	v.ApplyStatus(full("a", 3, 71*time.Second, longan.Normal, 0), false)
	if got := pointOf(t, v, "front-door").State; got != longan.Normal {
		t.Errorf("after a status written after the event: got %v, want normal", got)
	}
}

func TestRetainedStatusGetsItsTrueAge(t *testing.T) {
	v, now := newView(t)
	v.ApplyStatus(full("a", 1, time.Minute, longan.Active, time.Second), true)
	p := pointOf(t, v, "front-door")
	if p.State != longan.Unknown || p.Last != longan.Active || p.Age != -1 {
		t.Errorf("retained: got %v, last %v, age %d; want unknown, active, -1", p.State, p.Last, p.Age)
	}
	now.t = now.t.Add(4 * time.Second)
	v.ApplyStatus(heartbeat("a", 12, 3*time.Minute), false)
	p = pointOf(t, v, "front-door")
	if want := (2*time.Minute + time.Second).Milliseconds(); p.State != longan.Active || p.Age != want {
		t.Errorf("after a heartbeat: got %v, age %d; want active, %d", p.State, p.Age, want)
	}
}

// TestOldReadingsAreUnknown: signs of life say nothing about the points.
func TestOldReadingsAreUnknown(t *testing.T) {
	v, now := newView(t)
	v.ApplyStatus(full("a", 1, 0, longan.Normal, time.Minute), false)
	sub := v.Subscribe(t.Context())
	n := uint64(1)
	for t0 := now.t; now.t.Sub(t0) < DefaultSilentAfter-time.Minute; {
		if got := pointOf(t, v, "front-door").State; got != longan.Normal {
			t.Fatalf("after %v: got %v, want normal", now.t.Sub(t0), got)
		}
		n++
		now.t = now.t.Add(10 * time.Second)
		sub.Take()
		v.ApplyStatus(heartbeat("a", n, now.t.Sub(t0)), false)
	}
	p := pointOf(t, v, "front-door")
	if c := get(t, v); c.State != Online || p.State != longan.Unknown || p.Last != longan.Normal || p.Age != DefaultSilentAfter.Milliseconds() {
		t.Errorf("center %s, point %v, last %v, age %d; want online, unknown, normal, %v", c.State, p.State, p.Last, p.Age, DefaultSilentAfter)
	}
	if changes, _ := sub.Take(); len(changes) != 1 || changes[0].Kind != ChangeCenter {
		t.Errorf("told %+v, want a change of the center", changes)
	}
	v.ApplyStatus(full("a", n+1, time.Hour, longan.Normal, 0), false)
	if p := pointOf(t, v, "front-door"); p.State != longan.Normal {
		t.Errorf("read again: got %v, want normal", p.State)
	}
}

// TestPointsOfAnotherBoot: a retained status of before a reboot has no age, and
// the signs of life of after it say nothing about its points.
func TestPointsOfAnotherBoot(t *testing.T) {
	v, _ := newView(t)
	v.ApplyStatus(full("a", 1, time.Hour, longan.Normal, 0), true)
	beat := heartbeat("b", 2, time.Second)
	beat.Boot = "boot-2"
	v.ApplyStatus(beat, false)
	if p := pointOf(t, v, "front-door"); p.State != longan.Unknown || p.Last != longan.Normal || p.Age != -1 {
		t.Errorf("got %v, last %v, age %d; want unknown, normal, -1", p.State, p.Last, p.Age)
	}
}

func TestBirthMissedWhileTheCityWasAway(t *testing.T) {
	v, now := newView(t)
	v.ApplyStatus(full("a", 1, 0, longan.Normal, 0), false)
	now.t = now.t.Add(time.Minute)
	v.ApplyStatus(full("b", 1, 30*time.Second, longan.Active, 0), true)
	if got := get(t, v).State; got != Offline {
		t.Errorf("a retained status woke the center: %s", got)
	}
	v.ApplyStatus(heartbeat("b", 4, time.Minute), false)
	p := pointOf(t, v, "front-door")
	if p.State != longan.Active || p.Age != 30000 {
		t.Errorf("got %v, age %d; want active, 30000", p.State, p.Age)
	}
}

func TestEventsWithoutAnyStatus(t *testing.T) {
	v, _ := newView(t)
	v.ApplyEvents([]longan.Event{
		event(longan.State, 1, longan.DoorOpened, "front-door", time.Hour),
		event(longan.State, 2, longan.DoorClosed, "front-door", time.Second), // after a reboot
	})
	p := pointOf(t, v, "front-door")
	if p.State != longan.Unknown || p.Last != longan.Normal || p.Kind != "door" {
		t.Errorf("got %v, last %v, kind %q; want unknown, normal, door", p.State, p.Last, p.Kind)
	}
}

func TestPointsAreBounded(t *testing.T) {
	v, _ := newView(t)
	for i := range uint64(2 * longan.MaxPoints) {
		v.ApplyEvents([]longan.Event{event(longan.State, i+1, longan.DoorOpened, fmt.Sprintf("door-%d", i), time.Second)})
	}
	if got := len(get(t, v).Points); got != longan.MaxPoints {
		t.Errorf("points of a board that invents them: got %d, want %d", got, longan.MaxPoints)
	}
}
