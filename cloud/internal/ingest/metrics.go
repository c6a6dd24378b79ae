package ingest

import (
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/cloud/internal/live"
)

// Metrics counts since the start. The fields may be read at any time.
type Metrics struct {
	Sessions    atomic.Uint64 // connections to the broker that were subscribed
	Batches     atomic.Uint64 // received, whatever became of them
	Statuses    atomic.Uint64 // received, whatever became of them
	Events      atomic.Uint64 // stored for the first time
	Duplicates  atomic.Uint64 // events that were stored before
	Conflicts   atomic.Uint64 // events whose number another event has
	Commits     atomic.Uint64 // transactions
	StoreErrors atomic.Uint64 // transactions that failed
	Acks        atomic.Uint64 // handed to the broker's connection
	Dropped     atomic.Uint64 // messages for which there was no room
	Refused     [reasons]atomic.Uint64
}

// Reason is why a message was refused.
type Reason int

// The reasons.
const (
	BadTopic     Reason = iota // the topic is not of the contract
	BadMessage                 // the payload is not of the contract
	WrongDevice                // the payload is of another device than the topic
	WrongLane                  // the payload is of another lane than the topic
	WrongKind                  // of a kind that was not asked for
	StoreRefuses               // the store takes others, but not this
	reasons
)

// String returns the reason's name.
func (r Reason) String() string {
	return [reasons]string{"bad-topic", "bad-message", "wrong-device", "wrong-lane", "wrong-kind", "store-refuses"}[r]
}

// Refusals returns the counts by reason, without the zeros.
func (m *Metrics) Refusals() map[string]uint64 {
	out := map[string]uint64{}
	for r := range reasons {
		if n := m.Refused[r].Load(); n > 0 {
			out[r.String()] = n
		}
	}
	return out
}

// complaints logs what keeps happening at a bounded rate: for each kind the
// first, and then one in complainEvery with the number of those left out.
type complaints struct {
	log *slog.Logger

	mu    sync.Mutex
	kinds map[string]complaint // a fixed set of kinds
}

type complaint struct {
	said   time.Time
	silent uint64
}

const complainEvery = time.Minute

func (c *complaints) init(log *slog.Logger) {
	c.log, c.kinds = log, map[string]complaint{}
}

func (c *complaints) note(kind string, args ...any) {
	now := time.Now()
	c.mu.Lock()
	k := c.kinds[kind]
	if !k.said.IsZero() && now.Sub(k.said) < complainEvery {
		k.silent++
		c.kinds[kind] = k
		c.mu.Unlock()
		return
	}
	c.kinds[kind] = complaint{said: now}
	c.mu.Unlock()
	c.log.Warn(kind, append(args, "since_last", k.silent+1)...)
}

// refuse counts and logs a message that is not taken.
func (in *Ingest) refuse(r Reason, topic string, err error) {
	in.Metrics.Refused[r].Add(1)
	detail := ""
	if err != nil {
		detail = err.Error()
	}
	in.cfg.View.ApplyRefusal(deviceIn(topic), live.AtIngest, r.String(), detail)
	if len(topic) > 100 {
		topic = topic[:100] + "…"
	}
	in.refused.note("message refused: "+r.String(), "topic", topic, "err", err)
}

// deviceIn returns the device that a topic names, whatever else is wrong with it,
// or "".
func deviceIn(topic string) longan.DeviceID {
	parts := strings.Split(topic, "/")
	if len(parts) < 4 {
		return ""
	}
	d, err := longan.ParseDeviceID(parts[3])
	if err != nil {
		return ""
	}
	return d
}
