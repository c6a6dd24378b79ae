package sim

import (
	"context"
	"net"
	"slices"
	"sync"
	"time"
)

// dialBook connects the centers to the broker and notes who tried when. The
// kernel itself refuses while nobody listens, as it would a real board.
type dialBook struct {
	mu     sync.Mutex
	tries  []visit
	marked int // tries before mark
}

// visit is an attempt to connect.
type visit struct {
	at       time.Time // of its end
	admitted bool      // somebody listened
}

// dial connects to host:port.
func (d *dialBook) dial(ctx context.Context, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tries = append(d.tries, visit{time.Now(), err == nil})
	return conn, err
}

// mark begins a count of attempts.
func (d *dialBook) mark() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.marked = len(d.tries)
}

// attempts returns how many there were since mark.
func (d *dialBook) attempts() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.tries) - d.marked
}

// burst returns the largest number of attempts since mark in any one second; of
// those that were admitted, or of all.
func (d *dialBook) burst(admitted bool) (most int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var at []time.Time
	for _, v := range d.tries[d.marked:] {
		if v.admitted || !admitted {
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
