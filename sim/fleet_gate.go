package sim

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

// gate stands before the broker and counts who comes: a TCP proxy on loopback for
// all centers together. While nobody listens behind it, it refuses as the kernel
// would.
type gate struct {
	listener net.Listener
	target   string
	running  sync.WaitGroup
	ctx      context.Context // of the gate's life; ends with close
	end      context.CancelFunc

	mu     sync.Mutex
	tries  []visit
	marked int // tries before mark
}

// visit is an attempt to connect.
type visit struct {
	at       time.Time
	admitted bool // the broker took the connection
}

// newGate listens on a free loopback port for connections to target.
func newGate(target string) (*gate, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for centers: %w", err)
	}
	g := &gate{listener: l, target: target}
	g.ctx, g.end = context.WithCancel(context.Background())
	g.running.Go(g.serve)
	return g, nil
}

func (g *gate) address() string { return g.listener.Addr().String() }

func (g *gate) close() {
	g.end()
	g.listener.Close()
	g.running.Wait()
}

func (g *gate) serve() {
	for {
		conn, err := g.listener.Accept()
		if err != nil {
			return // closed
		}
		g.running.Go(func() { g.admit(conn.(*net.TCPConn)) })
	}
}

func (g *gate) admit(near *net.TCPConn) {
	defer near.Close()
	at := time.Now()
	far, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(g.ctx, "tcp", g.target)
	g.mu.Lock()
	g.tries = append(g.tries, visit{at, err == nil})
	g.mu.Unlock()
	if err != nil {
		near.SetLinger(0) // it looks like a port on which nobody listens
		return
	}
	defer far.Close()
	stop := context.AfterFunc(g.ctx, func() { near.Close(); far.Close() })
	defer stop()
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

// mark begins a count of attempts.
func (g *gate) mark() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.marked = len(g.tries)
}

// attempts returns how many there were since mark.
func (g *gate) attempts() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.tries) - g.marked
}

// burst returns the largest number of attempts since mark, and after a moment, in
// any one second; of those that were admitted, or of all.
func (g *gate) burst(after time.Time, admitted bool) (most int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var at []time.Time
	for _, v := range g.tries[g.marked:] {
		if v.at.After(after) && (v.admitted || !admitted) {
			at = append(at, v.at)
		}
	}
	slices.SortFunc(at, time.Time.Compare)
	first := 0
	for i, t := range at {
		for t.Sub(at[first]) >= time.Second {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}
