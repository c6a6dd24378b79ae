package osdp

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/drivers"
	"github.com/longan-edge/longan/drivers/internal/card"
)

// Panel is the control panel (ACU) of one RS-485 line and the readers on it.
type Panel struct {
	line     *Line
	cfg      Config
	stations []*station
	acts     chan *act

	mu      sync.Mutex
	running chan struct{} // closed when the Run that is connected ends; nil while none is
}

var (
	_ drivers.Driver   = (*Panel)(nil)
	_ drivers.Actuator = (*Panel)(nil)
)

// New returns the driver of the readers on the named port, or what is wrong with
// the configuration. It opens nothing.
func New(ports drivers.Ports, port string, cfg Config) (*Panel, error) {
	return NewOn(NewLine(ports, port, cfg.Mode), cfg)
}

// NewOn is New for some of several readers on a line: each Panel fails by itself.
// cfg.Mode is the line's.
func NewOn(line *Line, cfg Config) (*Panel, error) {
	cfg.Mode = line.mode
	cards, err := card.NewHasher(cfg.CardKey)
	if err == nil {
		cfg, err = cfg.check()
	}
	if err == nil {
		err = line.claim(cfg.Readers)
	}
	if err != nil {
		return nil, fmt.Errorf("osdp on %s: %w", line, err)
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	p := &Panel{line: line, cfg: cfg, acts: make(chan *act)}
	for _, r := range cfg.Readers {
		p.stations = append(p.stations, newStation(r, cfg, cards))
	}
	return p, nil
}

// Run implements drivers.Driver. It ends when the port fails or no reader
// answers any more, after all points were emitted as Unknown; the error then
// wraps drivers.ErrSilent if nothing came back from any. While one reader
// answers, the others may be silent: their own points are Fault and their other
// ones Unknown.
func (p *Panel) Run(ctx context.Context, emit drivers.Emit) error {
	for _, st := range p.stations {
		st.begin()
	}
	w, err := p.line.open(ctx)
	if err != nil {
		return p.fail(ctx, emit, err)
	}
	defer p.line.close(w)
	defer p.connected()()
	return p.serve(ctx, link{p.line, w}, emit)
}

// serve gives each reader its turn until none answers.
func (p *Panel) serve(ctx context.Context, k link, emit drivers.Emit) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case a := <-p.acts:
			p.queue(a)
			timer.Reset(time.Until(p.due()))
			continue // there may be more
		case <-timer.C:
		}
		for _, st := range p.stations {
			if time.Now().Before(st.due) {
				continue
			}
			if err := p.turn(ctx, k, st, emit); err != nil {
				return err
			}
		}
		if err := p.judge(ctx, emit); err != nil {
			return err
		}
		timer.Reset(time.Until(p.due()))
	}
}

// turn gives one reader its turn.
func (p *Panel) turn(ctx context.Context, k link, st *station, emit drivers.Emit) error {
	err := st.turn(ctx, k, emit)
	if errors.Is(err, errLost) {
		return p.fail(ctx, emit, err)
	}
	if err != nil || !st.online {
		return err
	}
	if err := st.warn(ctx, emit); err != nil {
		return err
	}
	return st.flush(ctx, emit)
}

// judge emits the points of silent readers once one answers, and fails when none
// does.
func (p *Panel) judge(ctx context.Context, emit drivers.Emit) error {
	answers, lost := false, 0
	for _, st := range p.stations {
		answers = answers || st.online
		if st.lost {
			lost++
		}
	}
	if lost == len(p.stations) {
		return p.fail(ctx, emit, p.silence())
	}
	for _, st := range p.stations {
		if !answers || !st.lost {
			continue
		}
		if err := st.flush(ctx, emit); err != nil {
			return err
		}
	}
	return nil
}

// silence is why no reader answers: what the first one says that says anything.
func (p *Panel) silence() error {
	first := p.stations[0]
	for _, st := range p.stations {
		if !errors.Is(st.err, drivers.ErrSilent) {
			first = st
			break
		}
	}
	if len(p.stations) == 1 || !errors.Is(first.err, drivers.ErrSilent) {
		return fmt.Errorf("reader %d: %w", first.cfg.Address, first.err)
	}
	return fmt.Errorf("none of %d readers answers: %w", len(p.stations), first.err)
}

// due is when the next reader has its turn.
func (p *Panel) due() time.Time {
	next := p.stations[0].due
	for _, st := range p.stations[1:] {
		if st.due.Before(next) {
			next = st.due
		}
	}
	return next
}

// fail emits all points as Unknown and returns err, unless ctx has ended.
func (p *Panel) fail(ctx context.Context, emit drivers.Emit, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	err = fmt.Errorf("osdp on %s: %w", p.line, err)
	for _, st := range p.stations {
		for _, pt := range st.points() {
			r := drivers.Reading{Point: pt.name, State: longan.Unknown, Detail: clip(err.Error())}
			if err := emit(ctx, r); err != nil {
				return err
			}
		}
	}
	return err
}
