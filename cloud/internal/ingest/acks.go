package ingest

import (
	"sync"

	"github.com/longan-edge/longan"
)

// ackBook holds the acks that wait to be sent, the latest of each epoch.
type ackBook struct {
	wake chan struct{} // signalled when something was put; capacity 1

	mu    sync.Mutex
	due   map[ackKey]due
	order []ackKey
}

// ackKey is whom an ack is for. A refusal is for the epoch "", for nobody could
// read the batch.
type ackKey struct {
	device longan.DeviceID
	epoch  string
}

// due is what an ack is to say.
type due struct {
	lanes   map[longan.Lane]uint64
	credit  uint64
	refused *longan.Refusal
}

// maxAcks bounds the acks that wait while there is no connection; the boards
// whose acks are left out send again.
const maxAcks = 50000

func (b *ackBook) init() {
	b.wake, b.due = make(chan struct{}, 1), map[ackKey]due{}
}

// put leaves an ack to be sent, in the place of an earlier one.
func (b *ackBook) put(k ackKey, d due) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, waits := b.due[k]; !waits {
		if len(b.due) >= maxAcks {
			return
		}
		b.order = append(b.order, k)
	}
	b.due[k] = d
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// take returns the ack that waits longest.
func (b *ackBook) take() (ackKey, due, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.order) == 0 {
		return ackKey{}, due{}, false
	}
	k := b.order[0]
	if b.order = b.order[1:]; len(b.order) == 0 {
		b.order = nil
	}
	d := b.due[k]
	delete(b.due, k)
	return k, d, true
}
