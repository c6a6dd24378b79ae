package osdp

import (
	"context"
	"fmt"

	"github.com/longan-edge/longan/drivers"
)

// act is a request of Act on its way to Run.
type act struct {
	ctx     context.Context
	station *station
	code    byte
	data    []byte
	result  chan error // has room for the result
}

// finish tells whoever waits for the command.
func (c *command) finish(err error) {
	if c.act != nil {
		c.act.result <- err
		c.act = nil
	}
}

// Act implements drivers.Actuator: it lights the LED or sounds the buzzer of
// that name, or stops it, and returns once the reader has confirmed it. It fails
// with drivers.ErrNotRunning while Run does not run, with drivers.ErrSilent, a
// Nak, or ctx.Err(), after which it may or may not have done it. A reader that
// lost its power forgets it.
func (p *Panel) Act(ctx context.Context, output string, on bool) error {
	if err := p.act(ctx, output, on); err != nil {
		return fmt.Errorf("switch %s: %w", output, err)
	}
	return nil
}

func (p *Panel) act(ctx context.Context, output string, on bool) error {
	a := p.find(output, on)
	if a == nil {
		return fmt.Errorf("no reader on %s has an output of that name", p.line)
	}
	a.ctx = ctx
	p.mu.Lock()
	running := p.running
	p.mu.Unlock()
	if running == nil {
		return drivers.ErrNotRunning
	}
	select {
	case p.acts <- a:
	case <-running:
		return drivers.ErrNotRunning
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-a.result:
		return err
	case <-running:
		return drivers.ErrNotRunning
	case <-ctx.Done():
		return ctx.Err()
	}
}

// find returns the command that switches the named output, nil where there is
// none.
func (p *Panel) find(output string, on bool) *act {
	for _, st := range p.stations {
		a := &act{station: st, result: make(chan error, 1)}
		switch output {
		case "":
		case st.cfg.LED:
			a.code, a.data = cmdLED, ledData(on, st.cfg.Color)
			return a
		case st.cfg.Buzzer:
			a.code, a.data = cmdBuz, buzzerData(on)
			return a
		}
	}
	return nil
}

// queue gives an act to its reader's next turn, which comes at once.
func (p *Panel) queue(a *act) {
	st := a.station
	if st.lost {
		a.result <- st.err
		return
	}
	st.acts = append(st.acts, a)
	if st.online {
		st.due = st.due.Add(-p.cfg.Poll)
	}
}

// connected lets Act in, until the returned function is called.
func (p *Panel) connected() (end func()) {
	running := make(chan struct{})
	p.mu.Lock()
	p.running = running
	p.mu.Unlock()
	return func() {
		p.mu.Lock()
		p.running = nil
		p.mu.Unlock()
		close(running)
		for _, st := range p.stations {
			st.acts = nil
		}
	}
}
