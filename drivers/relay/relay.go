// Package relay switches relays on GPIO lines: sirens, strobes, locks.
//
// # No pulse
//
// A line gets its level together with its direction, in one request to the
// kernel, and is never read back: what it is told is what is known of it. When Run
// begins an output takes its safe state, or, with Hold, goes on as it is: the
// kernel drives a line on after the process that had it ended, so a relay holds
// through a restart of the agent. A restart of the board makes every line an
// input again; then the resistors of the relay board decide, until Run begins and
// every output takes its safe state.
//
// # Wiring
//
// Relay boards switch with a high or a low level ("high level trigger", "low level
// trigger"): ActiveLow is the latter. Choose boards whose relays are off while
// their inputs float, and wire what must not start by itself to the contact that
// is open then.
package relay

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"periph.io/x/conn/v3/gpio"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/drivers"
)

// Output is one relay.
type Output struct {
	Name      string // as Act is called with it
	Line      string // the GPIO line: "chip-label:offset", or its name
	ActiveLow bool   // the low level switches it on
	// On is its safe state: switched on. Hold: what it is when Run begins stays, where
	// the line is an output already.
	On, Hold bool
}

// aliveEvery is how often the driver says that the lines are there.
const aliveEvery = 5 * time.Second

// Board is the relays of a board.
type Board struct {
	ports   drivers.Ports
	outputs []Output

	mu    sync.Mutex
	lines map[string]drivers.Line // by output; nil while Run does not run
}

var (
	_ drivers.Driver   = (*Board)(nil)
	_ drivers.Actuator = (*Board)(nil)
)

// New returns the driver of the outputs. It requests nothing.
func New(ports drivers.Ports, outputs []Output) *Board { return &Board{ports: ports, outputs: outputs} }

// Run implements drivers.Driver: it requests the lines, and says that they are
// there until one of them isn't. It has no points.
func (b *Board) Run(ctx context.Context, emit drivers.Emit) error {
	lines := map[string]drivers.Line{}
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.lines = nil
		for _, l := range lines {
			l.Close()
		}
	}()
	for _, o := range b.outputs {
		l, err := b.ports.Line(ctx, o.Line, drivers.LineMode{Output: true, Keep: o.Hold, Initial: o.level(o.On)})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("relay %s: %w", o.Name, err)
		}
		lines[o.Name] = l
	}
	b.mu.Lock()
	b.lines = lines
	b.mu.Unlock()
	alive := time.NewTicker(aliveEvery)
	defer alive.Stop()
	for {
		if err := b.refresh(); err != nil {
			return err
		}
		if err := emit(ctx, drivers.Reading{State: longan.Normal}); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-alive.C:
		}
	}
}

// refresh tells every line its level once more. It changes nothing, and fails
// where a chip is gone; an expander that has lost its supply gets its levels back.
func (b *Board) refresh() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, o := range b.outputs {
		level, err := b.lines[o.Name].Sense() // of an output: what it was told
		if err == nil {
			err = b.lines[o.Name].Out(level)
		}
		if err != nil {
			return fmt.Errorf("relay %s: %w", o.Name, err)
		}
	}
	return nil
}

// level returns the level that switches the relay on or off.
func (o Output) level(on bool) gpio.Level { return gpio.Level(on != o.ActiveLow) }

// errNoOutput: the board has none of that name.
var errNoOutput = errors.New("there is no such output")

// Act implements drivers.Actuator. The kernel confirms that the line was set; what
// the relay does nobody says.
func (b *Board) Act(_ context.Context, output string, on bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, o := range b.outputs {
		if o.Name != output {
			continue
		}
		l := b.lines[output]
		if l == nil {
			return fmt.Errorf("switch %s: %w", output, drivers.ErrNotRunning)
		}
		if err := l.Out(o.level(on)); err != nil {
			return fmt.Errorf("switch %s: %w", output, err)
		}
		return nil
	}
	return fmt.Errorf("switch %s: %w", output, errNoOutput)
}
