package link

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Proxy is a link between real processes: a TCP proxy on loopback. It differs
// from a link in memory in two things. The kernel answers a dial before the
// proxy is asked, so in a black hole a dial succeeds and then nothing comes; and
// the sockets' own buffers, which are made small, add to the link's.
type Proxy struct {
	link     *Link
	listener net.Listener
	target   string
}

// socketBuffer is what the kernel is asked to keep at most, of each way.
const socketBuffer = 16 << 10

// NewProxy listens on a free loopback port for connections to target, host:port,
// that go over the link.
func NewProxy(l *Link, target string) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for link: %w", err)
	}
	return &Proxy{link: l, listener: listener, target: target}, nil
}

// Addr returns the address that the board dials, host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Close releases the port of a proxy that is not going to run. One that runs
// ends with it.
func (p *Proxy) Close() error { return p.listener.Close() }

// Run carries connections until ctx ends, then drops them and returns.
func (p *Proxy) Run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	defer context.AfterFunc(ctx, func() { p.listener.Close() })()
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		running.Go(func() { p.carry(ctx, conn.(*net.TCPConn)) })
	}
}

// carry carries a connection until either side ends it.
func (p *Proxy) carry(ctx context.Context, near *net.TCPConn) {
	if p.link.handshake(ctx) != nil {
		abort(near)
		return
	}
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", p.target)
	if err != nil {
		abort(near)
		return
	}
	far := conn.(*net.TCPConn)
	board, city := p.link.Pair()
	defer context.AfterFunc(ctx, func() {
		for _, c := range []net.Conn{near, board, city, far} {
			c.Close()
		}
	})()
	var both sync.WaitGroup
	both.Go(func() { relay(near, board) })
	both.Go(func() { relay(far, city) })
	both.Wait()
}

// relay joins a socket and an end of the link until either is of no use.
func relay(socket *net.TCPConn, end net.Conn) {
	socket.SetReadBuffer(socketBuffer) // where that fails, the buffers are larger
	socket.SetWriteBuffer(socketBuffer)
	var both sync.WaitGroup
	both.Go(func() {
		io.Copy(end, socket)
		end.Close() // what was written is carried
	})
	both.Go(func() {
		if _, err := io.Copy(socket, end); err != nil {
			abort(socket)
			return
		}
		socket.Close()
	})
	both.Wait()
}

// abort closes a socket so that its other side gets an error.
func abort(socket *net.TCPConn) {
	socket.SetLinger(0)
	socket.Close()
}
