// Package broker is the MQTT broker of the one-command city. It holds nothing
// that matters: sessions, queues and retained messages are in memory, and the
// contract relies on none of them. A city that has a broker of its own does not
// need this package.
//
// The broker itself is mochi-mqtt, used in one file (mochi.go), so that another
// one can take its place. This package adds who may connect ([Authenticator],
// [Passwords]), who may say what to whom (rights.go), and bounds that keep one
// client from taking the memory of all.
package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/longan-edge/longan"
)

// Authenticator tells whether a board is who it says. It exists so that tests
// and other registers than a password file can stand in.
type Authenticator interface {
	// Authenticate reports whether the password is the device's. It is called
	// from many goroutines at once and must return within seconds.
	Authenticate(device longan.DeviceID, password []byte) bool
}

// Config is what a broker takes from outside.
type Config struct {
	Log *slog.Logger // nil is silent
	// Auth knows the boards. Nil refuses all but the anonymous.
	Auth Authenticator
	// Anonymous lets everybody in without a password: for a demonstration.
	// A client whose id is a device id has that device's rights; any other may
	// read everything and publish nothing.
	Anonymous bool
	// Refused is told of everything that is refused: who (a client id), what and
	// why, for people. It must not block. Nil tells nobody.
	Refused func(client, what, why string)
}

// Bounds of one client. A packet carries a whole message, its topic and MQTT's
// own few bytes.
const (
	maxPacket     = longan.MaxPayload + 1024
	maxClients    = 20000
	maxPending    = 2048             // messages queued for, or unacknowledged by, one client
	maxSession    = 10 * time.Minute // how long a session outlives its connection
	maxKeepAlive  = 300              // seconds; also for clients that ask for none
	connectWithin = 10 * time.Second // from the connection to MQTT's CONNECT
	closeWithin   = 5 * time.Second
)

// Broker is a running broker.
type Broker struct {
	cfg      Config
	log      *slog.Logger
	server   *mochi
	inside   *pipeListener
	refusals refusals
	dropped  atomic.Uint64
	closing  chan struct{}
	down     chan struct{} // closed when Close has done all it can
	close    sync.Once

	mu        sync.Mutex
	acceptors []*acceptor
	conns     map[*conn]struct{} // those that mochi has not closed yet
	idle      chan struct{}      // closed when conns is empty, made by Close
}

// ErrClosed is returned by the methods of a broker that is closed.
var ErrClosed = errors.New("broker is closed")

// New starts a broker that only [Broker.Dial] can reach yet.
func New(cfg Config) (*Broker, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	b := &Broker{
		cfg: cfg, log: cfg.Log, inside: newPipeListener(), closing: make(chan struct{}), down: make(chan struct{}),
		conns: map[*conn]struct{}{}, refusals: refusals{log: cfg.Log, tell: cfg.Refused, said: map[string]time.Time{}},
	}
	server, err := newMochi(b)
	if err != nil {
		return nil, fmt.Errorf("start broker: %w", err)
	}
	b.server = server
	if _, err := b.listen(b.inside, insideID); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// Serve accepts boards from l until the broker is closed, when it returns nil,
// or until l fails. It closes l.
func (b *Broker) Serve(l net.Listener) error {
	a, err := b.listen(l, "")
	if err != nil {
		l.Close()
		return err
	}
	return b.await(a)
}

// await returns when a has accepted its last connection, or when the broker is
// closed: perhaps before the server came to accept any.
func (b *Broker) await(a *acceptor) error {
	select {
	case <-a.ended:
	case <-b.down:
		return nil
	}
	if a.err != nil {
		return fmt.Errorf("accept connections at %s: %w", a.Addr(), a.err)
	}
	return nil
}

// listen hands a listener to the server; an empty id gets a number.
func (b *Broker) listen(l net.Listener, id string) (*acceptor, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-b.closing:
		return nil, ErrClosed
	default:
	}
	if id == "" {
		id = fmt.Sprintf("outside-%d", len(b.acceptors))
	}
	a := &acceptor{Listener: l, broker: b, ended: make(chan struct{})}
	b.acceptors = append(b.acceptors, a)
	if err := b.server.listen(id, a); err != nil {
		return nil, fmt.Errorf("listen at %s: %w", l.Addr(), err)
	}
	return a, nil
}

// Dial connects the city's own ingest, without a socket. The client on that
// connection may do everything.
func (b *Broker) Dial(ctx context.Context) (net.Conn, error) {
	conn, err := b.inside.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("dial broker: %w", err)
	}
	return conn, nil
}

// Refused returns how often a client was refused: a connection, a topic to
// publish to, or a subscription.
func (b *Broker) Refused() uint64 { return b.refusals.count.Load() }

// Dropped returns how many messages were dropped because a client took them too
// slowly.
func (b *Broker) Dropped() uint64 { return b.dropped.Load() }

// Close ends all listeners and connections, and waits for their goroutines, but
// not longer than some seconds.
func (b *Broker) Close() error {
	var err error
	b.close.Do(func() { err = b.shutdown() })
	return err
}

func (b *Broker) shutdown() error {
	defer close(b.down)
	b.mu.Lock()
	close(b.closing)
	acceptors := b.acceptors
	b.idle = make(chan struct{})
	if len(b.conns) == 0 {
		close(b.idle)
	}
	for c := range b.conns {
		// The connection beneath: the server must see it end by itself, or its
		// own count of clients is not right yet when it is told to close.
		c.Conn.Close()
	}
	b.mu.Unlock()
	for _, a := range acceptors {
		a.Listener.Close()
	}
	timer := time.NewTimer(closeWithin)
	defer timer.Stop()
	select {
	case <-b.idle:
	case <-timer.C:
		return errors.New("close broker: connections did not end in time")
	}
	return b.server.close()
}
