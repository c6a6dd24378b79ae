package contact

import (
	"context"
	"fmt"
	"sync"
	"time"

	"periph.io/x/conn/v3/gpio"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/drivers"
)

// Defaults for what is left zero.
const (
	DefaultPoll     = 250 * time.Millisecond
	DefaultDebounce = 50 * time.Millisecond
)

// Input is one contact.
type Input struct {
	Point          string // name in the site file
	Line           string // name for [drivers.Ports]
	NormallyClosed bool   // at rest the circuit is closed
	// Pull is the bias of the line. With PullDown a closed circuit is High,
	// with any other one, also that of an external resistor, it is Low.
	Pull     gpio.Pull
	Debounce time.Duration // how long a level must hold; zero is DefaultDebounce
	Urgent   bool          // Active is emitted at once: alarm kinds
}

// Options are for all contacts of a driver.
type Options struct {
	// Poll is the longest time between two looks at a line, and between two
	// readings of its point; zero is DefaultPoll.
	Poll time.Duration
}

// Contact watches the contacts of one peripheral.
type Contact struct {
	ports  drivers.Ports
	inputs []Input
	poll   time.Duration
}

var _ drivers.Driver = (*Contact)(nil)

// New returns a driver for these contacts.
func New(ports drivers.Ports, inputs []Input, opts Options) *Contact {
	c := &Contact{ports: ports, inputs: append([]Input(nil), inputs...), poll: opts.Poll}
	if c.poll <= 0 {
		c.poll = DefaultPoll
	}
	for i := range c.inputs {
		if c.inputs[i].Debounce <= 0 {
			c.inputs[i].Debounce = DefaultDebounce
		}
	}
	return c
}

// Run implements [drivers.Driver]. It calls emit from one goroutine at a time.
// The first line that can't be had or read ends it, after its point was emitted
// as Unknown.
func (c *Contact) Run(ctx context.Context, emit drivers.Emit) error {
	lines, err := c.request(ctx, emit)
	closing := sync.OnceFunc(func() {
		for _, l := range lines {
			l.Close()
		}
	})
	defer closing()
	if err != nil {
		return err
	}
	var turn sync.Mutex
	oneByOne := func(_ context.Context, r drivers.Reading) error {
		turn.Lock()
		defer turn.Unlock()
		return emit(ctx, r) // not all: one line's failure stops no other line's alarm on its way
	}
	all, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// Closing the lines is what ends a wait for an edge.
	defer context.AfterFunc(all, closing)()
	var watchers sync.WaitGroup
	for i, in := range c.inputs {
		watchers.Go(func() { cancel(c.watch(all, in, lines[i], oneByOne)) })
	}
	<-all.Done()
	watchers.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return context.Cause(all)
}

// request requests all lines; on an error it returns those it got.
func (c *Contact) request(ctx context.Context, emit drivers.Emit) ([]drivers.Line, error) {
	lines := make([]drivers.Line, 0, len(c.inputs))
	for _, in := range c.inputs {
		l, err := c.ports.Line(ctx, in.Line, drivers.LineMode{Pull: in.Pull})
		if err != nil {
			return lines, c.unknown(ctx, in, emit, fmt.Errorf("request contact %s: %w", in.Point, err))
		}
		lines = append(lines, l)
	}
	return lines, nil
}

// watch follows one line until ctx ends, the line can't be read or emit fails.
func (c *Contact) watch(ctx context.Context, in Input, l drivers.Line, emit drivers.Emit) error {
	t := tracker{debounce: in.Debounce, urgent: in.Urgent}
	var due time.Time // of the next reading, also of an unchanged point
	for {
		level, err := l.Sense()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return c.unknown(ctx, in, emit, fmt.Errorf("read contact %s: %w", in.Point, err))
		}
		now := time.Now()
		if changed := t.see(now, in.state(level)); changed || (t.state != longan.Unknown && !now.Before(due)) {
			r := drivers.Reading{Point: in.Point, State: t.state, Detail: t.detail(l.Lost())}
			if err := emit(ctx, r); err != nil {
				return err
			}
			due = now.Add(c.poll)
		}
		wait := c.poll
		if t.state != longan.Unknown {
			wait = min(wait, due.Sub(now))
		}
		t.edges = edges(l, max(time.Millisecond, t.until(now, wait)))
	}
}

// edges waits for an edge and returns how many there were, those that piled up
// included: one look at the level answers them all.
func edges(l drivers.Line, wait time.Duration) int {
	const most = 1024
	if !l.WaitForEdge(wait) {
		return 0
	}
	n := 1
	for n < most && l.WaitForEdge(0) {
		n++
	}
	return n
}

// unknown emits that in's point can't be read because of cause, and returns
// cause, or emit's error.
func (c *Contact) unknown(ctx context.Context, in Input, emit drivers.Emit, cause error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := emit(ctx, drivers.Reading{Point: in.Point}); err != nil {
		return err
	}
	return cause
}

// ParsePull returns the bias that a site file calls up, down or none; "" is up,
// for a contact to GND.
func ParsePull(name string) (gpio.Pull, error) {
	switch name {
	case "up", "":
		return gpio.PullUp, nil
	case "down":
		return gpio.PullDown, nil
	case "none":
		return gpio.Float, nil
	}
	return gpio.PullNoChange, fmt.Errorf("pull %q: want up, down or none", name)
}

// state returns what the level means for the point.
func (in Input) state(level gpio.Level) longan.PointState {
	closed := level == gpio.Low
	if in.Pull == gpio.PullDown {
		closed = !closed
	}
	if closed == in.NormallyClosed {
		return longan.Normal
	}
	return longan.Active
}
