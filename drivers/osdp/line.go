package osdp

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/longan-edge/longan/drivers"
)

// Line is one RS-485 line with up to 127 readers, which one Panel or several
// share. The first Panel that runs opens the port, the last one closes it. Panels
// take turns, one command each, in the order in which they ask.
type Line struct {
	ports drivers.Ports
	name  string
	mode  drivers.SerialMode
	turn  chan struct{} // holds a token while nobody has the line; Go serves its waiters in order

	mu        sync.Mutex
	addresses map[int]bool // of all readers
	users     int
	wire      *wire // nil while nobody uses the line, or after it failed
}

// NewLine returns the line at a port, an RS-485 one whatever mode says. It opens
// nothing.
func NewLine(ports drivers.Ports, port string, mode drivers.SerialMode) *Line {
	if mode.Baud == 0 {
		mode.Baud = DefaultBaud
	}
	mode.RS485 = true
	l := &Line{ports: ports, name: port, mode: mode, turn: make(chan struct{}, 1), addresses: make(map[int]bool)}
	l.turn <- struct{}{}
	return l
}

// claim takes addresses for a Panel's readers.
func (l *Line) claim(readers []Reader) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range readers {
		if l.addresses[r.Address] {
			return fmt.Errorf("reader %d: two have this address: give each one its own", r.Address)
		}
		l.addresses[r.Address] = true
	}
	return nil
}

// take waits for the line. It is given back with give.
func (l *Line) take(ctx context.Context) error {
	select {
	case <-l.turn:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *Line) give() { l.turn <- struct{}{} }

// open returns the line's wire, opened where nobody else uses it. Each is given
// back with close.
func (l *Line) open(ctx context.Context) (*wire, error) {
	if err := l.take(ctx); err != nil {
		return nil, err
	}
	defer l.give()
	l.mu.Lock()
	w := l.wire
	l.mu.Unlock()
	if w == nil {
		port, err := l.ports.Serial(ctx, l.name, l.mode)
		if err != nil {
			return nil, err
		}
		w = newWire(port, l.mode)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wire != w {
		l.wire, l.users = w, 0
	}
	l.users++
	return w, nil
}

// close gives a wire back. The last one closes its port.
func (l *Line) close(w *wire) {
	l.mu.Lock()
	if l.wire != w { // it failed, and was closed by failed
		l.mu.Unlock()
		return
	}
	l.users--
	last := l.users == 0
	if last {
		l.wire = nil
	}
	l.mu.Unlock()
	if last {
		w.port.Close()
	}
}

// failed closes a wire whose port failed, and returns why it failed first: whoever
// opens the line next gets a new one.
func (l *Line) failed(w *wire, err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w.cause == nil {
		w.cause = err
		w.port.Close()
	}
	if l.wire == w {
		l.wire = nil
	}
	return w.cause
}

// link is a Panel's use of a line, from open to close.
type link struct {
	line *Line
	wire *wire
}

// exchange is that of the wire, in a turn of its own. It ends with ctx.
func (k link) exchange(ctx context.Context, sent []byte, address byte, timeout time.Duration, wants func(*frame) bool) (*frame, error) {
	if err := k.line.take(ctx); err != nil {
		return nil, err
	}
	defer k.line.give()
	interrupted := make(chan struct{})
	interrupt := context.AfterFunc(ctx, func() {
		defer close(interrupted)
		past := time.Unix(1, 0)
		k.wire.port.SetReadDeadline(past) // at worst the answer's own deadline ends the wait
		k.wire.port.SetWriteDeadline(past)
	})
	f, err := k.wire.exchange(sent, address, timeout, wants)
	if !interrupt() {
		<-interrupted // or it would hit whoever has the next turn
	}
	if errors.Is(err, errLost) && ctx.Err() == nil {
		err = k.line.failed(k.wire, err)
	}
	return f, err
}

// String returns the name of the line's port.
func (l *Line) String() string { return l.name }
