package link

import (
	"cmp"
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func TestPlay(t *testing.T) {
	oneProcessor(t)
	synctest.Test(t, func(t *testing.T) {
		l := New(1, Conditions{})
		s := Schedule{{time.Second, thin}, {time.Hour, Conditions{}}}.With(time.Minute, 2*time.Minute, Conditions{Down: true})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ended := make(chan error, 1)
		go func() { ended <- l.Play(ctx, s) }()
		for _, want := range []Step{
			{500 * time.Millisecond, Conditions{}},
			{2 * time.Second, thin},
			{time.Minute + time.Second, Conditions{Down: true}},
			{3*time.Minute - time.Second, Conditions{Down: true}},
			{3*time.Minute + time.Second, thin},
			{time.Hour + time.Second, Conditions{}},
		} {
			time.Sleep(want.At - s.elapsed())
			if got := l.Conditions(); got != want.Conditions {
				t.Errorf("after %v: got %+v, want %+v", want.At, got, want.Conditions)
			}
			if got := s.At(want.At); got != want.Conditions {
				t.Errorf("At(%v): got %+v, want %+v", want.At, got, want.Conditions)
			}
		}
		if err := <-ended; err != nil {
			t.Errorf("Play: %v", err)
		}
		cancel()
		if err := l.Play(ctx, s); err != context.Canceled {
			t.Errorf("Play after the end: %v", err)
		}
	})
}

// elapsed is the time since the bubble's beginning.
func (Schedule) elapsed() time.Duration {
	return time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC))
}

func TestWithKeepsTheRest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := LossyMobile().Schedule(rapid.Uint64().Draw(t, "seed"), 24*time.Hour)
		at := time.Duration(rapid.Int64Range(0, int64(24*time.Hour)).Draw(t, "at"))
		long := time.Duration(rapid.Int64Range(1, int64(12*time.Hour)).Draw(t, "long"))
		down := Conditions{Down: true}
		with := s.With(at, long, down)
		if !slices.IsSortedFunc(with, func(a, b Step) int { return cmp.Compare(a.At, b.At) }) {
			t.Error("steps are not in order")
		}
		for range 20 {
			moment := time.Duration(rapid.Int64Range(0, int64(48*time.Hour)).Draw(t, "moment"))
			want := s.At(moment)
			if moment >= at && moment < at+long {
				want = down
			}
			if got := with.At(moment); got != want {
				t.Errorf("at %v: got %+v, want %+v", moment, got, want)
			}
		}
	})
}

func TestMobile(t *testing.T) {
	const month = 30 * 24 * time.Hour
	m := LossyMobile()
	s := m.Schedule(1, month)
	if !slices.Equal(s, m.Schedule(1, month)) || slices.Equal(s, m.Schedule(2, month)) {
		t.Error("the schedule does not follow from the seed")
	}
	spent := map[string]time.Duration{}
	holes, longest := 0, time.Duration(0)
	for i, step := range s[:len(s)-1] {
		long := s[i+1].At - step.At
		if long < 0 {
			t.Fatalf("step %d at %v comes after one at %v", i+1, s[i+1].At, step.At)
		}
		name := "good"
		switch {
		case step.BlackHole != 0:
			name = "hole"
			holes++
			longest = max(longest, long)
		case step.Conditions == m.Bad:
			name = "bad"
		case step.Conditions != m.Good:
			t.Fatalf("step %d: %+v", i, step)
		}
		spent[name] += long
	}
	// 1440 cell changes and 60 longer holes, a spell of 10 minutes in 130.
	if holes < 1300 || holes > 1700 || longest < 4*time.Minute || longest > m.HoleMost {
		t.Errorf("%d holes, the longest %v", holes, longest)
	}
	if bad := float64(spent["bad"]) / float64(month); bad < 0.05 || bad > 0.1 {
		t.Errorf("bad for %.3f of the time, %v", bad, spent)
	}
	if got := (Mobile{Good: thin}).Schedule(1, month); len(got) != 1 || got.At(month) != thin {
		t.Errorf("always good: got %+v", got)
	}
}
