package link

import (
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"syscall"
	"time"
)

// connection is a connection over a link. The link's mutex guards all of it.
type connection struct {
	link      *Link
	ends      [2]*end  // the board's, the city's
	paths     [2]*path // to the city, to the board
	forgotten bool     // see Link.Forget
}

func newConnection(l *Link, number uint64) *connection {
	c := &connection{link: l}
	for i, way := range []Way{ToCity, ToBoard} {
		c.paths[i] = &path{conn: c, way: way, rng: rand.New(rand.NewPCG(l.seed, number<<2|uint64(way))), tcp: l.tcp[way-1]}
		c.paths[i].readable.L, c.paths[i].writable.L = &l.mu, &l.mu
	}
	for i := range c.ends {
		c.ends[i] = &end{conn: c, out: c.paths[i], in: c.paths[1-i], name: []address{"board", "city"}[i]}
	}
	for i, p := range c.paths {
		p.from, p.to, p.reverse = c.ends[i], c.ends[1-i], c.paths[1-i]
	}
	return c
}

// end ends the connection at both ends with an error.
func (c *connection) end(err error) {
	c.ends[0].fail(err)
	c.ends[1].fail(err)
}

// settle forgets a connection that neither end has any more.
func (c *connection) settle() {
	if c.ends[0].err == nil || c.ends[1].err == nil {
		return
	}
	for _, p := range c.paths {
		p.stop()
	}
	if i := slices.Index(c.link.conns, c); i >= 0 {
		c.link.conns = slices.Delete(c.link.conns, i, i+1)
	}
}

// end is one end of a connection: a net.Conn.
type end struct {
	conn    *connection
	out, in *path
	name    address
	err     error // why it is of no use any more; net.ErrClosed after Close
	read    deadline
	write   deadline
}

var _ net.Conn = (*end)(nil)

type address string

func (address) Network() string  { return "link" }
func (a address) String() string { return string(a) }

// fail ends the use of this end. The other one is not told.
func (e *end) fail(err error) {
	if e.err != nil {
		return
	}
	e.err = err
	e.read.stop()
	e.write.stop()
	e.in.readable.Broadcast()
	e.out.writable.Broadcast()
	e.out.stop()
	e.conn.settle()
}

// Read implements net.Conn.
func (e *end) Read(b []byte) (int, error) {
	e.conn.link.mu.Lock()
	defer e.conn.link.mu.Unlock()
	for {
		switch n := e.in.unread(); {
		case e.err == net.ErrClosed:
			return 0, opError("read", e.err)
		case e.read.passed():
			return 0, opError("read", os.ErrDeadlineExceeded)
		case len(b) == 0:
			return 0, nil
		case e.in.way == ToCity && e.conn.link.stuck && e.err == nil:
			// nobody reads
		case n > 0:
			return e.in.take(b), nil
		case e.err != nil:
			return 0, opError("read", e.err)
		case e.in.finArrived:
			return 0, io.EOF
		}
		e.in.readable.Wait()
	}
}

// Write implements net.Conn. It returns when all of b is in the send buffer.
func (e *end) Write(b []byte) (n int, err error) {
	e.conn.link.mu.Lock()
	defer e.conn.link.mu.Unlock()
	for {
		switch {
		case e.err != nil:
			return n, opError("write", e.err)
		case e.write.passed():
			return n, opError("write", os.ErrDeadlineExceeded)
		case n == len(b):
			return n, nil
		}
		now := time.Now()
		k := e.out.put(b[n:], now)
		n += k
		if n == len(b) && e.err == nil {
			return n, nil
		}
		if k == 0 {
			e.out.waiting++
			e.out.schedule(now)
			e.out.writable.Wait()
			e.out.waiting--
		}
	}
}

// Close implements net.Conn. What was written is still carried, and the other
// end is told after it, where the link lets it.
func (e *end) Close() error {
	e.conn.link.mu.Lock()
	defer e.conn.link.mu.Unlock()
	if e.err != nil {
		was := e.err
		e.err = net.ErrClosed
		if was == net.ErrClosed {
			return opError("close", net.ErrClosed)
		}
		return nil
	}
	e.err = net.ErrClosed
	e.read.stop()
	e.write.stop()
	e.in.readable.Broadcast()
	e.out.writable.Broadcast()
	e.out.closing = true
	e.out.advance(time.Now())
	e.conn.settle()
	return nil
}

// LocalAddr implements net.Conn.
func (e *end) LocalAddr() net.Addr { return e.name }

// RemoteAddr implements net.Conn.
func (e *end) RemoteAddr() net.Addr { return e.out.to.name }

// SetDeadline implements net.Conn.
func (e *end) SetDeadline(t time.Time) error { return e.setDeadlines(t, true, true) }

// SetReadDeadline implements net.Conn.
func (e *end) SetReadDeadline(t time.Time) error { return e.setDeadlines(t, true, false) }

// SetWriteDeadline implements net.Conn.
func (e *end) SetWriteDeadline(t time.Time) error { return e.setDeadlines(t, false, true) }

func (e *end) setDeadlines(t time.Time, read, write bool) error {
	l := e.conn.link
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.err == net.ErrClosed {
		return opError("set", net.ErrClosed)
	}
	if e.err != nil {
		return nil // whoever waits knows
	}
	if read {
		e.read.set(t, l, e.in.readable.Broadcast)
	}
	if write {
		e.write.set(t, l, e.out.writable.Broadcast)
	}
	return nil
}

// deadline is when a Read or Write gives up; zero is never.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) set(t time.Time, l *Link, wake func()) {
	d.at = t
	switch {
	case t.IsZero():
		d.stop()
	case !time.Now().Before(t):
		d.stop()
		wake()
	case d.timer != nil:
		d.timer.Reset(time.Until(t))
	default:
		d.timer = time.AfterFunc(time.Until(t), func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			wake()
		})
	}
}

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
	}
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

// reset is what an end gets that sends to one that is not there any more.
func (e *end) reset() { e.fail(syscall.ECONNRESET) }
