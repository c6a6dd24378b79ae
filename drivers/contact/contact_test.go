package contact_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/gpio"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/drivers"
	"github.com/longan-edge/longan/drivers/contact"
	"github.com/longan-edge/longan/drivers/porttest"
)

// log collects readings; err, when set, is what emit answers.
type log struct {
	start time.Time

	mu  sync.Mutex
	all []stamped
	err error
}

type stamped struct {
	drivers.Reading
	at time.Duration
}

func (l *log) emit(_ context.Context, r drivers.Reading) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	l.all = append(l.all, stamped{r, time.Since(l.start)})
	return nil
}

// changes returns the readings of a point that differ in state from the one
// before, as "normal@50ms".
func (l *log) changes(point string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	last := ""
	for _, r := range l.all {
		if r.Point == point && r.State.String() != last {
			last = r.State.String()
			out = append(out, fmt.Sprintf("%s@%v", last, r.at.Round(time.Millisecond)))
		}
	}
	return out
}

func (l *log) last(t *testing.T) stamped {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.all) == 0 {
		t.Fatal("no reading at all")
	}
	return l.all[len(l.all)-1]
}

// lastOf returns the last reading of a point: two lines that are polled at the
// same moment emit in either order.
func (l *log) lastOf(t *testing.T, point string) stamped {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range slices.Backward(l.all) {
		if r.Point == point {
			return r
		}
	}
	t.Fatalf("no reading of %s", point)
	return stamped{}
}

// run starts a driver and returns its end, which waits for it.
func run(t *testing.T, ports drivers.Ports, l *log, inputs ...contact.Input) (end func() error) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	l.start = time.Now()
	go func() { done <- contact.New(ports, inputs, contact.Options{}).Run(ctx, l.emit) }()
	return func() error { cancel(); return <-done }
}

var levels = map[bool]gpio.Level{true: gpio.Low, false: gpio.High} // of a closed circuit

func TestStates(t *testing.T) {
	for _, test := range []struct {
		pull           gpio.Pull
		normallyClosed bool
		level          gpio.Level
		want           longan.PointState
	}{
		{gpio.PullUp, false, gpio.High, longan.Normal},
		{gpio.PullUp, false, gpio.Low, longan.Active},
		{gpio.PullUp, true, gpio.Low, longan.Normal},
		{gpio.PullUp, true, gpio.High, longan.Active}, // also a cut wire
		{gpio.Float, false, gpio.Low, longan.Active},
		{gpio.PullNoChange, true, gpio.Low, longan.Normal},
		{gpio.PullDown, false, gpio.Low, longan.Normal},
		{gpio.PullDown, false, gpio.High, longan.Active},
		{gpio.PullDown, true, gpio.High, longan.Normal},
		{gpio.PullDown, true, gpio.Low, longan.Active}, // also a cut wire
	} {
		t.Run(fmt.Sprintf("%v closed=%v %v", test.pull, test.normallyClosed, test.level), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var ports porttest.Ports
				var l log
				ports.AddLine("a").Set(test.level)
				end := run(t, &ports, &l, contact.Input{Point: "p", Line: "a", Pull: test.pull, NormallyClosed: test.normallyClosed})
				time.Sleep(time.Second)
				if err := end(); !errors.Is(err, context.Canceled) {
					t.Errorf("Run: got %v, want context.Canceled", err)
				}
				if got, want := l.changes("p"), []string{test.want.String() + "@50ms"}; !slices.Equal(got, want) {
					t.Errorf("got %v, want %v", got, want)
				}
			})
		})
	}
}

// A step acts on the wire after a time since the step before.
type step struct {
	after time.Duration
	do    func(*porttest.Line)
}

func closeIt(w *porttest.Line)                            { w.Set(gpio.Low) }
func openIt(w *porttest.Line)                             { w.Set(gpio.High) }
func glitch(w *porttest.Line)                             { w.Glitch() }
func quietly(w *porttest.Line)                            { w.SetSilently(gpio.Low) }
func nothing(w *porttest.Line)                            {}
func lose(w *porttest.Line)                               { w.Drop(3) }
func after(d time.Duration, do func(*porttest.Line)) step { return step{d, do} }

func TestHistories(t *testing.T) {
	const ms = time.Millisecond
	for _, test := range []struct {
		name   string
		urgent bool
		steps  []step
		want   []string
		detail string // of the last reading
	}{
		{name: "plain contact waits for debounce", steps: []step{after(time.Second, closeIt), after(time.Second, openIt)},
			want: []string{"normal@50ms", "active@1.05s", "normal@2.05s"}},
		{name: "urgent is told at once and returns after debounce", urgent: true,
			steps: []step{after(time.Second, closeIt), after(time.Second, openIt)},
			want:  []string{"normal@50ms", "active@1s", "normal@2.05s"}},
		{name: "urgent at the start", urgent: true, steps: []step{after(0, closeIt)}, want: []string{"active@0s"}},
		{name: "short press of an urgent point", urgent: true, steps: []step{after(time.Second, closeIt), after(10*ms, openIt)},
			want: []string{"normal@50ms", "active@1s", "normal@1.06s"}},
		{name: "short press of a plain point", steps: []step{after(time.Second, closeIt), after(10*ms, openIt)},
			want: []string{"normal@50ms"}, detail: "short pulses 1"},
		{name: "glitches too short to read", urgent: true,
			steps: []step{after(time.Second, glitch), after(time.Second, glitch)},
			want:  []string{"normal@50ms"}, detail: "短脉冲 2"},
		{name: "lost edge is found by the poll", steps: []step{after(1010*ms, quietly)},
			want: []string{"normal@50ms", "active@1.1s"}},
		{name: "lost edge of an urgent point", urgent: true, steps: []step{after(1010*ms, quietly)},
			want: []string{"normal@50ms", "active@1.05s"}},
		{name: "lost edges are told", steps: []step{after(time.Second, lose)},
			want: []string{"normal@50ms"}, detail: "lost edges 3"},
		{name: "nothing at all", steps: []step{after(time.Minute, nothing)}, want: []string{"normal@50ms"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var ports porttest.Ports
				var l log
				wire := ports.AddLine("a")
				end := run(t, &ports, &l, contact.Input{Point: "p", Line: "a", Pull: gpio.PullUp, Urgent: test.urgent})
				for _, s := range test.steps {
					time.Sleep(s.after)
					s.do(wire)
				}
				time.Sleep(time.Second)
				end()
				if got := l.changes("p"); !slices.Equal(got, test.want) {
					t.Errorf("got %v, want %v", got, test.want)
				}
				if got := l.last(t).Detail; !strings.Contains(got, test.detail) || (test.detail == "") != (got == "") {
					t.Errorf("detail: got %q, want %q", got, test.detail)
				}
			})
		})
	}
}

func TestReadingsRenewAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ports porttest.Ports
		var l log
		wire := ports.AddLine("a")
		end := run(t, &ports, &l, contact.Input{Point: "p", Line: "a", Pull: gpio.PullUp})
		for i := range 100 { // unrest must not hold readings up
			time.Sleep(30 * time.Millisecond)
			wire.Set(i%40 < 2)
		}
		for range 20 { // nor a glitch between two of them
			time.Sleep(370 * time.Millisecond)
			wire.Glitch()
		}
		time.Sleep(time.Minute)
		end()
		for i := 1; i < len(l.all); i++ {
			if gap := l.all[i].at - l.all[i-1].at; gap > contact.DefaultPoll+50*time.Millisecond {
				t.Errorf("no reading for %v before %v", gap, l.all[i].at)
			}
		}
		if n := len(l.all); n < 270 || n > 300 {
			t.Errorf("got %d readings in 70 s, want about 4 a second", n)
		}
	})
}

func TestUnreadableLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ports porttest.Ports
		var l log
		ports.AddLine("a")
		wire := ports.AddLine("b")
		end := run(t, &ports, &l,
			contact.Input{Point: "good", Line: "a", Pull: gpio.PullUp},
			contact.Input{Point: "bad", Line: "b", Pull: gpio.PullUp})
		time.Sleep(time.Second)
		wire.Unplug()
		time.Sleep(time.Second)
		err := end()
		if !errors.Is(err, drivers.ErrUnplugged) || !strings.Contains(err.Error(), "bad") {
			t.Errorf("Run: got %v, want ErrUnplugged that names the point", err)
		}
		if r := l.lastOf(t, "bad"); r.State != longan.Unknown || r.at > 1250*time.Millisecond {
			t.Errorf("last reading: got %+v, want bad unknown within a poll", r)
		}
		if _, open := wire.Mode(); open {
			t.Error("the line is still requested")
		}
	})
}

func TestRequestErrors(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(*porttest.Ports)
		want error
	}{
		{"no such line", func(*porttest.Ports) {}, drivers.ErrNoPort},
		{"line in use", func(p *porttest.Ports) { p.AddLine("b").Hold(true) }, drivers.ErrBusy},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var ports porttest.Ports
				var l log
				first := ports.AddLine("a")
				test.do(&ports)
				end := run(t, &ports, &l, contact.Input{Point: "good", Line: "a"}, contact.Input{Point: "bad", Line: "b"})
				synctest.Wait()
				if err := end(); !errors.Is(err, test.want) {
					t.Errorf("Run: got %v, want %v", err, test.want)
				}
				if r := l.lastOf(t, "bad"); r.State != longan.Unknown {
					t.Errorf("last reading: got %+v, want bad unknown", r)
				}
				if _, open := first.Mode(); open {
					t.Error("the good line is still requested")
				}
			})
		})
	}
}

func TestEmitErrorEndsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ports porttest.Ports
		l := log{err: errors.New("spool is full")}
		ports.AddLine("a")
		end := run(t, &ports, &l, contact.Input{Point: "p", Line: "a"})
		time.Sleep(time.Second)
		if err := end(); !errors.Is(err, l.err) {
			t.Errorf("Run: got %v, want %v", err, l.err)
		}
	})
}

func TestRunAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ports porttest.Ports
		wire := ports.AddLine("a")
		for range 100 {
			var l log
			end := run(t, &ports, &l, contact.Input{Point: "p", Line: "a", Pull: gpio.PullUp})
			time.Sleep(100 * time.Millisecond)
			start := time.Now()
			if err := end(); !errors.Is(err, context.Canceled) {
				t.Fatalf("Run: got %v", err)
			}
			if d := time.Since(start); d > 0 {
				t.Fatalf("Run took %v to end", d)
			}
		}
		if _, open := wire.Mode(); open {
			t.Error("the line is still requested")
		}
	})
}

func TestParsePull(t *testing.T) {
	for name, want := range map[string]gpio.Pull{"": gpio.PullUp, "up": gpio.PullUp, "down": gpio.PullDown, "none": gpio.Float} {
		if got, err := contact.ParsePull(name); got != want || err != nil {
			t.Errorf("%q: got %v, %v, want %v", name, got, err, want)
		}
	}
	if _, err := contact.ParsePull("left"); err == nil {
		t.Error("left: want an error")
	}
}
