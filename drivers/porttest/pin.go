package porttest

import (
	"errors"
	"fmt"
	"os"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/physic"

	"github.com/longan-edge/longan/drivers"
)

// pin is the board's end of a Line, one for each request. Its fields are
// guarded by line.mu.
type pin struct {
	line    *Line
	mode    drivers.LineMode
	sense   gpio.Edge
	pending int  // edges that nobody waited for yet
	halts   int  // Halt was called so often
	closed  bool // for good
}

var _ drivers.Line = (*pin)(nil)

func (p *pin) String() string   { return p.line.name }
func (p *pin) Name() string     { return p.line.name }
func (p *pin) Number() int      { return -1 }
func (p *pin) Function() string { return "" }

func (p *pin) In(pull gpio.Pull, edge gpio.Edge) error {
	p.line.mu.Lock()
	defer p.line.mu.Unlock()
	if err := p.usable("configure"); err != nil {
		return err
	}
	p.mode.Output, p.mode.Pull = false, pull
	p.sense, p.pending = edge, 0
	p.line.pull(pull)
	return nil
}

func (p *pin) Out(level gpio.Level) error {
	p.line.mu.Lock()
	defer p.line.mu.Unlock()
	if err := p.usable("set"); err != nil {
		return err
	}
	p.mode.Output = true
	p.line.put(level)
	return nil
}

func (p *pin) Read() gpio.Level {
	level, _ := p.Sense()
	return level
}

func (p *pin) Sense() (gpio.Level, error) {
	p.line.mu.Lock()
	defer p.line.mu.Unlock()
	if err := p.usable("read"); err != nil {
		return gpio.Low, err
	}
	if p.line.err != nil {
		return gpio.Low, fmt.Errorf("read line %s: %w", p.line.name, p.line.err)
	}
	return p.line.level, nil
}

// WaitForEdge waits for timeout; zero is not at all and a negative one until
// Halt or Close. On a line that is gone it sleeps, and never spins.
func (p *pin) WaitForEdge(timeout time.Duration) bool {
	l := p.line
	var expired <-chan time.Time
	if timeout > 0 {
		timer := time.NewTimer(timeout)
		defer timer.Stop()
		expired = timer.C
	}
	l.mu.Lock()
	halts := p.halts
	for {
		seen := p.pending > 0 && !p.closed && !l.gone
		if seen {
			p.pending--
		}
		if seen || p.closed || p.halts != halts || timeout == 0 {
			l.mu.Unlock()
			return seen
		}
		changed := l.changed
		l.mu.Unlock()
		select {
		case <-changed:
		case <-expired:
			return false
		}
		l.mu.Lock()
	}
}

func (p *pin) Lost() uint64 {
	p.line.mu.Lock()
	defer p.line.mu.Unlock()
	return p.line.lost
}

// Halt ends a WaitForEdge that is waiting now.
func (p *pin) Halt() error {
	p.line.mu.Lock()
	defer p.line.mu.Unlock()
	p.halts++
	p.line.wake()
	return nil
}

func (p *pin) Close() error {
	p.line.mu.Lock()
	defer p.line.mu.Unlock()
	if p.closed {
		return fmt.Errorf("close line %s: %w", p.line.name, os.ErrClosed)
	}
	p.closed = true
	p.line.pin = nil
	p.line.wake()
	return nil
}

func (p *pin) Pull() gpio.Pull {
	p.line.mu.Lock()
	defer p.line.mu.Unlock()
	return p.mode.Pull
}

func (p *pin) DefaultPull() gpio.Pull { return gpio.PullNoChange }

func (p *pin) PWM(gpio.Duty, physic.Frequency) error {
	return fmt.Errorf("line %s: PWM: %w", p.line.name, errors.ErrUnsupported)
}

func (p *pin) usable(verb string) error {
	switch {
	case p.closed:
		return fmt.Errorf("%s line %s: %w", verb, p.line.name, os.ErrClosed)
	case p.line.gone:
		return fmt.Errorf("%s line %s: %w", verb, p.line.name, drivers.ErrUnplugged)
	}
	return nil
}

// watches reports whether an edge to level is one the request asked for.
func (p *pin) watches(level gpio.Level) bool {
	switch {
	case p.mode.Output:
		return false
	case p.sense == gpio.RisingEdge:
		return level == gpio.High
	case p.sense == gpio.FallingEdge:
		return level == gpio.Low
	}
	return p.sense == gpio.BothEdges
}
