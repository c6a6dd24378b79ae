package spool

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/longan-edge/longan"
)

// TestPace plays producers in simulated time against commits of a millisecond
// and looks at what it costs them.
func TestPace(t *testing.T) {
	const commit = time.Millisecond
	for _, c := range []struct {
		name      string
		next      func(answered time.Duration, before time.Duration, rng *rand.Rand) time.Duration // when the next event comes
		wantGroup [2]float64                                                                       // least and most mean events a commit
		wantLate  time.Duration                                                                    // at most, on average
	}{
		{"idle", func(_, before time.Duration, rng *rand.Rand) time.Duration {
			return before + time.Duration(rng.ExpFloat64()*float64(time.Second))
		}, [2]float64{1, 1.1}, time.Millisecond},
		{"100 a second", func(_, before time.Duration, rng *rand.Rand) time.Duration {
			return before + time.Duration(rng.ExpFloat64()*float64(10*time.Millisecond))
		}, [2]float64{2, 4}, 20 * time.Millisecond},
		{"200 a second", func(_, before time.Duration, rng *rand.Rand) time.Duration {
			return before + time.Duration(rng.ExpFloat64()*float64(5*time.Millisecond))
		}, [2]float64{3, 8}, 20 * time.Millisecond},
		{"one after the other", func(answered, _ time.Duration, _ *rand.Rand) time.Duration {
			return answered + 20*time.Microsecond
		}, [2]float64{1, 1}, 50 * time.Microsecond},
		{"one after the other, thinking", func(answered, _ time.Duration, _ *rand.Rand) time.Duration {
			return answered + 5*time.Millisecond
		}, [2]float64{1, 1}, time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 2))
			p := pace{gap: pacedMost * 2, pays: 1}
			start := time.Unix(0, 0)
			var now, at, late time.Duration
			commits, events := 0, 0
			at = c.next(0, 0, rng)
			for events < 5000 {
				now = max(now, at)
				p.arrived(start.Add(at))
				n := 1
				first := now
				at = c.next(1<<62, at, rng)
				wait, enough := p.wait(start.Add(now))
				if wait > 0 && n < enough {
					for at <= now+wait && n < enough {
						p.arrived(start.Add(at))
						n++
						at = c.next(1<<62, at, rng)
					}
					now += wait
					p.waited(n-1, wait)
				}
				late += now - first
				now += commit
				known := n
				for at <= now { // while the commit was under way
					known++
					break
				}
				p.committed(start.Add(now), known)
				if at > 1<<61 {
					at = c.next(now, now, rng)
				}
				commits++
				events += n
			}
			group := float64(events) / float64(commits)
			if group < c.wantGroup[0] || group > c.wantGroup[1] {
				t.Errorf("%.2f events a commit, want %v", group, c.wantGroup)
			}
			if mean := late / time.Duration(commits); mean > c.wantLate {
				t.Errorf("commits waited %v on average, want %v at most", mean, c.wantLate)
			}
		})
	}
}

func TestAnAlarmDoesNotWait(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		appendLate := func(l longan.Lane) time.Duration {
			begin := time.Now()
			if err := s.Append(t.Context(), Entry{Event: testEvent(l, "door.opened", "a")}); err != nil {
				t.Error(err)
			}
			return time.Since(begin)
		}
		var late [200]time.Duration
		var running sync.WaitGroup
		for i := range late { // a hundred a second, each on its own
			running.Go(func() { late[i] = appendLate(longan.State) })
			time.Sleep(10 * time.Millisecond)
		}
		running.Wait()
		waited := slices.Max(late[:])
		if waited == 0 || waited > linger {
			t.Errorf("states waited %v, want some and at most %v", waited, linger)
		}
		running.Go(func() { appendLate(longan.State) }) // begins a group
		time.Sleep(time.Millisecond)
		if d := appendLate(longan.Alarm); d != 0 {
			t.Errorf("an alarm waited %v", d)
		}
		running.Wait()
		time.Sleep(time.Minute)
		if d := appendLate(longan.State); d > 5*time.Millisecond {
			t.Errorf("a state waited %v on an idle board", d)
		}
	})
}
