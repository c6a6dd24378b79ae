package sim

import (
	"context"
	"errors"
	"net"
	"sync"
)

// Exchange is a listener in memory: what is dialled through one of its wires
// is accepted by it. With it a city and its centers run in one testing/synctest
// bubble, where real sockets would stop the virtual clock.
type Exchange struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// NewExchange returns an open exchange.
func NewExchange() *Exchange {
	return &Exchange{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Accept implements net.Listener.
func (e *Exchange) Accept() (net.Conn, error) {
	select {
	case c := <-e.conns:
		return c, nil
	case <-e.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (e *Exchange) Close() error {
	e.once.Do(func() { close(e.closed) })
	return nil
}

// Addr implements net.Listener.
func (e *Exchange) Addr() net.Addr { return wireAddr{} }

type wireAddr struct{}

func (wireAddr) Network() string { return "pipe" }
func (wireAddr) String() string  { return "exchange" }

// errDown: the wire is cut.
var errDown = errors.New("link is down")

// Wire is one center's link to an exchange, which can be cut.
type Wire struct {
	to func() *Exchange // nil while nobody listens

	mu    sync.Mutex
	down  bool
	conns map[net.Conn]struct{} // our ends
	drops int
}

// NewWire returns a link that is up. to returns the exchange at its other end,
// which may be another one after the city was started again.
func NewWire(to func() *Exchange) *Wire { return &Wire{to: to, conns: map[net.Conn]struct{}{}} }

// Dial connects to the exchange.
func (w *Wire) Dial(ctx context.Context) (net.Conn, error) {
	e := w.to()
	w.mu.Lock()
	down := w.down
	w.mu.Unlock()
	if down || e == nil {
		return nil, errDown
	}
	near, far := net.Pipe()
	select {
	case e.conns <- far:
	case <-e.closed:
		return nil, errDown
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.conns { // only the newest connection of a board is of use
		c.Close()
		delete(w.conns, c)
	}
	w.conns[near] = struct{}{}
	return near, nil
}

// SetDown cuts the link, or mends it.
func (w *Wire) SetDown(down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if down && !w.down {
		w.drops++
	}
	w.down = down
	if down {
		for c := range w.conns {
			c.Close()
			delete(w.conns, c)
		}
	}
}

// Drops returns how often the link was cut.
func (w *Wire) Drops() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.drops
}
