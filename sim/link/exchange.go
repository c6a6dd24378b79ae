package link

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"
)

// Exchange is a port in memory: one side listens at it, and what dials it is
// accepted there. It outlives its listeners, as a city that is started again
// listens anew.
type Exchange struct {
	mu       sync.Mutex
	listener *listener // nil while nobody listens
}

// errBusy: an exchange has one listener at a time.
var errBusy = errors.New("somebody listens there already")

// Listen opens the exchange. It fails while an earlier listener is open.
func (e *Exchange) Listen() (net.Listener, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.listener != nil {
		return nil, opError("listen", errBusy)
	}
	e.listener = &listener{exchange: e, conns: make(chan net.Conn), closed: make(chan struct{})}
	return e.listener, nil
}

// Dial connects to whoever listens, over a link without limits. It fails with
// ECONNREFUSED when nobody does, or with ctx's error.
func (e *Exchange) Dial(ctx context.Context) (net.Conn, error) {
	return New(0, Conditions{}).Dial(ctx, e)
}

// open reports whether somebody listens.
func (e *Exchange) open() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.listener != nil
}

// offer hands the far end of a connection to the listener.
func (e *Exchange) offer(ctx context.Context, far net.Conn) error {
	e.mu.Lock()
	l := e.listener
	e.mu.Unlock()
	if l == nil {
		return syscall.ECONNREFUSED
	}
	select {
	case l.conns <- far:
		return nil
	case <-l.closed:
		return syscall.ECONNREFUSED
	case <-ctx.Done():
		return ctx.Err()
	}
}

type listener struct {
	exchange *Exchange
	conns    chan net.Conn
	closed   chan struct{}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, opError("accept", net.ErrClosed)
	}
}

// Close implements net.Listener. It may be called again.
func (l *listener) Close() error {
	l.exchange.mu.Lock()
	defer l.exchange.mu.Unlock()
	if l.exchange.listener == l {
		l.exchange.listener = nil
		close(l.closed)
	}
	return nil
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return address("exchange") }
