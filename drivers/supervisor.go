package drivers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/longan-edge/longan"
)

// Defaults for what a Supervisor leaves zero. A peripheral that was plugged in
// again is opened within MaxBackoff: with its first poll that is under 5 s.
const (
	MinBackoff = 500 * time.Millisecond
	MaxBackoff = 3 * time.Second
)

const (
	// steady is how long a driver must run for the next failure to start over
	// with the shortest backoff.
	steady = 30 * time.Second
	// A loose plug fails and recovers for days, and each change is written to
	// flash: mostFlaps recoveries are reported at once, later ones only once
	// every flapEvery.
	mostFlaps = 6
	flapEvery = time.Minute
)

// Health is how a peripheral fares.
type Health struct {
	OK  bool
	Err error // why it is not OK
}

// Supervisor keeps one driver running: when Run of the driver returns or
// panics, it waits and runs it again.
type Supervisor struct {
	Name   string // of the peripheral
	Driver Driver
	Emit   Emit
	// Report hears of a change: not OK at the first failure, OK at the first
	// reading after the start or a failure that is not Unknown, before that
	// reading goes to Emit. What it could not store is reported again.
	Report func(context.Context, Health) error
	Log    *slog.Logger
	// Min and Max bound the time between two runs; zero is MinBackoff and
	// MaxBackoff.
	Min, Max time.Duration

	mu      sync.Mutex // serialises Report, guards the fields below
	health  *Health    // as reported; nil before
	stored  error      // what the last Emit or Report of a reading failed with
	flaps   float64    // failures that came after a recovery, forgotten over time
	flapsAt time.Time
}

// Run runs the driver until ctx ends and returns ctx.Err(). It waits for the
// driver to return. A panic in a goroutine of the driver's own can't be caught.
func (s *Supervisor) Run(ctx context.Context) error {
	shortest := cmp.Or(s.Min, MinBackoff)
	longest := max(shortest, cmp.Or(s.Max, MaxBackoff))
	wait := shortest
	for {
		start := time.Now()
		err := s.run(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.failed(ctx, err)
		if time.Since(start) >= steady {
			wait = shortest
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		wait = min(2*wait, longest)
	}
}

// run runs the driver once. It never returns nil.
func (s *Supervisor) run(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("driver panicked: %v", p)
			s.Log.ErrorContext(ctx, "driver panicked", "peripheral", s.Name, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	s.mu.Lock()
	s.stored = nil
	s.mu.Unlock()
	if err := s.Driver.Run(ctx, s.emit); err != nil {
		return err
	}
	return errors.New("driver ended without an error")
}

// emit is the Emit that the driver gets.
func (s *Supervisor) emit(ctx context.Context, r Reading) error {
	err := s.recovered(ctx, r)
	if err == nil {
		err = s.Emit(ctx, r)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stored = err
	return err
}

// recovered reports that the peripheral is OK where r says so for the first
// time.
func (s *Supervisor) recovered(ctx context.Context, r Reading) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.State == longan.Unknown || (s.health != nil && (s.health.OK || s.flapping() > mostFlaps)) {
		return nil
	}
	if err := s.Report(ctx, Health{OK: true}); err != nil {
		return fmt.Errorf("report %s: %w", s.Name, err)
	}
	if s.health != nil {
		s.Log.InfoContext(ctx, "peripheral recovered", "peripheral", s.Name)
	}
	s.health = &Health{OK: true}
	return nil
}

// failed reports why the driver ended, unless that is known or is not the
// peripheral's fault.
func (s *Supervisor) failed(ctx context.Context, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stored != nil {
		s.Log.WarnContext(ctx, "reading not stored", "peripheral", s.Name, "err", err)
		return
	}
	if s.health != nil && !s.health.OK {
		s.Log.DebugContext(ctx, "peripheral still fails", "peripheral", s.Name, "err", err)
		return
	}
	h := Health{Err: err}
	if err := s.Report(ctx, h); err != nil {
		s.Log.WarnContext(ctx, "fault not stored", "peripheral", s.Name, "fault", h.Err, "err", err)
		return
	}
	s.Log.WarnContext(ctx, "peripheral failed", "peripheral", s.Name, "err", err)
	if s.health != nil {
		s.flaps, s.flapsAt = s.flapping()+1, time.Now()
	}
	s.health = &h
}

// flapping returns how many failures count against the peripheral now.
func (s *Supervisor) flapping() float64 {
	return max(0, s.flaps-float64(time.Since(s.flapsAt))/float64(flapEvery))
}
