package relay

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/gpio"

	"github.com/longan-edge/longan/drivers"
	"github.com/longan-edge/longan/drivers/porttest"
)

func start(t *testing.T, ports drivers.Ports, outputs ...Output) (b *Board, stop func() error) {
	ctx, cancel := context.WithCancel(t.Context())
	b = New(ports, outputs)
	done := make(chan error, 1)
	go func() {
		done <- b.Run(ctx, func(_ context.Context, r drivers.Reading) error {
			if r.Point != "" {
				return fmt.Errorf("a reading of %q", r.Point)
			}
			return nil
		})
	}()
	return b, func() error { cancel(); return <-done }
}

// levels returns what a line was told, as "LHL".
func levels(l *porttest.Line) (s string) {
	for _, c := range l.History() {
		s += c.Level.String()[:1]
	}
	return s
}

// TestNoPulse switches relays of both kinds, restarts the agent and the board,
// and looks at every level that the lines took.
func TestNoPulse(t *testing.T) {
	for _, tt := range []struct {
		name   string
		output Output
		levels string // of the line, without repeats: the start, on, an agent's restart, a board's restart
	}{
		{"safe", Output{}, "LHL L"},
		{"safe, low level trigger", Output{ActiveLow: true}, "HLH H"},
		{"holds", Output{Hold: true}, "LH L"},
		{"holds, low level trigger", Output{Hold: true, ActiveLow: true}, "HL H"},
		{"on at rest", Output{On: true}, "H H"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var ports porttest.Ports
				tt.output.Name, tt.output.Line = "siren", "chip:1"
				wire := ports.AddLine("chip:1")
				b, stop := start(t, &ports, tt.output)
				time.Sleep(time.Minute)
				if err := b.Act(t.Context(), "siren", true); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Minute)
				stop()
				_, stop = start(t, &ports, tt.output)
				time.Sleep(time.Minute)
				stop()
				got := changes(levels(wire))
				wire = ports.AddLine("chip:1") // the board starts anew
				_, stop = start(t, &ports, tt.output)
				time.Sleep(time.Minute)
				stop()
				if got += " " + changes(levels(wire)); got != tt.levels {
					t.Errorf("the line was %s, want %s", got, tt.levels)
				}
			})
		})
	}
}

// changes leaves repeats out.
func changes(s string) (out string) {
	for i := range s {
		if i == 0 || s[i] != s[i-1] {
			out += s[i : i+1]
		}
	}
	return out
}

func TestActFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ports porttest.Ports
		ports.AddLine("chip:1")
		b := New(&ports, []Output{{Name: "siren", Line: "chip:1"}})
		if err := b.Act(t.Context(), "siren", true); !errors.Is(err, drivers.ErrNotRunning) {
			t.Errorf("before Run: %v", err)
		}
		b, stop := start(t, &ports, Output{Name: "siren", Line: "chip:1"})
		time.Sleep(time.Second)
		if err := b.Act(t.Context(), "strobe", true); !errors.Is(err, errNoOutput) {
			t.Errorf("an output that it does not have: %v", err)
		}
		if err := stop(); !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
		if err := b.Act(t.Context(), "siren", true); !errors.Is(err, drivers.ErrNotRunning) {
			t.Errorf("after Run: %v", err)
		}
	})
}

// TestARemovedChipIsAFault and no busy loop.
func TestARemovedChipIsAFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ports porttest.Ports
		wire := ports.AddLine("chip:1")
		_, stop := start(t, &ports, Output{Name: "siren", Line: "chip:1"}, Output{Name: "strobe", Line: "chip:2"})
		time.Sleep(time.Second)
		if err := stop(); !errors.Is(err, drivers.ErrNoPort) {
			t.Errorf("a line that is not there: %v", err)
		}
		_, stop = start(t, &ports, Output{Name: "siren", Line: "chip:1"})
		time.Sleep(time.Second)
		wire.Unplug()
		time.Sleep(aliveEvery)
		if err := stop(); !errors.Is(err, drivers.ErrUnplugged) {
			t.Errorf("a chip that is gone: %v", err)
		}
	})
}

func Example() {
	var ports porttest.Ports
	wire := ports.AddLine("pinctrl-bcm2711:17")
	board := New(&ports, []Output{{Name: "siren", Line: "pinctrl-bcm2711:17"}})
	ctx, stop := context.WithCancel(context.Background())
	ready, done := make(chan struct{}, 1), make(chan error)
	go func() {
		done <- board.Run(ctx, func(context.Context, drivers.Reading) error {
			select {
			case ready <- struct{}{}:
			default:
			}
			return nil
		})
	}()
	<-ready
	fmt.Println(wire.Level() == gpio.High, board.Act(ctx, "siren", true), wire.Level() == gpio.High)
	stop()
	fmt.Println(<-done)
	// Output:
	// false <nil> true
	// context canceled
}
