package porttest

import (
	"context"
	"fmt"
	"sync"

	"github.com/longan-edge/longan/drivers"
)

// Ports are the ports of a board that exists only in memory. The zero value is
// a board without any. It is safe for concurrent use.
type Ports struct {
	mu      sync.Mutex
	serials map[string]*Peer
	lines   map[string]*Line
}

var _ drivers.Ports = (*Ports)(nil)

// AddSerial plugs a device into the named UART and returns the device's end.
// Adding a name again is a replug: the device before is unplugged.
func (p *Ports) AddSerial(name string) *Peer {
	peer := newPeer(name)
	p.mu.Lock()
	old := p.serials[name]
	if p.serials == nil {
		p.serials = make(map[string]*Peer)
	}
	p.serials[name] = peer
	p.mu.Unlock()
	if old != nil {
		old.Close()
	}
	return peer
}

// AddLine adds a GPIO line and returns the wire at its terminal. Adding a name
// again replaces the line; whoever had requested the line before loses it.
func (p *Ports) AddLine(name string) *Line {
	line := newLine(name)
	p.mu.Lock()
	old := p.lines[name]
	if p.lines == nil {
		p.lines = make(map[string]*Line)
	}
	p.lines[name] = line
	p.mu.Unlock()
	if old != nil {
		old.Unplug()
	}
	return line
}

// Serial implements [drivers.Ports]. It fails with ErrNoPort for a name that
// was never added or is unplugged, with ErrBusy while the port is open or held.
func (p *Ports) Serial(ctx context.Context, name string, mode drivers.SerialMode) (drivers.Serial, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p.mu.Lock()
	peer := p.serials[name]
	p.mu.Unlock()
	if peer == nil {
		return nil, fmt.Errorf("open %s: %w", name, drivers.ErrNoPort)
	}
	return peer.open(mode)
}

// Line implements [drivers.Ports], with the errors of Serial.
func (p *Ports) Line(ctx context.Context, name string, mode drivers.LineMode) (drivers.Line, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p.mu.Lock()
	line := p.lines[name]
	p.mu.Unlock()
	if line == nil {
		return nil, fmt.Errorf("request line %s: %w", name, drivers.ErrNoPort)
	}
	return line.request(mode)
}
