package live

import (
	"testing"
	"time"

	"github.com/longan-edge/longan"
)

// TestAlarmsAreCorrected: an alarm of a board that woke up in 1970 gets its true
// time once the board has it, and is told anew.
func TestAlarmsAreCorrected(t *testing.T) {
	v, now := newView(t)
	v.ApplyStatus(full("a", 1, 0, longan.Normal, 0), false)
	now.t = now.t.Add(3 * time.Minute)
	up := alarmEvent("epoch-1", 1, longan.AlarmRaised, "panic-button", "panic")
	up.Mono = time.Minute
	other := alarmEvent("epoch-1", 2, longan.AlarmRaised, "smoke", "fire")
	other.Boot, other.Mono = "boot-0", time.Hour
	v.ApplyEvents([]longan.Event{up, other})
	for _, a := range v.Snapshot().Open {
		if !a.Corrected.IsZero() {
			t.Errorf("%s: corrected to %v before a better clock is known", a.Point, a.Corrected)
		}
	}
	sub := v.Subscribe(t.Context())
	_, rev := v.Rev()
	began := now.t.Add(-3 * time.Minute)
	s := full("a", 2, 3*time.Minute, longan.Normal, 0)
	s.Time, s.Clock = now.t, longan.ClockNTP
	v.ApplyStatus(s, false)
	want := began.Add(time.Minute)
	check := func(what string, a Alarm) {
		t.Helper()
		if a.Point != "panic-button" || !a.Corrected.Equal(want) || a.CorrectedClock != longan.ClockNTP || !a.Late ||
			!a.Time.Equal(up.Time) || a.Clock != longan.ClockFloor {
			t.Errorf("%s: got %+v, want panic-button at %v by ntp, late, with its own time", what, a, want)
		}
	}
	changes, _ := sub.Take()
	if len(changes) == 0 || changes[0].Kind != ChangeAlarm {
		t.Fatalf("told %+v, want the alarm first", changes)
	}
	check("told", changes[0].Alarm)
	d, ok := v.Since("test", rev)
	if !ok || len(d.Alarms) != 1 {
		t.Fatalf("since: got %+v, %t; want one alarm", d.Alarms, ok)
	}
	check("since", d.Alarms[0])
	// A worse clock changes nothing, and one that comes corrected from the store
	// stands.
	s = full("a", 3, 4*time.Minute, longan.Normal, 0)
	s.Time, s.Clock = now.t.Add(time.Hour), longan.ClockRTC
	v.ApplyStatus(s, false)
	old := alarmEvent("epoch-0", 7, longan.AlarmRaised, "mains", "mains")
	old.Boot = "boot-x"
	v.Restore([]Stored{{Event: old, Received: now.t, Corrected: want, CorrectedClock: longan.ClockRTC}})
	for _, a := range v.Snapshot().Open {
		switch a.Point {
		case "panic-button":
			check("later", a)
		case "mains":
			if !a.Corrected.Equal(want) || a.CorrectedClock != longan.ClockRTC {
				t.Errorf("of the store: got %v %s", a.Corrected, a.CorrectedClock)
			}
		default:
			if !a.Corrected.IsZero() {
				t.Errorf("%s, of another boot: corrected to %v", a.Point, a.Corrected)
			}
		}
	}
	// An alarm that comes after the clock is known is corrected at once.
	late := alarmEvent("epoch-1", 3, longan.AlarmRaised, "cabinet", "tamper")
	late.Mono = 2 * time.Minute
	v.ApplyEvents([]longan.Event{late})
	if a := v.Snapshot().Open[0]; a.Point != "cabinet" || !a.Corrected.Equal(began.Add(2*time.Minute)) {
		t.Errorf("a later one: got %s %v, want %v", a.Point, a.Corrected, began.Add(2*time.Minute))
	}
}

// TestInventedAlarms: a board that raises alarms at ever new points is bounded.
func TestInventedAlarms(t *testing.T) {
	v, _ := newView(t)
	for i := range uint64(2 * maxOpen) {
		e := alarmEvent("e", i+1, longan.AlarmRaised, "p-"+string(rune('a'+i%26))+time.Duration(i).String(), "panic")
		v.ApplyEvents([]longan.Event{e})
	}
	if n := get(t, v).OpenAlarms; n != maxOpen || len(v.Snapshot().Open) != maxOpen {
		t.Errorf("open: got %d, want %d", n, maxOpen)
	}
}
