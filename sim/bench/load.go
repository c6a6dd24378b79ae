package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/longan-edge/longan"
)

const (
	// window is how many events are under way at once in a flood.
	window = 100
	// roundTrip is how long an acknowledgement takes while the link is up.
	roundTrip = 30 * time.Millisecond
	// batch is how many events are read and freed at a time.
	batch = 100
	// crowd bounds the events under way when a store can't keep up with the rate.
	crowd = 1000
)

// timings are how long single events took until they were on disk.
type timings []time.Duration

// at returns the quantile q, 0 to 1; zero when there is none.
func (t timings) at(q float64) time.Duration {
	if len(t) == 0 {
		return 0
	}
	slices.Sort(t)
	return t[min(len(t)-1, int(q*float64(len(t))))]
}

// live hands over n events of a lane, each at its time whether or not those
// before it are on disk, while the link is up: they are freed a round trip
// later. It returns when all are freed.
func live(ctx context.Context, s store, g *generator, lane longan.Lane, rate, n int) (timings, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		times = make(timings, 0, n)
		have  = make(chan struct{}, 1)
		room  = make(chan struct{}, crowd)
	)
	wg.Go(func() {
		if err := consume(ctx, s, n, have); err != nil {
			cancel(err)
		}
	})
	start := time.Now()
	for i := range n {
		wait := time.NewTimer(time.Until(start.Add(time.Duration(i) * time.Second / time.Duration(rate))))
		select {
		case <-wait.C:
		case <-ctx.Done():
		}
		wait.Stop()
		if ctx.Err() != nil {
			break
		}
		room <- struct{}{}
		wg.Go(func() {
			defer func() { <-room }()
			var e longan.Event
			g.next(&e, lane)
			from := time.Now()
			if err := s.put(ctx, &e); err != nil {
				cancel(fmt.Errorf("put: %w", err))
				return
			}
			mu.Lock()
			times = append(times, time.Since(from))
			mu.Unlock()
			select {
			case have <- struct{}{}:
			default:
			}
		})
	}
	wg.Wait()
	return times, context.Cause(ctx)
}

// consume frees n events, each a round trip after it was read.
func consume(ctx context.Context, s store, n int, have <-chan struct{}) error {
	for freed := 0; freed < n; {
		got, free, err := s.read(ctx, batch)
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		if got == 0 {
			select {
			case <-have:
				continue
			case <-ctx.Done():
				return nil
			}
		}
		wait := time.NewTimer(roundTrip)
		select {
		case <-wait.C:
		case <-ctx.Done():
		}
		wait.Stop()
		if err := free(); err != nil {
			return fmt.Errorf("free: %w", err)
		}
		freed += got
	}
	return nil
}

// fill hands over n events of a lane while the link is down, many at once, and
// returns how long that took. Sample is the mix of an outage.
func fill(ctx context.Context, s store, g *generator, lane longan.Lane, n, many int) (time.Duration, error) {
	var (
		wg   sync.WaitGroup
		left atomic.Int64
		once sync.Once
		fail error
	)
	left.Store(int64(n))
	start := time.Now()
	for range many {
		wg.Go(func() {
			e := new(longan.Event)
			for left.Add(-1) >= 0 {
				g.next(e, lane)
				if err := errors.Join(ctx.Err(), s.put(ctx, e)); err != nil {
					once.Do(func() { fail = fmt.Errorf("put: %w", err) })
					return
				}
			}
		})
	}
	wg.Wait()
	return time.Since(start), fail
}

// drain reads and frees everything and returns how many events that was.
func drain(ctx context.Context, s store) (n int, err error) {
	for {
		got, free, err := s.read(ctx, batch)
		if err != nil {
			return n, fmt.Errorf("read: %w", err)
		}
		if got == 0 {
			return n, ctx.Err()
		}
		if err := free(); err != nil {
			return n, fmt.Errorf("free: %w", err)
		}
		n += got
	}
}

// single hands over n events one after the other while the link is down, with a
// pause before each.
func single(ctx context.Context, s store, g *generator, lane longan.Lane, n int, pause time.Duration) (timings, error) {
	times := make(timings, 0, n)
	var e longan.Event
	for range n {
		if pause > 0 {
			wait := time.NewTimer(pause)
			select {
			case <-wait.C:
			case <-ctx.Done():
			}
			wait.Stop()
		}
		g.next(&e, lane)
		from := time.Now()
		if err := errors.Join(ctx.Err(), s.put(ctx, &e)); err != nil {
			return nil, fmt.Errorf("put: %w", err)
		}
		times = append(times, time.Since(from))
	}
	return times, nil
}
