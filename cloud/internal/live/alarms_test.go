package live

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/longan-edge/longan"
)

func alarmEvent(epoch string, seq uint64, typ, point, cause string) longan.Event {
	e := event(longan.Alarm, seq, typ, point, 0)
	e.Epoch = epoch
	e.Data = json.RawMessage(fmt.Sprintf(`{"cause":%q}`, cause))
	return e
}

func TestOpenAlarms(t *testing.T) {
	const up, down = longan.AlarmRaised, longan.AlarmRestored
	tests := map[string]struct {
		events []longan.Event
		open   []string // point/cause, newest first
		recent int
	}{
		"raised":                 {[]longan.Event{alarmEvent("e", 1, up, "p", "panic")}, []string{"p/panic"}, 1},
		"restored":               {[]longan.Event{alarmEvent("e", 1, up, "p", "panic"), alarmEvent("e", 2, down, "p", "panic")}, nil, 1},
		"two causes, one gone":   {[]longan.Event{alarmEvent("e", 1, up, "p", "panic"), alarmEvent("e", 2, up, "p", "tamper"), alarmEvent("e", 3, down, "p", "panic")}, []string{"p/tamper"}, 2},
		"restored without cause": {[]longan.Event{alarmEvent("e", 1, up, "p", "panic"), alarmEvent("e", 2, down, "p", "")}, nil, 1},
		"another point":          {[]longan.Event{alarmEvent("e", 1, up, "p", "panic"), alarmEvent("e", 2, down, "q", "panic")}, []string{"p/panic"}, 1},
		"delivered twice":        {[]longan.Event{alarmEvent("e", 1, up, "p", "panic"), alarmEvent("e", 2, down, "p", "panic"), alarmEvent("e", 1, up, "p", "panic")}, nil, 1},
		"raised again":           {[]longan.Event{alarmEvent("e", 1, up, "p", "panic"), alarmEvent("e", 5, up, "p", "panic")}, []string{"p/panic"}, 2},
		"restored in a new epoch": {[]longan.Event{alarmEvent("e", 9, up, "p", "panic"), alarmEvent("f", 1, down, "p", "panic")},
			nil, 1},
		"restored before raised":            {[]longan.Event{alarmEvent("e", 2, down, "p", "panic"), alarmEvent("e", 1, up, "p", "panic")}, nil, 1},
		"restored before raised, no cause":  {[]longan.Event{alarmEvent("e", 2, down, "p", ""), alarmEvent("e", 1, up, "p", "panic")}, nil, 1},
		"restored before another was":       {[]longan.Event{alarmEvent("e", 3, down, "p", "panic"), alarmEvent("e", 2, up, "p", "tamper")}, []string{"p/tamper"}, 1},
		"raised again before restored":      {[]longan.Event{alarmEvent("e", 1, up, "p", "panic"), alarmEvent("e", 3, up, "p", "panic"), alarmEvent("e", 2, down, "p", "panic")}, []string{"p/panic"}, 2},
		"raised again before all of it":     {[]longan.Event{alarmEvent("e", 3, up, "p", "panic"), alarmEvent("e", 1, up, "p", "panic"), alarmEvent("e", 2, down, "p", "panic")}, []string{"p/panic"}, 2},
		"all of it backwards":               {[]longan.Event{alarmEvent("e", 4, down, "p", "panic"), alarmEvent("e", 3, up, "p", "panic"), alarmEvent("e", 2, down, "p", "panic"), alarmEvent("e", 1, up, "p", "panic")}, nil, 2},
		"raised after a restored long past": {[]longan.Event{alarmEvent("e", 1, down, "p", "panic"), alarmEvent("e", 2, up, "p", "panic")}, []string{"p/panic"}, 1},
		"only restored":                     {[]longan.Event{alarmEvent("e", 2, down, "p", "panic")}, nil, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			v, _ := newView(t)
			v.ApplyEvents(tt.events)
			s := v.Snapshot()
			var open []string
			for _, a := range s.Open {
				open = append(open, a.Point+"/"+a.Cause)
			}
			if fmt.Sprint(open) != fmt.Sprint(tt.open) {
				t.Errorf("open: got %v, want %v", open, tt.open)
			}
			if len(s.Recent) != tt.recent {
				t.Errorf("recent: got %d, want %d", len(s.Recent), tt.recent)
			}
			if got := get(t, v).OpenAlarms; got != len(tt.open) {
				t.Errorf("OpenAlarms of the center: got %d, want %d", got, len(tt.open))
			}
		})
	}
}

func TestLateFlag(t *testing.T) {
	now, err := time.Parse(time.RFC3339, start)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		boot  string
		clock string
		at    time.Time
		mono  time.Duration
		want  bool
	}{
		{"just now, clock at 1970", "boot-1", longan.ClockFloor, time.Unix(0, 0), time.Hour, false},
		{"59 s ago by the same boot", "boot-1", longan.ClockFloor, time.Unix(0, 0), time.Hour - 59*time.Second, false},
		{"61 s ago by the same boot, clock at 1970", "boot-1", longan.ClockFloor, time.Unix(0, 0), time.Hour - 61*time.Second, true},
		{"of a boot before, good clock, an hour ago", "boot-0", longan.ClockNTP, now.Add(-time.Hour), 0, true},
		{"of a boot before, good clock, just now", "boot-0", longan.ClockNTP, now, 0, false},
		{"of a boot before, nobody knows when", "boot-0", longan.ClockFloor, time.Unix(0, 0), 0, false},
		{"good clock that runs ahead", "boot-0", longan.ClockRTC, now.Add(time.Hour), 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v, _ := newView(t)
			v.ApplyStatus(full("a", 1, time.Hour, longan.Normal, 0), false)
			e := alarmEvent("epoch-1", 1, longan.AlarmRaised, "panic-button", "panic")
			e.Boot, e.Clock, e.Time, e.Mono = tt.boot, tt.clock, tt.at, tt.mono
			v.ApplyEvents([]longan.Event{e})
			a := v.Snapshot().Open[0]
			if a.Late != tt.want {
				t.Errorf("Late: got %t, want %t", a.Late, tt.want)
			}
			if !a.Received.Equal(now) || a.Label != "一键报警" || a.County != "武都区" || a.Center != "马街镇综治中心" {
				t.Errorf("alarm: got %+v", a)
			}
		})
	}
}

func TestAlarmOfALostSpoolEndsByStatus(t *testing.T) {
	v, _ := newView(t)
	v.ApplyEvents([]longan.Event{alarmEvent("epoch-0", 7, longan.AlarmRaised, "panic-button", "panic")})
	v.ApplyStatus(heartbeat("a", 1, 0), false)
	if n := len(v.Snapshot().Open); n != 1 {
		t.Fatalf("after a heartbeat without points: %d open, want 1", n)
	}
	v.ApplyStatus(full("a", 2, 0, longan.Normal, 0), false)
	s := v.Snapshot()
	if len(s.Open) != 0 || s.Recent[0].By != ByStatus {
		t.Errorf("after a full status of a new epoch: %d open, by %q; want 0, %q", len(s.Open), s.Recent[0].By, ByStatus)
	}
}

func TestAlarmOfThisEpochWaitsForItsEvent(t *testing.T) {
	v, _ := newView(t)
	v.ApplyEvents([]longan.Event{alarmEvent("epoch-1", 7, longan.AlarmRaised, "panic-button", "panic")})
	v.ApplyStatus(full("a", 1, time.Hour, longan.Normal, 0), false)
	if n := len(v.Snapshot().Open); n != 1 {
		t.Errorf("%d open, want 1", n)
	}
}

func TestRestoreIsHistory(t *testing.T) {
	v, now := newView(t)
	at := now.t.Add(-time.Hour)
	events := []Stored{{Event: alarmEvent("e", 1, longan.AlarmRaised, "p", "fire"), Received: at}}
	v.Restore(events)
	v.Restore(events)
	v.ApplyEvents([]longan.Event{events[0].Event})
	s := v.Snapshot()
	if len(s.Open) != 1 || len(s.Recent) != 1 || !s.Open[0].Received.Equal(at) {
		t.Errorf("got %d open, %d recent, %+v; want one, received at %v", len(s.Open), len(s.Recent), s.Open, at)
	}
	if c := s.Centers[0]; c.State != Unknown || c.Cause != CauseNever {
		t.Errorf("center: got %s (%s), want unknown (never)", c.State, c.Cause)
	}
}

func TestRecentAlarmsAreBounded(t *testing.T) {
	v, _ := newView(t)
	for seq := uint64(1); seq < 3000; seq++ {
		v.ApplyEvents([]longan.Event{alarmEvent("e", seq, longan.AlarmRaised, "p", "fire")})
	}
	s := v.Snapshot()
	if len(s.Recent) != recentAlarms || s.Recent[0].Seq != 2999 || len(v.alarms.seen) > maxSeen {
		t.Errorf("got %d recent, the first %d, %d remembered", len(s.Recent), s.Recent[0].Seq, len(v.alarms.seen))
	}
}
