package broker

import (
	"context"
	"net"
	"sync"
	"time"
)

// acceptor wraps a listener: it survives errors that pass, bounds the time to
// the first packet, and keeps account of the connections.
type acceptor struct {
	net.Listener
	broker *Broker
	ended  chan struct{} // closed when Accept has returned its last error
	err    error         // that error, unless the broker was closed; valid when ended
	once   sync.Once
}

// acceptRetry is the pause after an error that passes, such as no more file
// descriptors.
const acceptRetry = 200 * time.Millisecond

// Accept implements net.Listener.
func (a *acceptor) Accept() (net.Conn, error) {
	for {
		c, err := a.Listener.Accept()
		if err == nil {
			if c, err = a.broker.track(c); err == nil {
				return c, nil
			}
		}
		select {
		case <-a.broker.closing:
			a.once.Do(func() { close(a.ended) })
			return nil, err
		default:
		}
		if passing, ok := err.(interface{ Temporary() bool }); !ok || !passing.Temporary() {
			a.once.Do(func() { a.err = err; close(a.ended) })
			return nil, err
		}
		a.broker.refusals.note("accept", "accept a connection", err.Error())
		timer := time.NewTimer(acceptRetry)
		select {
		case <-timer.C:
		case <-a.broker.closing:
			timer.Stop()
		}
	}
}

// conn is a connection that the broker counts until the server closes it.
type conn struct {
	net.Conn
	broker *Broker
}

// track returns c as a counted connection with a deadline for its first packet.
func (b *Broker) track(c net.Conn) (net.Conn, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-b.closing:
		c.Close()
		return nil, ErrClosed
	default:
	}
	if err := c.SetDeadline(time.Now().Add(connectWithin)); err != nil {
		c.Close()
		return nil, passing{err}
	}
	t := &conn{Conn: c, broker: b}
	b.conns[t] = struct{}{}
	return t, nil
}

// passing is an error that says nothing about the listener.
type passing struct{ error }

// Temporary makes Accept go on.
func (passing) Temporary() bool { return true }

// Close implements net.Conn.
func (c *conn) Close() error {
	err := c.Conn.Close()
	b := c.broker
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.conns[c]; ok {
		delete(b.conns, c)
		if len(b.conns) == 0 && b.idle != nil {
			close(b.idle)
		}
	}
	return err
}

// pipeListener is a net.Listener whose connections are net.Pipes.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *pipeListener) dial(ctx context.Context) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-l.closed:
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept implements net.Listener.
func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr implements net.Listener.
func (l *pipeListener) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "inside" }
