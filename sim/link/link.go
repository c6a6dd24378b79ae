package link

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"
)

// ErrDown is what both ends of a connection fail with when their link goes down,
// and what dials fail with while it is.
var ErrDown = errors.New("link is down")

// Link is the link between a board and the city. All its methods may be called
// at once.
type Link struct {
	seed uint64

	mu         sync.Mutex
	conditions Conditions
	rng        *rand.Rand // of handshakes
	conns      []*connection
	number     uint64              // connections made
	free       [BothWays]time.Time // when the wire of a way has sent what it was given
	counts     [BothWays]Count     // of connections that ended too
	drops      int
	tcp        [BothWays]TCP
	stuck      bool
}

// New returns a link. What it does at random follows from the seed.
func New(seed uint64, c Conditions) *Link {
	return &Link{seed: seed, conditions: c, rng: rand.New(rand.NewPCG(seed, 0))}
}

// Set changes what the link is like from now on. What has left is not affected.
func (l *Link) Set(c Conditions) {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.conditions
	if was == c {
		return
	}
	l.conditions = c
	if c.Down {
		if !was.Down {
			l.drops++
		}
		for _, conn := range slices.Clone(l.conns) {
			conn.end(ErrDown)
		}
		return
	}
	now := time.Now()
	for _, conn := range slices.Clone(l.conns) { // one that gives up leaves the list
		conn.paths[0].eased(now)
		conn.paths[1].eased(now)
	}
}

// Tune sets what those ask of their TCP who send that way, for connections that
// are made from now on.
func (l *Link) Tune(way Way, t TCP) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range []Way{ToCity, ToBoard} {
		if way&w != 0 {
			l.tcp[w-1] = t
		}
	}
}

// SetStuck lets the program at the city's end read nothing, as one that hangs,
// until it goes on. Its kernel answers dials and takes what its buffer holds.
func (l *Link) SetStuck(stuck bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stuck = stuck
	for _, c := range l.conns {
		c.paths[0].readable.Broadcast()
	}
}

// Conditions returns what the link is like.
func (l *Link) Conditions() Conditions {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conditions
}

// Forget lets everything in between forget the connections that there are, as a
// mobile network does, and as a board does that loses power. They stay half-open:
// nothing passes any more, and nobody is told. New dials work.
func (l *Link) Forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for _, conn := range l.conns {
		conn.forgotten = true
		for _, p := range conn.paths {
			if len(p.flight) > 0 && p.stuck.IsZero() {
				p.stuck = now
			}
			p.flight = nil
			p.schedule(now)
		}
	}
}

// Drops returns how often the link went down.
func (l *Link) Drops() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.drops
}

// Connections returns how many connections were made so far.
func (l *Link) Connections() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int(l.number)
}

// Dial connects the board to whoever listens at the exchange. It takes one round
// trip, and more when the link loses segments. It fails with ErrDown, with
// ECONNREFUSED when nobody listens, with ETIMEDOUT after two minutes, or with
// ctx's error.
func (l *Link) Dial(ctx context.Context, to *Exchange) (net.Conn, error) {
	if err := l.handshake(ctx); err != nil {
		return nil, opError("dial", err)
	}
	if !to.open() {
		return nil, opError("dial", syscall.ECONNREFUSED)
	}
	near, far := l.Pair()
	if err := to.offer(ctx, far); err != nil {
		near.Close()
		far.Close()
		return nil, opError("dial", err)
	}
	return near, nil
}

// Pair returns both ends of a new connection: the board's and the city's.
func (l *Link) Pair() (board, city net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.number++
	conn := newConnection(l, l.number)
	if l.conditions.Down {
		conn.end(ErrDown)
	} else {
		l.conns = append(l.conns, conn)
	}
	return conn.ends[0], conn.ends[1]
}

// handshake waits as long as TCP's takes.
func (l *Link) handshake(ctx context.Context) error {
	wait := synFirst
	for range synTries {
		rtt, passes, err := l.try()
		if err != nil {
			return err
		}
		if passes {
			return sleep(ctx, rtt)
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
		wait *= 2
	}
	return syscall.ETIMEDOUT
}

// try reports whether a segment there and back would pass now, and how long it
// would take.
func (l *Link) try() (rtt time.Duration, passes bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.conditions
	if c.Down {
		return 0, false, ErrDown
	}
	l.counts[ToCity-1].Bare++
	if c.BlackHole&ToCity != 0 || c.loses(l.rng) {
		return 0, false, nil
	}
	l.counts[ToBoard-1].Bare++
	if c.BlackHole&ToBoard != 0 || c.loses(l.rng) {
		return 0, false, nil
	}
	l.counts[ToCity-1].Bare++
	return c.delay(l.rng) + c.delay(l.rng), true, nil
}

func (c Conditions) loses(rng *rand.Rand) bool { return c.Loss > 0 && rng.Float64() < c.Loss }

func (c Conditions) delay(rng *rand.Rand) time.Duration {
	if c.Jitter <= 0 {
		return c.Latency
	}
	return c.Latency + time.Duration(rng.Int64N(int64(c.Jitter)))
}

// sleep waits for d, or for ctx's end and returns its error.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "link", Err: err}
}
