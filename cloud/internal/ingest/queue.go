package ingest

import (
	"sync"

	"github.com/longan-edge/longan"
)

// message is one MQTT message with its parsed topic.
type message struct {
	topic    longan.Topic
	payload  []byte
	retained bool
}

// Bounds of the queue of batches.
const (
	maxQueued      = 8192     // messages
	maxQueuedBytes = 64 << 20 // of payload, as received
)

// queue holds the batches that wait for the store, by lane. When it is full, a
// batch of a more urgent lane takes the place of the latest ones of the least
// urgent lane.
type queue struct {
	wake chan struct{} // signalled when something was put; capacity 1

	mu    sync.Mutex
	lanes [len(longan.Lanes)][]message
	count int
	bytes int
}

// put queues a batch and returns how many messages had to go for it, itself
// included.
func (q *queue) put(m message) (dropped int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.count >= maxQueued || q.bytes+len(m.payload) > maxQueuedBytes {
		if !q.evict(m.topic.Lane) {
			return dropped + 1
		}
		dropped++
	}
	q.lanes[m.topic.Lane] = append(q.lanes[m.topic.Lane], m)
	q.count++
	q.bytes += len(m.payload)
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return dropped
}

// evict drops the latest batch of the least urgent lane behind lane, and reports
// whether there was one.
func (q *queue) evict(lane longan.Lane) bool {
	for l := len(q.lanes) - 1; l > int(lane); l-- {
		if last := len(q.lanes[l]) - 1; last >= 0 {
			q.forget(q.lanes[l][last])
			q.lanes[l][last] = message{}
			q.lanes[l] = q.lanes[l][:last]
			return true
		}
	}
	return false
}

// take returns the next batch: the first one of the most urgent lane up to and
// including least.
func (q *queue) take(least longan.Lane) (message, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for l := 0; l <= int(least); l++ {
		if len(q.lanes[l]) == 0 {
			continue
		}
		m := q.lanes[l][0]
		q.lanes[l][0] = message{}
		if q.lanes[l] = q.lanes[l][1:]; len(q.lanes[l]) == 0 {
			q.lanes[l] = nil
		}
		q.forget(m)
		return m, true
	}
	return message{}, false
}

func (q *queue) forget(m message) {
	q.count--
	q.bytes -= len(m.payload)
}

// ackBook holds the acks that wait to be sent, the latest of each epoch.
type ackBook struct {
	wake chan struct{} // signalled when something was put; capacity 1

	mu    sync.Mutex
	due   map[ackKey]map[longan.Lane]uint64
	order []ackKey
}

type ackKey struct {
	device longan.DeviceID
	epoch  string
}

// maxAcks bounds the acks that wait while there is no connection; the boards
// whose acks are left out send again.
const maxAcks = 50000

func (b *ackBook) init() {
	b.wake, b.due = make(chan struct{}, 1), map[ackKey]map[longan.Lane]uint64{}
}

// put leaves an ack to be sent, in the place of an earlier one.
func (b *ackBook) put(k ackKey, lanes map[longan.Lane]uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, waits := b.due[k]; !waits {
		if len(b.due) >= maxAcks {
			return
		}
		b.order = append(b.order, k)
	}
	b.due[k] = lanes
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// take returns the ack that waits longest.
func (b *ackBook) take() (ackKey, map[longan.Lane]uint64, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.order) == 0 {
		return ackKey{}, nil, false
	}
	k := b.order[0]
	if b.order = b.order[1:]; len(b.order) == 0 {
		b.order = nil
	}
	lanes := b.due[k]
	delete(b.due, k)
	return k, lanes, true
}
