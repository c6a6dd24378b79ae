package sim

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Proxy is a link between one center and the broker that can be cut: a TCP
// proxy on loopback. While it is down it refuses connections and drops those
// it has.
type Proxy struct {
	listener net.Listener
	target   string

	mu    sync.Mutex
	down  bool
	conns map[net.Conn]struct{}
}

// NewProxy listens on a free loopback port for connections to target.
func NewProxy(target string) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for link: %w", err)
	}
	return &Proxy{listener: l, target: target, conns: map[net.Conn]struct{}{}}, nil
}

// Addr returns the address that the center dials.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// SetDown cuts the link, or mends it.
func (p *Proxy) SetDown(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
	if down {
		for c := range p.conns {
			c.Close()
		}
	}
}

// Run serves the link until ctx ends.
func (p *Proxy) Run(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() {
		p.listener.Close()
		p.SetDown(true)
	})
	defer stop()
	var running sync.WaitGroup
	defer running.Wait()
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		running.Go(func() { p.carry(ctx, conn) })
	}
}

func (p *Proxy) carry(ctx context.Context, near net.Conn) {
	defer near.Close()
	if !p.add(near) {
		return
	}
	defer p.remove(near)
	far, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", p.target)
	if err != nil {
		return
	}
	defer far.Close()
	if !p.add(far) {
		return
	}
	defer p.remove(far)
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
		both.Go(func() {
			io.Copy(way[0], way[1]) // ends when either side does
			near.Close()
			far.Close()
		})
	}
	both.Wait()
}

func (p *Proxy) add(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down {
		return false
	}
	p.conns[c] = struct{}{}
	return true
}

func (p *Proxy) remove(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}
