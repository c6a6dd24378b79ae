//go:build linux

package peripheral

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/drivers"
	"github.com/longan-edge/longan/drivers/modbus"
)

// party is one supervised slave on a line with others.
type party struct {
	mu      sync.Mutex
	health  drivers.Health
	last    time.Time     // of its last good reading
	longest time.Duration // between two
	state   longan.PointState
}

func (p *party) get() (drivers.Health, longan.PointState, time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	longest := max(p.longest, time.Since(p.last))
	p.longest, p.last = 0, time.Now()
	return p.health, p.state, longest
}

// joinLine runs a module of the line under a supervisor until the test ends.
func joinLine(ctx context.Context, running *sync.WaitGroup, line *modbus.Line, address int) *party {
	p := &party{last: time.Now()}
	point := fmt.Sprint("door-", address)
	s := &drivers.Supervisor{
		Name:   fmt.Sprint("module-", address),
		Driver: modbus.NewOn(line, modbus.Config{Address: address, Inputs: []modbus.Input{{Point: point, Number: 1}}}),
		Emit: func(_ context.Context, r drivers.Reading) error {
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.state = r.State; r.State != longan.Unknown {
				p.longest, p.last = max(p.longest, time.Since(p.last)), time.Now()
			}
			return nil
		},
		Report: func(_ context.Context, h drivers.Health) error {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.health = h
			return nil
		},
		Log: slog.New(slog.DiscardHandler),
	}
	running.Go(func() { s.Run(ctx) })
	return p
}

// TestADeadSlaveHoldsUpNobody puts three modules on one line, lets one fall
// silent for an hour, then pulls the plug of the line.
func TestADeadSlaveHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var modules Chain
		for address := range 3 {
			modules = append(modules, NewModule(ModuleConfig{Address: byte(address + 1), Inputs: 1}))
		}
		ports := &pluggable{pipes: pipes{t: t, device: modules}}
		line := modbus.NewLine(ports, "line", drivers.SerialMode{})
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		var parties []*party
		for i := range modules {
			parties = append(parties, joinLine(ctx, &running, line, i+1))
		}
		time.Sleep(5 * time.Second)
		for i, p := range parties {
			if health, state, _ := p.get(); !health.OK || state != longan.Normal {
				t.Errorf("slave %d at the start: %+v %v", i+1, health, state)
			}
		}
		modules[1].SetFault(Silent)
		time.Sleep(time.Hour)
		for i, p := range parties {
			health, state, longest := p.get()
			if i == 1 {
				if !errors.Is(health.Err, drivers.ErrSilent) || state != longan.Unknown {
					t.Errorf("the silent slave: %+v %v", health, state)
				}
			} else if !health.OK || longest > time.Second {
				t.Errorf("slave %d beside a silent one: %+v, %v between two readings, want 1 s at most", i+1, health, longest)
			}
		}
		modules[1].SetFault(NoFault)
		time.Sleep(5 * time.Second)
		if health, state, _ := parties[1].get(); !health.OK || state != longan.Normal {
			t.Errorf("the slave that answers again: %+v %v", health, state)
		}
		ports.unplug()
		time.Sleep(5 * time.Second)
		for i, p := range parties {
			if health, state, _ := p.get(); health.OK || state != longan.Unknown {
				t.Errorf("slave %d without a line: %+v %v", i+1, health, state)
			}
		}
		ports.plug()
		time.Sleep(5 * time.Second)
		for i, p := range parties {
			if health, state, _ := p.get(); !health.OK || state != longan.Normal {
				t.Errorf("slave %d after the replug: %+v %v", i+1, health, state)
			}
		}
		cancel()
		running.Wait()
	})
}

// pluggable is pipes that can be unplugged, and gives one opening at a time.
type pluggable struct {
	pipes
	mu   sync.Mutex
	out  bool
	open drivers.Serial
}

func (p *pluggable) Serial(ctx context.Context, name string, mode drivers.SerialMode) (drivers.Serial, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out {
		return nil, drivers.ErrNoPort
	}
	if p.open != nil {
		if _, err := p.open.Write(nil); err == nil {
			return nil, drivers.ErrBusy // the line opens its port once
		}
	}
	s, err := p.pipes.Serial(ctx, name, mode)
	p.open = s
	return s, err
}

func (p *pluggable) unplug() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out = true
	p.open.Close()
}

func (p *pluggable) plug() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out = false
}
