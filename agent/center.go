package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/agent/internal/rules"
	"github.com/longan-edge/longan/agent/internal/spool"
	"github.com/longan-edge/longan/drivers"
	firmwareconfig "github.com/longan-edge/longan/firmware-config"
)

type change = rules.Change

// center is what the agent knows of its center now. The maps are complete from
// the start; only their values change.
type center struct {
	cfg     Config
	spool   *spool.Spool
	changed chan struct{} // signals the uplink that status would say something new

	mu          sync.Mutex // guards what the maps point to, never held while the disk is waited for
	points      map[string]*point
	peripherals map[string]*peripheral
}

// point is a point of the center. Its rule is used by one goroutine only, that
// of its peripheral's supervisor.
type point struct {
	firmwareconfig.Point
	peripheral string
	rule       *rules.Point

	state  longan.PointState
	detail string
	since  time.Duration // since boot, when state began; negative when it was never known
	read   time.Duration // since boot, of the last good reading; negative is never
	shown  moment        // what the status last said of since
}

// peripheral is a peripheral of the center. Its rule is used by its
// supervisor's goroutine only.
type peripheral struct {
	firmwareconfig.Peripheral
	rule *rules.Peripheral

	ok   bool
	why  string
	read time.Duration // as of point
}

func newCenter(cfg Config, sp *spool.Spool) *center {
	c := &center{
		cfg: cfg, spool: sp, changed: make(chan struct{}, 1),
		points: map[string]*point{}, peripherals: map[string]*peripheral{},
	}
	last := sp.States()
	for _, p := range cfg.Site.Peripherals {
		c.peripherals[p.Name] = &peripheral{
			Peripheral: p, read: longan.Never, why: "starting",
			rule: rules.NewPeripheral(p.Name, last[rules.PeripheralKey(p.Name)]),
		}
		for _, pt := range p.Points {
			c.points[pt.Name] = &point{Point: pt, peripheral: p.Name, since: longan.Never, read: longan.Never, rule: rules.NewPoint(pt, last[pt.Name])}
		}
	}
	return c
}

// emit takes a reading from a driver and returns once what follows from it is
// on disk. It is the drivers.Emit of a peripheral. The status tells what was read in any case: the
// present waits for no disk.
func (c *center) emit(ctx context.Context, peripheral string, r drivers.Reading) error {
	p := c.points[r.Point]
	if r.Point == "" {
		c.alive(peripheral, r.State)
		return nil
	}
	if p == nil {
		return fmt.Errorf("reading of point %q, which the site file does not have", r.Point)
	}
	up := c.see(p, r)
	changes := p.rule.Changes(r.State, up)
	if h := r.Happened; h != nil {
		lane := longan.State
		if h.Sample {
			lane = longan.Sample
		}
		changes = append(changes, change{Lane: lane, Type: h.Type, Point: p.Name, Data: h.Data})
	}
	if err := c.accept(ctx, changes); err != nil {
		return err
	}
	p.rule.Done(r.State, up)
	return nil
}

// see makes a reading the present of its point, and returns whether the point's
// peripheral is up.
func (c *center) see(p *point, r drivers.Reading) (up bool) {
	now := c.cfg.Clock.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.state != r.State {
		p.state, p.since = r.State, now.Mono
		c.signal()
	}
	p.detail = r.Detail
	of := c.peripherals[p.peripheral]
	if r.State != longan.Unknown {
		p.read, of.read = now.Mono, now.Mono
	}
	return of.ok
}

// alive takes a sign of life of a peripheral that has no points, or whose points
// are silent while they are fine.
func (c *center) alive(name string, state longan.PointState) {
	now := c.cfg.Clock.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.peripherals[name]; p != nil && state != longan.Unknown {
		p.read = now.Mono
	}
}

// report takes news of a peripheral's health from its supervisor. As with emit,
// the status tells them in any case.
func (c *center) report(ctx context.Context, name string, h drivers.Health) error {
	p := c.peripherals[name]
	why := ""
	if h.Err != nil {
		why = h.Err.Error()
	}
	c.mark(p, h.OK, why)
	if err := c.accept(ctx, p.rule.Changes(h.OK, why)); err != nil {
		return err
	}
	p.rule.Done(h.OK)
	return nil
}

// mark makes a peripheral's health the present.
func (c *center) mark(p *peripheral, ok bool, why string) {
	now := c.cfg.Clock.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	p.ok, p.why = ok, why
	if !ok { // nobody sees these points now
		for _, pt := range c.points {
			if pt.peripheral == p.Name && pt.state != longan.Unknown {
				pt.state, pt.since = longan.Unknown, now.Mono
			}
		}
	}
	c.signal()
}

// accept makes changes into events and returns once they are on disk.
func (c *center) accept(ctx context.Context, changes []change) error {
	if len(changes) == 0 {
		return nil
	}
	now := c.cfg.Clock.Now()
	entries := make([]spool.Entry, len(changes))
	for i, ch := range changes {
		entries[i] = spool.Entry{Key: ch.Key, State: ch.State, Event: &longan.Event{
			Device: c.cfg.Site.Device, Lane: ch.Lane, Type: ch.Type, Point: ch.Point, Data: ch.Data,
			Time: now.Time, Clock: now.Quality, Mono: now.Mono, Boot: c.cfg.Clock.Boot,
		}}
	}
	err := c.spool.Append(ctx, entries...)
	if errors.Is(err, spool.ErrNotDurable) {
		c.cfg.Log.Warn("accepted in memory only", "err", err)
	} else if err != nil {
		return err
	}
	for _, e := range entries {
		c.cfg.Log.Debug("accepted", "durable", err == nil, "epoch", e.Event.Epoch, "lane", e.Event.Lane.String(), "seq", e.Event.Seq,
			"type", e.Event.Type, "point", e.Event.Point)
	}
	return nil
}

// signal tells the uplink that the status changed.
func (c *center) signal() {
	select {
	case c.changed <- struct{}{}:
	default: // it knows already
	}
}
