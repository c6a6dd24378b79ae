package modbus

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/longan-edge/longan/drivers"
)

// Line is one serial line with up to 247 slaves, each a Module of its own with
// its own faults. The first Module that runs opens the port, the last one closes
// it.
//
// # Fairness
//
// Modules take turns, one request each, in the order in which they ask. A slave
// that does not answer thus costs the others one timeout a turn, not all its
// retries in a row, and nothing while its supervisor waits.
type Line struct {
	ports drivers.Ports
	name  string
	mode  drivers.SerialMode
	turn  chan struct{} // holds a token while nobody has the line; Go serves its waiters in order

	mu    sync.Mutex
	users int
	bus   *bus // nil while nobody uses the line, or after it failed
}

// NewLine returns the line at a port. It opens nothing.
func NewLine(ports drivers.Ports, port string, mode drivers.SerialMode) *Line {
	if mode.Baud <= 0 {
		mode.Baud = defaultBaud
	}
	l := &Line{ports: ports, name: port, mode: mode, turn: make(chan struct{}, 1)}
	l.turn <- struct{}{}
	return l
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

// open returns the line's bus, opened where nobody else uses it. Each is given
// back with close.
func (l *Line) open(ctx context.Context) (*bus, error) {
	if err := l.take(ctx); err != nil {
		return nil, err
	}
	defer l.give()
	l.mu.Lock()
	b := l.bus
	l.mu.Unlock()
	if b == nil {
		port, err := l.ports.Serial(ctx, l.name, l.mode)
		if err != nil {
			return nil, err
		}
		b = newBus(port, l.mode)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bus != b {
		l.bus, l.users = b, 0
	}
	l.users++
	return b, nil
}

// close gives a bus back. The last one closes its port.
func (l *Line) close(b *bus) {
	l.mu.Lock()
	if l.bus != b { // it failed, and was closed by failed
		l.mu.Unlock()
		return
	}
	l.users--
	last := l.users == 0
	if last {
		l.bus = nil
	}
	l.mu.Unlock()
	if last {
		b.port.Close()
	}
}

// failed closes a bus whose port failed: whoever opens the line next gets a new
// one.
func (l *Line) failed(b *bus) {
	l.mu.Lock()
	if l.bus == b {
		l.bus = nil
	}
	l.mu.Unlock()
	b.port.Close()
}

// exchange sends r until it is answered, at most 1+retries times, each in a turn
// of its own, and returns the PDU of the answer. The error is that of the last
// try; it wraps errLost when the port failed and is ctx.Err() when ctx ended.
func (l *Line) exchange(ctx context.Context, b *bus, r request, timeout time.Duration, retries int) (pdu []byte, err error) {
	for range 1 + retries {
		if err := l.take(ctx); err != nil {
			return nil, err
		}
		pdu, err = tryUntil(ctx, b, r, timeout)
		l.give()
		if errors.Is(err, errLost) {
			l.failed(b)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err == nil || errors.Is(err, errLost) {
			return pdu, err
		}
	}
	return nil, err
}

// tryUntil is bus.try, cut short when ctx ends.
func tryUntil(ctx context.Context, b *bus, r request, timeout time.Duration) ([]byte, error) {
	interrupted := make(chan struct{})
	interrupt := context.AfterFunc(ctx, func() {
		defer close(interrupted)
		past := time.Unix(1, 0)
		b.port.SetReadDeadline(past) // at worst the answer's own deadline ends the wait
		b.port.SetWriteDeadline(past)
	})
	defer func() {
		if !interrupt() {
			<-interrupted // or it would hit whoever has the next turn
		}
	}()
	return b.try(r, timeout)
}

// String returns the name of the line's port.
func (l *Line) String() string { return l.name }
