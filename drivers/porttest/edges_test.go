package porttest

import (
	"errors"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/gpio"

	"github.com/longan-edge/longan/drivers"
)

func TestEdgesKeepOrderAndTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ports Ports
		d0, d1 := ports.AddLine("soc:4"), ports.AddLine("soc:5")
		e, err := ports.Edges(t.Context(), []string{"soc:4", "soc:5"}, drivers.EdgeMode{Pull: gpio.PullUp, Edge: gpio.FallingEdge})
		if err != nil {
			t.Fatal(err)
		}
		if levels, err := e.Sense(); err != nil || !slices.Equal(levels, []gpio.Level{gpio.High, gpio.High}) {
			t.Errorf("at rest: %v, %v", levels, err)
		}
		go func() {
			for _, wire := range []*Line{d1, d0, d1} {
				time.Sleep(time.Millisecond)
				wire.Set(gpio.Low)
				time.Sleep(50 * time.Microsecond)
				wire.Set(gpio.High)
			}
		}()
		const step = time.Millisecond + 50*time.Microsecond
		want := []drivers.Edge{{Line: 1, At: time.Millisecond}, {Line: 0, At: time.Millisecond + step}, {Line: 1, At: time.Millisecond + 2*step}}
		var got []drivers.Edge
		to := make([]drivers.Edge, 8)
		e.SetReadDeadline(time.Now().Add(time.Second))
		for {
			n, err := e.Read(to)
			got = append(got, to[:n]...)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %v\nwant %v", got, want)
		}
	})
}

func TestEdgesErrors(t *testing.T) {
	var ports Ports
	wire := ports.AddLine("soc:4")
	ports.AddLine("soc:5")
	ports.AddLine("expander:4")
	mode := drivers.EdgeMode{Edge: gpio.BothEdges}
	for _, test := range []struct {
		names []string
		want  error
	}{
		{[]string{"soc:4", "soc:6"}, drivers.ErrNoPort},
		{[]string{"soc:4", "expander:4"}, errors.ErrUnsupported},
		{[]string{"soc:4", "soc:4"}, drivers.ErrBusy},
	} {
		if _, err := ports.Edges(t.Context(), test.names, mode); !errors.Is(err, test.want) {
			t.Errorf("%q: got %v, want %v", test.names, err, test.want)
		}
	}
	both := []string{"soc:4", "soc:5"}
	e, err := ports.Edges(t.Context(), both, mode)
	if err != nil {
		t.Fatalf("after refusals: %v", err)
	}
	if _, err := ports.Line(t.Context(), "soc:4", drivers.LineMode{}); !errors.Is(err, drivers.ErrBusy) {
		t.Errorf("a line whose edges are requested: got %v", err)
	}
	to := make([]drivers.Edge, 2)
	for i := range pendingEdges + 3 {
		wire.Set(i%2 == 0)
	}
	wire.Drop(2)
	if got := e.Lost(); got != 5 {
		t.Errorf("lost: got %d, want 5", got)
	}
	wire.Unplug()
	if n, err := e.Read(to); n != 2 || err != nil { // what came before
		t.Errorf("unplugged, edges left: got %d, %v", n, err)
	}
	for range pendingEdges/2 - 1 {
		if _, err := e.Read(to); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := e.Read(to); !errors.Is(err, drivers.ErrUnplugged) {
		t.Errorf("unplugged: got %v", err)
	}
	if _, err := e.Sense(); !errors.Is(err, drivers.ErrUnplugged) {
		t.Errorf("unplugged: Sense: got %v", err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if err := e.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("closed twice: got %v", err)
	}
	if _, err := e.Read(to); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Read after Close: got %v", err)
	}
	ports.AddLine("soc:4")
	if _, err := ports.Edges(t.Context(), both, mode); err != nil {
		t.Errorf("after Close: %v", err)
	}
}
