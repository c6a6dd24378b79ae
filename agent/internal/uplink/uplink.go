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
// reconnecting off. Reconnecting waits a random time up to a bound that
// doubles, so that 199 boards do not come back in the same millisecond.
package uplink

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
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
	// Heartbeat is the time between two signs of life, and MQTT's keep-alive;
	// zero is 10 s.
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
	backoffFirst   = time.Second
	backoffMost    = 60 * time.Second
	backoffAlarm   = 5 * time.Second // the bound while an alarm waits
	stableAfter    = time.Minute     // a session this long resets the backoff
)

// Uplink is the way to the city.
type Uplink struct {
	cfg     Config
	session int // counts connections; only used by Run's goroutine
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
	bound := backoffFirst
	for {
		broker := u.cfg.Brokers[u.session%len(u.cfg.Brokers)]
		u.session++
		start := time.Now()
		err := u.runSession(ctx, broker)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Since(start) > stableAfter {
			bound = backoffFirst
		}
		most := bound
		if u.alarms() > 0 {
			most = min(bound, backoffAlarm)
		}
		wait := mathrand.N(most) // full jitter
		bound = min(2*bound, backoffMost)
		u.cfg.Log.Warn("no link to the city", "broker", redact(broker), "err", err, "retry_in", wait.Round(time.Millisecond).String())
		if err := u.pause(ctx, wait); err != nil {
			return err
		}
	}
}

// pause waits between two sessions. An alarm that is accepted meanwhile cuts it
// short: the link may be back, and somebody needs help.
func (u *Uplink) pause(ctx context.Context, wait time.Duration) error {
	before := u.alarms()
	soonest := time.After(min(wait, backoffFirst)) // a chattering alarm must not hammer the broker
	timer := time.NewTimer(wait)
	defer timer.Stop()
	var changed <-chan struct{} // nil until soonest
	for {
		select {
		case <-soonest:
			soonest = nil
		case <-changed:
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
		if soonest == nil {
			changed = u.cfg.Changed() // before the look, or an alarm could slip between
			if u.alarms() > before {
				return nil
			}
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
