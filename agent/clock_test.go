package agent

import (
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/gpio"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/agent/internal/spool"
	"github.com/longan-edge/longan/drivers"
)

// wallClock is a board's wall clock that can be stepped while time passes.
type wallClock struct {
	boot   time.Time
	step   atomic.Int64 // seconds that it is off
	synced atomic.Bool
}

// The days of these tests: later than any file that they write.
var testToday = time.Date(2040, 3, 1, 8, 0, 0, 0, time.UTC)

// now returns the right time.
func (w *wallClock) now() time.Time { return testToday.Add(time.Since(w.boot)) }

// set makes the clock say t.
func (w *wallClock) set(t time.Time) { w.step.Store(int64(t.Sub(w.now()) / time.Second)) }

func (w *wallClock) clock() *Clock {
	return &Clock{
		Boot: "boot1", Wall: func() time.Time { return w.now().Add(time.Duration(w.step.Load()) * time.Second) },
		Mono: func() time.Duration { return time.Since(w.boot) }, Synced: w.synced.Load,
	}
}

// oneProcessor runs a bubble on one processor until the returned function is
// called: the race detector of Go 1.26 dies when two of them run timers of one
// bubble at the same time.
func oneProcessor() (restore func()) {
	before := runtime.GOMAXPROCS(1)
	return func() { runtime.GOMAXPROCS(before) }
}

// events returns what the spool in dir holds of the state lane.
func events(t *testing.T, dir string) (all []longan.Event) {
	t.Helper()
	sp, err := spool.Open(dir, spool.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer sp.Close()
	records, err := sp.Read(longan.State, 1, 1000, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		e, err := longan.ParseEvent(r.JSON)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// swing moves the door, and back.
func (b *board) swing() {
	for _, level := range []gpio.Level{gpio.High, gpio.Low} {
		b.door.Set(level)
		time.Sleep(5 * time.Second)
	}
}

// TestC1EventsOfABoardWithAWrongClock: whatever the wall clock says at the start
// and does later, every event has the boot and the time since, in the order of
// its number; once the city is heard, events have its time.
func TestC1EventsOfABoardWithAWrongClock(t *testing.T) {
	for _, c := range []struct {
		name    string
		start   time.Time
		quality string // before the city is heard
	}{
		{"1970", time.Unix(17, 0), longan.ClockFloor},
		{"at a time that was saved at the last shutdown", testToday.AddDate(0, -1, 0), longan.ClockRTC},
		{"two weeks behind", testToday.AddDate(0, 0, -14), longan.ClockRTC},
		{"fifty years ahead", testToday.AddDate(50, 0, 0), longan.ClockFloor},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			defer oneProcessor()()
			synctest.Test(t, func(t *testing.T) {
				b, w := newBoard(t, dir), &wallClock{boot: time.Now()}
				b.clock = w.clock()
				b.clock.Raise(testToday.AddDate(0, -1, 0)) // as the spool may remember
				w.set(c.start)
				b.start()
				b.want("agent.started")
				b.swing()
				b.clock.Observe(w.now())
				heard := time.Since(w.boot)
				b.swing()
				w.set(w.now().AddDate(-50, 0, 0))
				b.swing()
				w.set(w.now().AddDate(50, 0, 0))
				b.swing()
				b.stop()
				checkC1(t, events(t, dir), heard, c.quality, w.boot)
			})
		})
	}
}

// checkC1 looks at the events of a board that heard the city at that time since
// boot.
func checkC1(t *testing.T, all []longan.Event, heard time.Duration, quality string, boot time.Time) {
	t.Helper()
	if len(all) != 1+4*2+1 {
		t.Fatalf("%d events, want a start, eight of the door, and one of the clock", len(all))
	}
	last := time.Duration(-1)
	for i, e := range all {
		if e.Seq != uint64(i+1) || e.Boot != "boot1" || e.Mono < last {
			t.Errorf("event %d: seq %d, boot %q, %v since then after %v", i, e.Seq, e.Boot, e.Mono, last)
		}
		last = e.Mono
		want := quality
		if e.Mono >= heard.Truncate(time.Millisecond) {
			want = longan.ClockCity
		}
		if e.Clock != want {
			t.Errorf("event %d: %s by %s, want %s", i, e.Type, e.Clock, want)
		}
		right := testToday.Add(e.Mono)
		if off := e.Time.Sub(right); want == longan.ClockCity && off.Abs() > 10*time.Millisecond {
			t.Errorf("event %d: off by %v", i, off)
		}
	}
	synced := slices.IndexFunc(all, func(e longan.Event) bool { return e.Type == longan.ClockSynced })
	if synced != 3 {
		t.Fatalf("clock.synced is event %d, want 3, before those that have the city's time", synced)
	}
	var data struct {
		From, Clock string
		Offset      int64
	}
	if err := json.Unmarshal(all[synced].Data, &data); err != nil {
		t.Fatal(err)
	}
	// By the offset the last event before can be put right.
	before := all[synced-1]
	off := before.Time.Add(time.Duration(data.Offset) * time.Millisecond).Sub(testToday.Add(before.Mono))
	if data.From != quality || data.Clock != longan.ClockCity || (quality == longan.ClockRTC && off.Abs() > time.Second) {
		t.Errorf("got %+v, want from %s to city; it puts the event before off by %v", data, quality, off)
	}
}

// TestC1TheFloorIsRemembered: a board that heard the city and wakes up in 1970 again
// goes on from the last time that it knew, though nothing happened since.
func TestC1TheFloorIsRemembered(t *testing.T) {
	dir := t.TempDir()
	defer oneProcessor()()
	synctest.Test(t, func(t *testing.T) {
		b, w := newBoard(t, dir), &wallClock{boot: time.Now()}
		b.clock = w.clock()
		w.set(time.Unix(17, 0))
		b.start()
		b.want("agent.started")
		b.clock.Observe(w.now())
		b.want("clock.synced")
		time.Sleep(time.Hour)
		b.stop()
		known := w.now()
		time.Sleep(time.Hour)

		b.clock = w.clock()
		w.set(time.Unix(17, 0))
		b.start()
		b.want("agent.started")
		b.stop()
		all := events(t, dir)
		last := all[len(all)-1]
		if off := last.Time.Sub(known); last.Clock != longan.ClockFloor || off > 0 || off < -2*time.Second {
			t.Errorf("started at %v by %s, want about %v by floor", last.Time, last.Clock, known)
		}
	})
}

// TestClockSyncedOnceABetterClock: one event a rise, none for a fall, and none
// for a rise to what it was before.
func TestClockSyncedOnceABetterClock(t *testing.T) {
	dir := t.TempDir()
	defer oneProcessor()()
	synctest.Test(t, func(t *testing.T) {
		b, w := newBoard(t, dir), &wallClock{boot: time.Now()}
		b.clock = w.clock()
		w.set(time.Unix(17, 0))
		b.start()
		b.want("agent.started")
		b.clock.Observe(w.now())
		b.want("clock.synced")
		w.set(w.now())
		w.synced.Store(true)
		time.Sleep(clockEvery)
		b.want("clock.synced")
		for _, synced := range []bool{false, true} {
			w.synced.Store(synced)
			b.clock.Observe(w.now())
			time.Sleep(2 * clockEvery)
		}
		b.want()
		b.stop()
		var got []string
		for _, e := range events(t, dir) {
			if e.Type == longan.ClockSynced {
				var data struct{ From, Clock string }
				if err := json.Unmarshal(e.Data, &data); err != nil {
					t.Fatal(err)
				}
				got = append(got, data.From+" "+data.Clock)
			}
		}
		if want := []string{"floor city", "city ntp"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// TestC3NothingWaitsForTheWallClock: while the wall clock jumps by fifty years
// and back every few seconds, inputs are read, held and reported in time, what is
// silent is noticed, and the status tells the right ages.
func TestC3NothingWaitsForTheWallClock(t *testing.T) {
	dir := t.TempDir()
	defer oneProcessor()()
	synctest.Test(t, func(t *testing.T) {
		b, w := newBoard(t, dir), &wallClock{boot: time.Now()}
		b.clock = w.clock()
		w.synced.Store(true) // it can't get better than it is at the start
		b.start()
		b.want("agent.started")
		for i := range 20 {
			w.set(w.now().AddDate(50*(i%3-1), 0, 0))
			w.synced.Store(i%2 == 0)
			b.door.Set(gpio.High)
			b.want("door.opened front-door")
			w.set(w.now().AddDate(-50*(i%3-1), 0, 0))
			b.panic.Set(gpio.Low)
			b.want("alarm.raised panic-button")
			b.panic.Set(gpio.High)
			b.want("alarm.restored panic-button")
			b.door.Set(gpio.Low)
			b.want("door.closed front-door")
		}
		b.stop()
		last := longan.Event{Mono: -1}
		for _, e := range events(t, dir) {
			if e.Seq != last.Seq+1 || e.Mono <= last.Mono {
				t.Errorf("event %d at %v comes after %d at %v", e.Seq, e.Mono, last.Seq, last.Mono)
			}
			last = e
		}
	})
}

// TestC3StatusTellsAgesByTheTimeThatPassed: since when a state holds is known
// better once the clock is better, and ages do not care.
func TestC3StatusTellsAgesByTheTimeThatPassed(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		c, w := newTestCenter(t, dir), &wallClock{boot: time.Now()}
		c.cfg.Clock = w.clock()
		w.set(time.Unix(17, 0))
		if err := c.emit(t.Context(), "board-inputs", drivers.Reading{Point: "front-door", State: longan.Normal}); err != nil {
			t.Fatal(err)
		}
		look := func() string {
			p := c.status().Points["front-door"]
			since := "never"
			if !p.Since.IsZero() {
				since = p.Since.Sub(testToday).Round(time.Second).String()
			}
			return fmt.Sprint(p.State, " ", since, " ", p.Age)
		}
		check := func(want string) {
			t.Helper()
			if got := look(); got != want {
				t.Errorf("after %v: got %s, want %s", time.Since(w.boot), got, want)
			}
		}
		check("normal never 0s") // in 1970 nobody knows since when
		time.Sleep(10 * time.Second)
		c.cfg.Clock.Observe(w.now())
		check("normal 0s 10s")
		w.set(w.now().AddDate(50, 0, 0))
		time.Sleep(10 * time.Second)
		check("normal 0s 20s")
		first := c.status().Points["front-door"].Since
		time.Sleep(3 * time.Second)
		if again := c.status().Points["front-door"].Since; !again.Equal(first) {
			t.Errorf("the same state holds since %v and since %v", first, again)
		}
		w.set(w.now().AddDate(-50, 0, 0))
		time.Sleep(10 * time.Second)
		check("unknown 0s 33s") // silent: it is unknown since it was last read
		if err := c.emit(t.Context(), "board-inputs", drivers.Reading{Point: "front-door", State: longan.Normal}); err != nil {
			t.Fatal(err)
		}
		check("normal 0s 0s")
	})
}
