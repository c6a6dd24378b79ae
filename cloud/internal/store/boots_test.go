package store

import (
	"slices"
	"testing"
	"time"

	"github.com/longan-edge/longan"
)

// began is when the boots of these tests began in truth.
var began = noon.Add(-time.Hour)

// timed adds an event of a boot at mono, whose clock is wrong by off.
func timed(b *longan.Batch, seq uint64, boot, clock string, mono, off time.Duration) {
	e := event(b, seq)
	e.Boot, e.Clock, e.Mono, e.Time = boot, clock, mono, began.Add(mono+off)
	b.Events = append(b.Events, e)
}

// happened lists the events of the store by arrival: how long after began each
// happened, by which clock, and whether that is a correction.
func happened(t *testing.T, s *Store) (out []string) {
	t.Helper()
	events, err := s.Events(t.Context(), Query{Device: mawei})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range slices.Backward(events) {
		at, clock := e.Happened()
		line := at.Sub(began).String() + " " + clock
		if !e.Corrected.IsZero() {
			line += " corrected"
		}
		out = append(out, line)
	}
	return out
}

const since1970 = -56 * 365 * 24 * time.Hour // about

// TestTimesAreCorrectedWithinABoot: a board begins in 1970; what it tells later
// with a true clock gives its earlier events of the same boot their times.
func TestTimesAreCorrectedWithinABoot(t *testing.T) {
	path := newPath(t)
	s := open(t, path, Options{})
	b := batch(longan.State, 1)
	timed(b, 1, "b1", longan.ClockFloor, time.Minute, since1970)
	timed(b, 2, "b2", longan.ClockFloor, 2*time.Minute, since1970)
	timed(b, 3, "b1", longan.ClockRTC, 3*time.Minute, time.Hour)
	unset := event(b, 4)
	unset.Boot, unset.Mono, unset.Time, unset.Clock = "b1", 4*time.Minute, time.Time{}, ""
	b.Events = append(b.Events, unset)
	nothing := event(b, 5)
	nothing.Boot, nothing.Mono, nothing.Time, nothing.Clock = "b3", 5*time.Minute, time.Time{}, ""
	b.Events = append(b.Events, nothing)
	ingest(t, s, b)
	floor2 := (2*time.Minute + since1970).String() + " floor"
	never := time.Time{}.Sub(began).String() + " "
	check := func(want ...string) {
		t.Helper()
		if got := happened(t, s); !slices.Equal(got, want) {
			t.Errorf("got\n%q\nwant\n%q", got, want)
		}
	}
	check("1h1m0s rtc corrected", floor2, "1h3m0s rtc", "1h4m0s rtc corrected", never)

	s.Close()
	s = open(t, path, Options{})
	b = batch(longan.State, 1)
	timed(b, 6, "b1", longan.ClockCity, 10*time.Minute, 0)
	timed(b, 7, "b1", longan.ClockCity, 11*time.Minute, time.Second) // a second city time does not move the first
	timed(b, 8, "b1", longan.ClockFloor, 12*time.Minute, -time.Hour) // a step backwards
	ingest(t, s, b)
	check("1m0s city corrected", floor2, "3m0s city corrected", "4m0s city corrected", never,
		"10m0s city", "11m1s city", "12m0s city corrected")

	// A status may know better.
	st := &longan.Status{Device: mawei, Session: "s1", N: 1, State: longan.Online, Full: true,
		Boot: "b2", Mono: 20 * time.Minute, Time: began.Add(20*time.Minute + 5*time.Second), Clock: longan.ClockNTP}
	if err := s.SaveStatus(t.Context(), noon, st); err != nil {
		t.Fatal(err)
	}
	check("1m0s city corrected", "2m5s ntp corrected", "3m0s city corrected", "4m0s city corrected", never,
		"10m0s city", "11m1s city", "12m0s city corrected")

	checks, err := s.Check(t.Context())
	if err != nil || len(checks) != 1 || !checks[0].InOrder || !checks[0].Contiguous || checks[0].Acked != 8 {
		t.Errorf("check %+v, %v: want 8 in order", checks, err)
	}
	boots, err := s.Boots(t.Context(), mawei)
	if err != nil || len(boots) != 3 {
		t.Fatalf("boots %+v, %v: want 3", boots, err)
	}
	if got := boots[0]; !got.Began.Equal(began) || got.Clock != longan.ClockCity || got.Boot != "b1" {
		t.Errorf("boot %+v: want b1 from %v by city", got, began)
	}
	if got := boots[2]; !got.Began.IsZero() || got.Clock != "" {
		t.Errorf("boot %+v: want no beginning known", got)
	}
}

// TestBootsOfTwoDevicesAreApart: a boot's id is random, but of one device only.
func TestBootsOfTwoDevicesAreApart(t *testing.T) {
	s := open(t, newPath(t), Options{})
	b := batch(longan.State, 1)
	timed(b, 1, "b1", longan.ClockFloor, time.Minute, since1970)
	other := batch(longan.State, 1)
	other.Device = "621222101-01"
	timed(other, 1, "b1", longan.ClockNTP, time.Minute, 0)
	ingest(t, s, b, other)
	if got, want := happened(t, s), (time.Minute+since1970).String()+" floor"; len(got) != 1 || got[0] != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestTwoWritersAgreeOnABoot: what another process stored in between counts as
// well, and a transaction that fails leaves nothing in memory.
func TestTwoWritersAgreeOnABoot(t *testing.T) {
	path := newPath(t)
	s, other := open(t, path, Options{}), open(t, path, Options{})
	b := batch(longan.State, 1)
	timed(b, 1, "b1", longan.ClockFloor, time.Minute, since1970)
	ingest(t, s, b)
	b = batch(longan.Alarm, 1)
	timed(b, 1, "b1", longan.ClockNTP, 2*time.Minute, 0)
	ingest(t, other, b)
	b = batch(longan.State, 1)
	timed(b, 2, "b1", longan.ClockCity, 3*time.Minute, time.Hour) // s does not know of the better one
	ingest(t, s, b)
	want := []string{"1m0s ntp corrected", "2m0s ntp", "3m0s ntp corrected"}
	if got := happened(t, s); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}

	b = batch(longan.State, 1)
	timed(b, 3, "b9", longan.ClockNTP, time.Minute, 0)
	bad := batch(longan.State, 1)
	bad.Epoch = "e2"
	bad.Events = []longan.Event{{Seq: 0, Type: "x.y"}} // CHECK (seq > 0)
	if _, err := s.Ingest(t.Context(), []*longan.Batch{b, bad}, noon); err == nil {
		t.Fatal("seq 0: no error")
	}
	ingest(t, s, b)
	if err := s.Integrity(t.Context()); err != nil {
		t.Error(err)
	}
	if boots, err := s.Boots(t.Context(), ""); err != nil || len(boots) != 2 || boots[1].Clock != longan.ClockNTP {
		t.Errorf("boots %+v, %v: want b9 by ntp", boots, err)
	}
}
