package drivers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/longan-edge/longan"
)

// plan is a driver that does another thing each time it is run, and waits for
// its context after the last one.
type plan []func(ctx context.Context, emit Emit) error

func (p *plan) Run(ctx context.Context, emit Emit) error {
	if len(*p) == 0 {
		<-ctx.Done()
		return ctx.Err()
	}
	do := (*p)[0]
	*p = (*p)[1:]
	return do(ctx, emit)
}

func fails(text string) func(context.Context, Emit) error {
	return func(context.Context, Emit) error { return errors.New(text) }
}

// reads emits good readings for d, one a second, then fails.
func reads(d time.Duration, text string) func(context.Context, Emit) error {
	return func(ctx context.Context, emit Emit) error {
		for end := time.Now().Add(d); ; {
			if err := emit(ctx, Reading{Point: "p", State: longan.Normal}); err != nil {
				return err
			}
			if !time.Now().Before(end) {
				return errors.New(text)
			}
			time.Sleep(time.Second)
		}
	}
}

// unreadable emits Unknown and fails.
func unreadable(ctx context.Context, emit Emit) error {
	if err := emit(ctx, Reading{Point: "p"}); err != nil {
		return err
	}
	return ErrSilent
}

func repeat(n int, do func(context.Context, Emit) error) plan {
	return slices.Repeat(plan{do}, n)
}

// desk notes what a supervisor reports and emits, with the time of reports.
type desk struct {
	start time.Time
	mu    sync.Mutex
	notes []string
	emits int
	full  bool // the spool
	small bool // the spool has room for reports only
}

var errFull = errors.New("spool is full")

func (d *desk) note(text string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.full {
		return errFull
	}
	d.notes = append(d.notes, text)
	return nil
}

func (d *desk) report(_ context.Context, h Health) error {
	at := time.Since(d.start)
	if h.OK {
		return d.note(fmt.Sprintf("ok@%v", at))
	}
	return d.note(fmt.Sprintf("%v@%v", h.Err, at))
}

func (d *desk) emit(_ context.Context, r Reading) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.full || d.small {
		return errFull
	}
	d.emits++
	if r.State != longan.Unknown && !slices.ContainsFunc(d.notes, func(n string) bool { return strings.HasPrefix(n, "ok") }) {
		return errors.New("a reading came before its report")
	}
	return nil
}

func (d *desk) setFull(full bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full = full
}

// supervise runs the plan for a while.
func supervise(t *testing.T, p plan, d *desk, during func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s := &Supervisor{Name: "door-module", Driver: &p, Emit: d.emit, Report: d.report,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	d.start = time.Now()
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	during()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Run: got %v, want context.Canceled", err)
	}
	if len(p) > 0 {
		t.Errorf("the driver was not run for %d steps of the plan", len(p))
	}
}

func TestSupervisorReportsChanges(t *testing.T) {
	const hour = time.Hour
	for _, test := range []struct {
		name string
		plan plan
		want []string
	}{
		{"ok and no failure", plan{}, nil},
		{"fails at the start, then recovers", plan{fails("no port"), fails("no port"), fails("silent"), reads(hour, "gone")},
			[]string{"no port@0s", "ok@3.5s", "gone@1h0m3.5s"}},
		{"backoff is capped", append(repeat(10, fails("x")), reads(hour, "y")),
			// 0.5 + 1 + 2 + 7 times 3 s
			[]string{"x@0s", "ok@24.5s", "y@1h0m24.5s"}},
		{"backoff starts over after a steady run", append(repeat(10, fails("x")), reads(hour, "y"), reads(hour, "z")),
			[]string{"x@0s", "ok@24.5s", "y@1h0m24.5s", "ok@1h0m25s", "z@2h0m25s"}},
		{"unknown is no recovery", plan{unreadable, unreadable, unreadable},
			[]string{"peripheral is silent@0s"}},
		{"a panic is a failure", plan{func(context.Context, Emit) error { panic("index out of range") }, reads(hour, "x")},
			[]string{"driver panicked: index out of range@0s", "ok@500ms", "x@1h0m0.5s"}},
		{"ending is a failure", plan{func(context.Context, Emit) error { return nil }},
			[]string{"driver ended without an error@0s"}},
		{"a foreign cancellation is a failure", plan{func(context.Context, Emit) error { return context.Canceled }},
			[]string{"context canceled@0s"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var d desk
				supervise(t, test.plan, &d, func() { time.Sleep(3 * hour) })
				if !slices.Equal(d.notes, test.want) {
					t.Errorf("got  %q\nwant %q", d.notes, test.want)
				}
			})
		})
	}
}

func TestSupervisorSpoolTroubleIsNoFault(t *testing.T) {
	t.Run("full", func(t *testing.T) { spoolTrouble(t, func(d *desk, on bool) { d.full = on }) })
	t.Run("small", func(t *testing.T) { spoolTrouble(t, func(d *desk, on bool) { d.small = on }) })
}

func spoolTrouble(t *testing.T, set func(d *desk, on bool)) {
	synctest.Test(t, func(t *testing.T) {
		var d desk
		locked := func(on bool) {
			d.mu.Lock()
			defer d.mu.Unlock()
			set(&d, on)
		}
		p := append(repeat(5, reads(time.Hour, "x")), reads(time.Hour, "gone"))
		supervise(t, p, &d, func() {
			time.Sleep(9500 * time.Millisecond)
			locked(true) // 10, 10.5, 11.5, 13.5 and 16.5 s fail to store
			time.Sleep(9500 * time.Millisecond)
			locked(false)
			time.Sleep(2 * time.Hour)
		})
		want := []string{"ok@0s", "gone@1h0m19.5s"}
		if !slices.Equal(d.notes, want) {
			t.Errorf("got %q, want %q", d.notes, want)
		}
	})
}

func TestSupervisorReportsAgainWhatWasNotStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d desk
		d.setFull(true)
		supervise(t, append(repeat(5, fails("no port")), reads(time.Hour, "gone")), &d, func() {
			time.Sleep(2 * time.Second)
			d.setFull(false)
			time.Sleep(2 * time.Hour)
		})
		if want := []string{"no port@3.5s", "ok@9.5s", "gone@1h0m9.5s"}; !slices.Equal(d.notes, want) {
			t.Errorf("got %q, want %q", d.notes, want)
		}
	})
}

func TestSupervisorLoosePlugDoesNotFloodTheSpool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d desk
		supervise(t, repeat(5000, reads(time.Second, "loose")), &d, func() { time.Sleep(6 * time.Hour) })
		if n := len(d.notes); n < 600 || n > 700 { // 2 a minute for 5.5 h
			t.Errorf("got %d reports of 5000 flaps, want about 2 a minute", n)
		}
		if last := d.notes[len(d.notes)-1]; !strings.HasPrefix(last, "loose") {
			t.Errorf("the last report is %q, want the fault", last)
		}
		if d.emits != 10000 {
			t.Errorf("got %d readings, want all 10000", d.emits)
		}
	})
}
