package live

import (
	"encoding/json"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/longan-edge/longan"
)

const (
	board = longan.DeviceID("621202104-01")
	start = "2026-11-23T08:00:00Z"
)

// clock is a city clock that a test moves by hand.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func newClock(t *testing.T) *clock {
	t.Helper()
	at, err := time.Parse(time.RFC3339, start)
	if err != nil {
		t.Fatal(err)
	}
	return &clock{at}
}

func newView(t *testing.T) (*View, *clock) {
	t.Helper()
	c := newClock(t)
	return New(Config{Now: c.now, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Instance: "test"}), c
}

// heartbeat returns a live status; mono is the board's time since boot.
func heartbeat(session string, n uint64, mono time.Duration) *longan.Status {
	return &longan.Status{Device: board, Session: session, N: n, Epoch: "epoch-1", State: longan.Online,
		Time: time.Unix(0, 0).UTC(), Clock: longan.ClockFloor, Boot: "boot-1", Mono: mono, Version: "1"}
}

func will(session string) *longan.Status {
	return &longan.Status{Device: board, Session: session, Epoch: "epoch-1", State: longan.Offline}
}

// full returns a full status with one door in the given state, read age ago.
func full(session string, n uint64, mono time.Duration, door longan.PointState, age time.Duration) *longan.Status {
	s := heartbeat(session, n, mono)
	s.Full, s.Name = true, "马街镇综治中心"
	s.Points = map[string]longan.PointStatus{
		"front-door":   {State: door, Kind: "door", Label: "前门", Peripheral: "inputs", Age: age},
		"panic-button": {State: longan.Normal, Kind: "panic", Label: "一键报警", Peripheral: "inputs", Age: age},
	}
	s.Peripherals = map[string]longan.PeripheralStatus{"inputs": {OK: true, Driver: "modbus", Label: "采集模块", Age: age}}
	return s
}

func event(lane longan.Lane, seq uint64, typ, point string, mono time.Duration) longan.Event {
	e := longan.Event{Device: board, Epoch: "epoch-1", Lane: lane, Seq: seq, Type: typ, Point: point,
		Time: time.Unix(0, 0).UTC().Add(mono), Clock: longan.ClockFloor, Boot: "boot-1", Mono: mono}
	if lane == longan.Alarm {
		e.Data = json.RawMessage(`{"cause":"panic"}`)
	}
	return e
}

func get(t *testing.T, v *View) Center {
	t.Helper()
	c, ok := v.Center(board)
	if !ok {
		t.Fatalf("Center(%s): not known", board)
	}
	return c
}

func pointOf(t *testing.T, v *View, name string) Point {
	t.Helper()
	for _, p := range get(t, v).Points {
		if p.Name == name {
			return p
		}
	}
	t.Fatalf("point %s: not known", name)
	return Point{}
}

// step is one thing that happens, and the state and cause that follow.
type step struct {
	what     string
	wait     time.Duration
	status   *longan.Status
	retained bool
	events   []longan.Event
	state    State
	cause    Cause
}

func TestLiveness(t *testing.T) {
	tests := map[string][]step{
		"online, stale, offline, back": {
			{what: "birth", status: full("a", 1, 0, longan.Normal, 0), state: Online, cause: CauseLive},
			{what: "heartbeat", wait: 10 * time.Second, status: heartbeat("a", 2, 10*time.Second), state: Online, cause: CauseLive},
			{what: "just in time", wait: 14999 * time.Millisecond, state: Online, cause: CauseLive},
			{what: "15 s", wait: time.Millisecond, state: Stale, cause: CauseSilent},
			{what: "just below 19 s", wait: 3999 * time.Millisecond, state: Stale, cause: CauseSilent},
			{what: "19 s", wait: time.Millisecond, state: Offline, cause: CauseSilent},
			{what: "the same session goes on", status: heartbeat("a", 3, 40*time.Second), state: Online, cause: CauseLive},
		},
		"valid will": {
			{what: "birth", status: heartbeat("a", 1, 0), state: Online, cause: CauseLive},
			{what: "will", status: will("a"), state: Offline, cause: CauseWill},
			{what: "new session", status: heartbeat("b", 1, 0), state: Online, cause: CauseLive},
		},
		"late will of an old session": {
			{what: "birth", status: heartbeat("a", 1, 0), state: Online, cause: CauseLive},
			{what: "new birth before the old will", status: heartbeat("b", 1, 0), state: Online, cause: CauseLive},
			{what: "late will", status: will("a"), state: Online, cause: CauseLive},
			{what: "late heartbeat", status: heartbeat("a", 9, 0), state: Online, cause: CauseLive},
			{what: "its own will", status: will("b"), state: Offline, cause: CauseWill},
		},
		"a late heartbeat of an old session keeps nothing alive": {
			{what: "birth", status: heartbeat("a", 1, 0), state: Online, cause: CauseLive},
			{what: "new birth", status: heartbeat("b", 1, 0), state: Online, cause: CauseLive},
			{what: "late heartbeat", wait: 18 * time.Second, status: heartbeat("a", 2, 0), state: Stale, cause: CauseSilent},
		},
		"a heartbeat delivered twice keeps nothing alive": {
			{what: "birth", status: heartbeat("a", 1, 0), state: Online, cause: CauseLive},
			{what: "again", wait: 16 * time.Second, status: heartbeat("a", 1, 0), state: Stale, cause: CauseSilent},
		},
		"goodbye": {
			{what: "birth", status: heartbeat("a", 1, 0), state: Online, cause: CauseLive},
			{what: "goodbye", status: func() *longan.Status { s := will("a"); s.N = 2; return s }(), state: Offline, cause: CauseLeft},
		},
		"full goodbye without a number": {
			{what: "birth", status: heartbeat("a", 1, 0), state: Online, cause: CauseLive},
			{what: "goodbye", status: func() *longan.Status {
				s := full("a", 0, 0, longan.Normal, 0)
				s.State = longan.Offline
				return s
			}(), state: Offline, cause: CauseLeft},
		},
		"will of a session never heard": {
			{what: "will", status: will("a"), state: Unknown, cause: CauseNever},
			{what: "birth", status: heartbeat("b", 1, 0), state: Online, cause: CauseLive},
			{what: "will of another", status: will("c"), state: Online, cause: CauseLive},
		},
		"retained online at the city's start": {
			{what: "retained", status: full("a", 1, 0, longan.Normal, 0), retained: true, state: Unknown, cause: CauseRetained},
			{what: "an hour later", wait: time.Hour, state: Unknown, cause: CauseRetained},
			{what: "live", status: heartbeat("a", 2, time.Hour), state: Online, cause: CauseLive},
			{what: "retained again: the city reconnected", status: full("a", 1, 0, longan.Normal, 0), retained: true, state: Online, cause: CauseLive},
		},
		"will of the retained session": {
			{what: "retained", status: heartbeat("a", 1, 0), retained: true, state: Unknown, cause: CauseRetained},
			{what: "will", status: will("a"), state: Offline, cause: CauseWill},
		},
		"retained will at the city's start": {
			{what: "retained", status: will("a"), retained: true, state: Unknown, cause: CauseRetainedWill},
			{what: "silence", wait: 20 * time.Second, state: Offline, cause: CauseWill},
		},
		"retained late will, the board lives": {
			{what: "retained", status: will("a"), retained: true, state: Unknown, cause: CauseRetainedWill},
			{what: "heartbeat", wait: 9 * time.Second, status: heartbeat("b", 7, 0), state: Online, cause: CauseLive},
		},
		"two retained, then the first of them speaks": {
			{what: "of the store", status: heartbeat("b", 1, 0), retained: true, state: Unknown, cause: CauseRetained},
			{what: "of the broker", status: heartbeat("a", 1, 0), retained: true, state: Unknown, cause: CauseRetained},
			{what: "live", status: heartbeat("b", 2, 0), state: Online, cause: CauseLive},
		},
		"events keep alive but do not wake": {
			{what: "never heard", events: []longan.Event{event(longan.State, 1, longan.DoorOpened, "front-door", 0)}, state: Unknown, cause: CauseNever},
			{what: "birth", status: heartbeat("a", 1, 0), state: Online, cause: CauseLive},
			{what: "event", wait: 14 * time.Second, events: []longan.Event{event(longan.State, 2, longan.DoorOpened, "front-door", 0)}, state: Online, cause: CauseLive},
			{what: "still", wait: 14 * time.Second, state: Online, cause: CauseLive},
			{what: "offline", wait: 6 * time.Second, state: Offline, cause: CauseSilent},
			{what: "late event", events: []longan.Event{event(longan.State, 3, longan.DoorClosed, "front-door", 0)}, state: Offline, cause: CauseSilent},
		},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			v, now := newView(t)
			for _, s := range steps {
				now.t = now.t.Add(s.wait)
				if s.status != nil {
					v.ApplyStatus(s.status, s.retained)
				}
				v.ApplyEvents(s.events)
				c := get(t, v)
				if c.State != s.state || c.Cause != s.cause {
					t.Fatalf("%s: got %s (%s), want %s (%s)", s.what, c.State, c.Cause, s.state, s.cause)
				}
			}
		})
	}
}

func TestSinceIsWhenTheStateBegan(t *testing.T) {
	v, now := newView(t)
	t0 := now.t
	v.ApplyStatus(heartbeat("a", 1, 0), false)
	now.t = now.t.Add(time.Hour)
	if got, want := get(t, v).Since, t0.Add(DefaultOfflineAfter); !got.Equal(want) {
		t.Errorf("Since of an offline center: got %v, want %v", got, want)
	}
}
