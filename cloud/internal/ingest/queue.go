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
	urgent  chan struct{} // signalled when an alarm was put; capacity 1
	backlog chan struct{} // signalled when anything else was put; capacity 1

	mu    sync.Mutex
	lanes [len(longan.Lanes)][]message
	count int
	bytes int
}

func (q *queue) init() {
	q.urgent, q.backlog = make(chan struct{}, 1), make(chan struct{}, 1)
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
	wake := q.backlog
	if m.topic.Lane == longan.Alarm {
		wake = q.urgent
	}
	select {
	case wake <- struct{}{}:
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

// take returns the next batch: the first one of the most urgent lane from most
// to least.
func (q *queue) take(most, least longan.Lane) (message, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for l := most; l <= least; l++ {
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

// crowded reports whether more than half of the queue is in use.
func (q *queue) crowded() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.count > maxQueued/2 || q.bytes > maxQueuedBytes/2
}
