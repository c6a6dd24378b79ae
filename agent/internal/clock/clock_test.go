package clock

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/longan-edge/longan"
)

// fake is a board's clocks, to be set.
type fake struct {
	wall   time.Time
	mono   time.Duration
	synced bool
}

func (f *fake) clock() *Clock {
	return &Clock{
		Boot: "b1", Wall: func() time.Time { return f.wall }, Mono: func() time.Duration { return f.mono },
		Synced: func() bool { return f.synced },
	}
}

// pass lets time pass.
func (f *fake) pass(d time.Duration) {
	f.wall, f.mono = f.wall.Add(d), f.mono+d
}

var (
	day  = time.Date(2026, 12, 24, 8, 0, 0, 0, time.UTC)
	past = time.Unix(17, 0)
)

func TestNowTellsItsQuality(t *testing.T) {
	never := time.Time{}
	for _, c := range []struct {
		name               string
		wall               time.Time
		synced             bool
		floor, hint, heard time.Time // by Raise, Hint and Observe; zero is not
		want               time.Time
		quality            string
	}{
		{"synced", day, true, never, never, never, day, longan.ClockNTP},
		{"set once", day, false, never, never, never, day, longan.ClockRTC},
		{"woke up in 1970", past, false, never, never, never, floor, longan.ClockFloor},
		{"synced to nonsense", past, true, never, never, never, floor, longan.ClockFloor},
		{"empty battery: 2099", day.AddDate(73, 0, 0), false, never, never, never, floor, longan.ClockFloor},
		{"two weeks behind what the spool remembers", day.AddDate(0, 0, -14), false, day, never, never, day, longan.ClockFloor},
		{"two weeks behind what the files say", day.AddDate(0, 0, -14), false, never, day, never, day, longan.ClockFloor},
		{"the files were written by a wrong clock", day.AddDate(0, 0, -14), true, never, day, never, day.AddDate(0, 0, -14), longan.ClockNTP},
		{"synced to itself, two weeks behind", day.AddDate(0, 0, -14), true, day, never, never, day, longan.ClockFloor},
		{"floor and files", past, false, day, day.Add(time.Hour), never, day.Add(time.Hour), longan.ClockFloor},
		{"files before the floor", past, false, day, day.Add(-time.Hour), never, day, longan.ClockFloor},
		{"files from 2099", past, false, never, day.AddDate(73, 0, 0), never, floor, longan.ClockFloor},
		{"1970, and the city is heard", past, false, never, never, day, day, longan.ClockCity},
		{"a clock that is off by two minutes, and the city", day.Add(2 * time.Minute), false, never, never, day, day, longan.ClockCity},
		{"a clock that is off by fifty years, and the city", day.AddDate(-50, 0, 0), false, never, never, day, day, longan.ClockCity},
		{"synced, and the city", day, true, never, never, day.Add(-time.Second), day, longan.ClockNTP},
		{"synced to nonsense, and the city", past, true, never, never, day, day, longan.ClockCity},
		{"the floor was wrong, says the city", past, false, day.AddDate(5, 0, 0), never, day, day, longan.ClockCity},
		{"the city is before the program", day, false, never, never, floor.Add(-time.Second), day, longan.ClockRTC},
		{"the city is in 2099", past, false, never, never, day.AddDate(73, 0, 0), floor, longan.ClockFloor},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fake{wall: c.wall, mono: 5 * time.Second, synced: c.synced}
			clock := f.clock()
			clock.Raise(c.floor)
			clock.Hint(c.hint)
			clock.Observe(c.heard)
			got := clock.Now()
			want := Stamp{Time: c.want.UTC(), Quality: c.quality, Mono: 5 * time.Second}
			if got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

// TestCityTimeGoesOn: between two acks the board's own clock carries the city's
// time on, whatever becomes of the wall clock.
func TestCityTimeGoesOn(t *testing.T) {
	f := &fake{wall: past}
	clock := f.clock()
	clock.Observe(day)
	f.pass(10 * time.Second)
	f.wall = f.wall.AddDate(50, 0, 0)
	want := Stamp{Time: day.Add(10*time.Second - time.Millisecond), Quality: longan.ClockCity, Mono: 10 * time.Second}
	if got := clock.Now(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	clock.Observe(day.Add(2 * time.Second)) // it was eight seconds on its way
	if got := clock.Now(); got != want {
		t.Errorf("after a late ack: got %+v, want %+v", got, want)
	}
	clock.Observe(day.Add(10500 * time.Millisecond))
	want.Time = day.Add(10500 * time.Millisecond)
	if got := clock.Now(); got != want {
		t.Errorf("after a quick ack: got %+v, want %+v", got, want)
	}
}

// TestCityTimeIsALowerBound: with acks of any delay and any clock that runs by up
// to 100 ppm wrong, the board's time never gets ahead of the city's, never runs
// backwards, and is behind by no more than the quickest ack's delay and what the
// clocks have drifted since.
func TestCityTimeIsALowerBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := &fake{wall: past}
		clock := f.clock()
		ppm := rapid.IntRange(-100, 100).Draw(t, "ppm")
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		city, last, lag := day, time.Time{}, time.Duration(-1)
		for range 200 {
			step := time.Duration(rng.Int64N(int64(time.Hour)))
			city = city.Add(step)
			f.pass(step + step/1e6*time.Duration(ppm))
			if lag >= 0 {
				lag += step/5000 + time.Microsecond
			}
			if rng.IntN(3) > 0 {
				delay := time.Duration(rng.Int64N(int64(20 * time.Second)))
				clock.Observe(city.Add(-delay))
				if lag < 0 || delay < lag {
					lag = delay
				}
			}
			if lag < 0 {
				continue
			}
			now := clock.Now().Time
			const ms = time.Millisecond // times are cut to it
			if now.After(city) || now.Before(last) || city.Sub(now) > lag+ms {
				t.Fatalf("the city has %v, the board %v after %v; want behind by at most %v", city, now, last, lag)
			}
			last = now
		}
	})
}

func TestObserved(t *testing.T) {
	f := &fake{wall: past}
	clock := f.clock()
	before := clock.Observed()
	closed := func(c <-chan struct{}) bool {
		select {
		case <-c:
			return true
		default:
			return false
		}
	}
	clock.Observe(past) // nonsense
	if closed(before) {
		t.Error("a time of 1970 counts as the city's")
	}
	for range 2 {
		clock.Observe(day)
		if !closed(before) || !closed(clock.Observed()) {
			t.Error("the city was heard, and nobody is told")
		}
	}
	if late := f.clock(); closed(late.Observed()) {
		t.Error("the city was not heard")
	} else if late.Observe(day); !closed(late.Observed()) {
		t.Error("who asks later is not told")
	}
}

func TestBetter(t *testing.T) {
	order := []string{"", longan.ClockFloor, longan.ClockRTC, longan.ClockCity, longan.ClockNTP}
	for i, a := range order {
		for j, b := range order {
			if got, want := Better(a, b), i > j; got != want {
				t.Errorf("Better(%q, %q) is %v, want %v", a, b, got, want)
			}
		}
	}
}

func TestLastWritten(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	for name, at := range map[string]time.Time{a: day, b: day.Add(time.Hour)} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, at, at); err != nil {
			t.Fatal(err)
		}
	}
	if got := LastWritten(b, a, filepath.Join(dir, "none")); !got.Equal(day.Add(time.Hour)) {
		t.Errorf("got %v, want that of the newer file", got)
	}
	if got := LastWritten(filepath.Join(dir, "none")); !got.IsZero() {
		t.Errorf("without a file: got %v, want zero", got)
	}
}

func TestSystemClockRuns(t *testing.T) {
	c := System()
	if !longan.ValidName(c.Boot) {
		t.Errorf("boot id %q is no name of the contract", c.Boot)
	}
	a := c.Now()
	if b := c.Now(); b.Mono < a.Mono || a.Mono == 0 {
		t.Errorf("time since boot went from %v to %v", a.Mono, b.Mono)
	}
}
