package porttest

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/gpio"

	"github.com/longan-edge/longan/drivers"
)

const terminal = "gpio:4"

func request(t *testing.T, ports drivers.Ports, mode drivers.LineMode) drivers.Line {
	t.Helper()
	l, err := ports.Line(t.Context(), terminal, mode)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLineLevelAndPull(t *testing.T) {
	for _, test := range []struct {
		pull gpio.Pull
		want gpio.Level
	}{{gpio.PullUp, gpio.High}, {gpio.PullDown, gpio.Low}, {gpio.Float, gpio.Low}} {
		var ports Ports
		wire := ports.AddLine(terminal)
		l := request(t, &ports, drivers.LineMode{Pull: test.pull})
		if got, err := l.Sense(); got != test.want || err != nil {
			t.Errorf("%v, open circuit: got %v, %v, want %v", test.pull, got, err, test.want)
		}
		wire.Set(!test.want)
		if got := l.Read(); got == test.want {
			t.Errorf("%v, driven: got %v, want %v", test.pull, got, !test.want)
		}
	}
}

func TestWaitForEdge(t *testing.T) {
	const second = time.Second
	for _, test := range []struct {
		name    string
		timeout time.Duration
		before  func(w *Line)             // WaitForEdge
		during  func(w *Line, l *testPin) // after half a second of it
		want    bool
		after   time.Duration
	}{
		{name: "timeout", timeout: second, after: second},
		{name: "edge", timeout: second, during: func(w *Line, _ *testPin) { w.Set(gpio.High) }, want: true, after: second / 2},
		{name: "edge before", timeout: second, before: func(w *Line) { w.Set(gpio.High) }, want: true},
		{name: "no change, no edge", timeout: second, before: func(w *Line) { w.Set(gpio.Low) }, after: second},
		{name: "silent change", timeout: second, before: func(w *Line) { w.SetSilently(gpio.High) }, after: second},
		{name: "glitch", timeout: second, before: func(w *Line) { w.Glitch() }, want: true},
		{name: "zero does not wait", timeout: 0},
		{name: "zero takes a pending edge", timeout: 0, before: func(w *Line) { w.Set(gpio.High) }, want: true},
		{name: "negative waits for an edge", timeout: -1, during: func(w *Line, _ *testPin) { w.Set(gpio.High) }, want: true, after: second / 2},
		{name: "negative ends at Halt", timeout: -1, during: func(_ *Line, l *testPin) { l.Halt() }, after: second / 2},
		{name: "Close unblocks", timeout: second, during: func(_ *Line, l *testPin) { l.Close() }, after: second / 2},
		{name: "unplugged sleeps", timeout: second, during: func(w *Line, _ *testPin) { w.Unplug() }, after: second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var ports Ports
				wire := ports.AddLine(terminal)
				l := &testPin{request(t, &ports, drivers.LineMode{})}
				if test.before != nil {
					test.before(wire)
				}
				var wg sync.WaitGroup
				if test.during != nil {
					wg.Go(func() { time.Sleep(second / 2); test.during(wire, l) })
				}
				start := time.Now()
				if got := l.WaitForEdge(test.timeout); got != test.want || time.Since(start) != test.after {
					t.Errorf("got %v after %v, want %v after %v", got, time.Since(start), test.want, test.after)
				}
				wg.Wait()
			})
		})
	}
}

type testPin struct{ drivers.Line }

func TestLineFailuresAndErrors(t *testing.T) {
	var ports Ports
	if _, err := ports.Line(t.Context(), terminal, drivers.LineMode{}); !errors.Is(err, drivers.ErrNoPort) {
		t.Errorf("missing: got %v", err)
	}
	wire := ports.AddLine(terminal)
	l := request(t, &ports, drivers.LineMode{})
	if _, err := ports.Line(t.Context(), terminal, drivers.LineMode{}); !errors.Is(err, drivers.ErrBusy) {
		t.Errorf("requested twice: got %v", err)
	}
	broken := errors.New("broken")
	wire.Fail(broken)
	if _, err := l.Sense(); !errors.Is(err, broken) {
		t.Errorf("Fail: got %v", err)
	}
	wire.Fail(nil)
	if _, err := l.Sense(); err != nil {
		t.Errorf("Fail(nil): got %v", err)
	}
	wire.Unplug()
	if _, err := l.Sense(); !errors.Is(err, drivers.ErrUnplugged) {
		t.Errorf("Unplug: got %v", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := ports.Line(t.Context(), terminal, drivers.LineMode{}); !errors.Is(err, drivers.ErrNoPort) {
		t.Errorf("unplugged: got %v", err)
	}
	ports.AddLine(terminal).Hold(true)
	if _, err := ports.Line(t.Context(), terminal, drivers.LineMode{}); !errors.Is(err, drivers.ErrBusy) {
		t.Errorf("held: got %v", err)
	}
}

func TestLostEdgesAreCounted(t *testing.T) {
	var ports Ports
	wire := ports.AddLine(terminal)
	l := request(t, &ports, drivers.LineMode{})
	for i := range pendingEdges + 10 {
		wire.Set(i%2 == 0)
	}
	wire.Drop(5)
	if got := l.Lost(); got != 15 {
		t.Errorf("lost: got %d, want 15", got)
	}
	if got := wire.Edges(); got != pendingEdges+10 {
		t.Errorf("edges: got %d, want %d", got, pendingEdges+10)
	}
}

func TestEdgeSense(t *testing.T) {
	for _, test := range []struct {
		edge gpio.Edge
		want int
	}{{gpio.NoEdge, 0}, {gpio.RisingEdge, 2}, {gpio.FallingEdge, 1}, {gpio.BothEdges, 3}} {
		var ports Ports
		wire := ports.AddLine(terminal)
		l := request(t, &ports, drivers.LineMode{})
		if err := l.In(gpio.PullDown, test.edge); err != nil {
			t.Fatal(err)
		}
		for _, level := range []gpio.Level{gpio.High, gpio.Low, gpio.High} {
			wire.Set(level)
		}
		got := 0
		for l.WaitForEdge(0) {
			got++
		}
		if got != test.want {
			t.Errorf("%v: got %d edges, want %d", test.edge, got, test.want)
		}
	}
}

func TestOutputHistoryShowsPulses(t *testing.T) {
	var ports Ports
	wire := ports.AddLine(terminal)
	l := request(t, &ports, drivers.LineMode{Output: true, Initial: gpio.High})
	if mode, ok := wire.Mode(); !ok || !mode.Output {
		t.Errorf("mode: got %v, %v", mode, ok)
	}
	if l.Read() != gpio.High {
		t.Error("Read of an output does not return what was set")
	}
	for _, level := range []gpio.Level{gpio.Low, gpio.High} {
		if err := l.Out(level); err != nil {
			t.Fatal(err)
		}
	}
	var got []gpio.Level
	for _, c := range wire.History() {
		got = append(got, c.Level)
	}
	if want := []gpio.Level{gpio.High, gpio.Low, gpio.High}; !slices.Equal(got, want) {
		t.Errorf("history: got %v, want %v", got, want)
	}
}

// TestAnOutputIsKept is what drivers/hw does: a restart of the agent changes
// nothing, a restart of the board does.
func TestAnOutputIsKept(t *testing.T) {
	var ports Ports
	keep := drivers.LineMode{Output: true, Keep: true}
	open := func() drivers.Line {
		l, err := ports.Line(t.Context(), "relay", keep)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	wire := ports.AddLine("relay")
	l := open()
	if wire.Level() != gpio.Low {
		t.Error("the first level is not the initial one")
	}
	if err := errors.Join(l.Out(gpio.High), l.Close()); err != nil {
		t.Fatal(err)
	}
	l = open()
	if wire.Level() != gpio.High {
		t.Error("a restart of the agent has dropped the relay")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for i, c := range wire.History()[2:] {
		if c.Level != gpio.High {
			t.Errorf("level %d is %v: a pulse", i+2, c.Level)
		}
	}
	wire = ports.AddLine("relay")
	if open(); wire.Level() != gpio.Low {
		t.Error("after a restart of the board the relay is on")
	}
}
