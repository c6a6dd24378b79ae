// Package uplink carries the spool's events to the city over MQTT 3.1.1 and
// frees what the city has acknowledged.
//
// # What it relies on
//
// Nothing of the broker but that messages mostly get through. A PUBACK frees
// nothing: paho completes a token without one when a link drops, and brokers
// lose what they confirmed. Only an ack on the device's ack topic, which the
// city sends after its store has committed, moves an event out of the spool.
// What is not acknowledged in time is sent again; the city drops repeats.
//
// # One session
//
// Each connection gets a fresh paho client with a clean session, paho's own
// reconnecting off. Of several brokers the first is the preferred one: from
// another the uplink returns when it can be reached again.
package uplink

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/agent/internal/spool"
)

// Queue is what the uplink needs of a spool. It exists so that tests can send
// from memory.
type Queue interface {
	// Epoch is the one that is being written.
	Epoch() string
	// Streams are those with something to send, in the order they are to be sent.
	Streams() []spool.Stream
	// Changed is closed when there is more to send.
	Changed() <-chan struct{}
}

// Config of an uplink.
type Config struct {
	Device   longan.DeviceID
	Brokers  []string // URLs, tried in turn
	Username string
	Password string
	// Dial opens the connection to a broker.
	Dial func(ctx context.Context, broker *url.URL) (net.Conn, error)
	Queue
	// Status returns what the board is now, full; the uplink adds the session.
	Status func() *longan.Status
	// StatusChanged is signalled when Status would say something new.
	StatusChanged <-chan struct{}
	// CityTime is told the city's time whenever an ack brings it; nil is nobody.
	CityTime func(time.Time)
	// Heartbeat is the time between two signs of life; zero is 10 s.
	Heartbeat time.Duration
	Log       *slog.Logger
}

// The uplink's patience.
const (
	connectTimeout = 20 * time.Second       // TCP, TLS and CONNACK
	sendTimeout    = 10 * time.Second       // of one write to the link
	ackTimeout     = 10 * time.Second       // until unacknowledged batches are sent again
	endTimeout     = 500 * time.Millisecond // for paho's goroutines to end
	stallTimeout   = 60 * time.Second       // without any progress, until the session is given up
	stallAlarm     = 20 * time.Second       // … while an alarm waits
	// keepAlive is MQTT's. It is longer than the heartbeat, which the city's own
	// clock watches: a ping costs as much as a heartbeat, and says less. While the
	// broker answers heartbeats there is none.
	keepAlive   = 60 * time.Second
	pingTimeout = 10 * time.Second
	cloneEvery  = time.Minute // between two complaints about another board
)

// Uplink is the way to the city. Its fields are used by Run's goroutine only.
type Uplink struct {
	cfg    Config
	broker int // the one in use, an index into cfg.Brokers
	// fruitless counts sessions that sent batches and heard no ack of any: next
	// ones send smaller ones, see firstBatch. A link that breaks every few seconds
	// carries small batches, and so does a broker with a low limit.
	fruitless int
	cloneSaid time.Time
}

// New returns an uplink, or an error that says what of the configuration is
// wrong.
func New(cfg Config) (*Uplink, error) {
	if len(cfg.Brokers) == 0 {
		return nil, errors.New("uplink has no broker")
	}
	for _, b := range cfg.Brokers {
		if _, err := url.Parse(b); err != nil {
			return nil, fmt.Errorf("parse broker: %w", err)
		}
	}
	if cfg.Heartbeat == 0 {
		cfg.Heartbeat = 10 * time.Second
	}
	return &Uplink{cfg: cfg}, nil
}

// Run keeps a session with the city until ctx ends, and returns ctx.Err().
func (u *Uplink) Run(ctx context.Context) error {
	var off backoff
	home := newHome()
	for {
		broker := u.cfg.Brokers[u.broker]
		start := time.Now()
		reached, err := u.runSession(ctx, broker, home)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		lasted := time.Since(start)
		if errors.Is(err, errHome) {
			u.cfg.Log.Info("the preferred broker can be reached again", "left", redact(broker), "for", redact(u.cfg.Brokers[0]))
			u.broker = 0
			continue
		}
		if lasted <= stableAfter { // a session that was stable is tried again first
			u.broker = (u.broker + 1) % len(u.cfg.Brokers)
		}
		wait := off.next(lasted, reached, hungUp(err), u.alarms() > 0)
		u.cfg.Log.Warn("no link to the city", "broker", redact(broker), "err", err, "retry_in", wait.Round(time.Millisecond).String())
		if err := u.pause(ctx, wait); err != nil {
			return err
		}
	}
}

// alarms returns the number of alarms that the city has not acknowledged.
func (u *Uplink) alarms() (n uint64) {
	for _, st := range u.cfg.Streams() {
		n += st.Lane(longan.Alarm).Backlog()
	}
	return n
}

// redact returns a broker's URL without a password, for the log.
func redact(broker string) string {
	if u, err := url.Parse(broker); err == nil {
		return u.Redacted()
	}
	return "?"
}

// newSessionID returns the random id of a connection.
func newSessionID() string {
	var id [6]byte
	rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}
