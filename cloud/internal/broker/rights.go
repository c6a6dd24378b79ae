package broker

import (
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/longan-edge/longan"
)

// mayPublish reports whether a board may publish to a topic: its own events,
// status and results.
func mayPublish(device longan.DeviceID, topic string) bool {
	t, err := longan.ParseTopic(topic)
	if err != nil || t.Device != device {
		return false
	}
	return t.Kind == longan.TopicUp || t.Kind == longan.TopicStatus || t.Kind == longan.TopicResult
}

// maySubscribe reports whether a board may subscribe to a filter: its own acks,
// commands and configuration, each by its full name.
func maySubscribe(device longan.DeviceID, filter string) bool {
	t, err := longan.ParseTopic(filter)
	if err != nil || t.Device != device {
		return false
	}
	return t.Kind == longan.TopicAck || t.Kind == longan.TopicCmd || t.Kind == longan.TopicConfig
}

// mayWatch reports whether a spectator of a demonstration may subscribe to a
// filter: all but what is about the broker itself.
func mayWatch(filter string) bool { return !strings.HasPrefix(filter, "$") }

// mayRetain reports whether the broker keeps a message of that topic for later
// subscribers. Only a status is one.
func mayRetain(topic string) bool {
	t, err := longan.ParseTopic(topic)
	return err == nil && t.Kind == longan.TopicStatus
}

// insidePrefix begins the client ids that only the city's own clients may have:
// a client with the id of another takes its session over.
const insidePrefix = "longan-"

// refusals counts what was refused and logs it, for one client at most once per
// sayEvery: a board that asks again every second must not fill the log.
type refusals struct {
	log   *slog.Logger
	tell  func(client, what, why string) // every one of them; nil is nobody
	count atomic.Uint64

	mu   sync.Mutex
	said map[string]time.Time // at most maxSaid clients
}

const (
	sayEvery = 10 * time.Minute
	maxSaid  = 1000
)

func (r *refusals) note(client, what, why string) {
	r.count.Add(1)
	if r.tell != nil {
		r.tell(client, what, why)
	}
	now := time.Now()
	r.mu.Lock()
	last, ok := r.said[client]
	if ok && now.Sub(last) < sayEvery {
		r.mu.Unlock()
		return
	}
	if len(r.said) >= maxSaid {
		for id, at := range r.said {
			if now.Sub(at) >= sayEvery {
				delete(r.said, id)
			}
		}
	}
	full := len(r.said) >= maxSaid
	if !full {
		r.said[client] = now
	}
	r.mu.Unlock()
	if !full {
		r.log.Warn("refused", "client", client, "what", what, "why", why, "total", r.count.Load())
	}
}
