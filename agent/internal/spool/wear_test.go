package spool

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/longan-edge/longan"
)

// TestC3WearIsTakenOverTimeThatPassed: the rate of writing goes on from run to
// run, and no step of the wall clock changes it: it is of the time the spool was
// open.
func TestC3WearIsTakenOverTimeThatPassed(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var total uint64
		for run := 1; run <= 3; run++ {
			s := openTest(t, dir)
			s.mu.Lock()
			s.wear.Since = s.wear.Since.AddDate(50*(run%2*2-1), 0, 0) // as if the clock had been wrong when it began
			s.mu.Unlock()
			appendN(t, s, longan.State, 3)
			time.Sleep(2 * time.Hour)
			appendN(t, s, longan.State, 3)
			st := s.Stats()
			if st.Written <= total {
				t.Errorf("run %d: %d bytes written in all, after %d", run, st.Written, total)
			}
			total = st.Written
			s.mu.Lock()
			ran := s.wear.ran(time.Now())
			s.mu.Unlock()
			if want := time.Duration(run) * 2 * time.Hour; ran.Round(time.Minute) != want {
				t.Errorf("run %d: the spool was open for %v, want %v", run, ran, want)
			}
			if st.Life == 0 {
				t.Errorf("run %d: no estimate for the card", run)
			}
			s.Close()
		}
	})
}

// TestWearOfAnOlderFile: without the time the spool was open, what was written
// tells no rate.
func TestWearOfAnOlderFile(t *testing.T) {
	var w wear
	w.resume(wear{Day: 1, Today: 10, Total: 1 << 40, Since: time.Unix(0, 0)})
	if w.Total != 0 || !w.Since.IsZero() || w.Today != 10 {
		t.Errorf("got %+v, want to begin anew", w)
	}
}

// TestAnIdleBoardRemembersTheTime: the floor rides along whenever the second
// file is written, whether there was an event or not.
func TestAnIdleBoardRemembersTheTime(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		quality string
		want    bool
	}{{longan.ClockRTC, false}, {longan.ClockCity, true}} {
		at := time.Date(2027, 3, 1, 8, 0, 0, 0, time.UTC)
		s, err := Open(dir, Options{Stamp: func(e *longan.Event) { e.Time, e.Clock = at, c.quality }})
		if err != nil {
			t.Fatal(err)
		}
		at = at.Add(time.Hour)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = openTest(t, dir)
		want := time.Time{}
		if c.want {
			want = at
		}
		if got := s.ClockFloor(); !got.Equal(want) {
			t.Errorf("by %s: floor %v, want %v", c.quality, got, want)
		}
		s.Close()
	}
}
