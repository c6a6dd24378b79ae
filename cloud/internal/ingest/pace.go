package ingest

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/longan-edge/longan"
)

// Credit: how many events of its lanes state and sample a board may have on the
// way, so that an outage's backlog comes in as fast as the store takes it and no
// faster. Boards that bring something share inFlight; a board with little to
// bring does not miss the rest of its share.
const (
	inFlight     = 80_000 // events of all boards together
	creditLeast  = 50     // a board is never stopped
	creditMost   = 1600
	activeFor    = 10 * time.Second // since its last batch
	activeCount  = time.Second      // between two counts of the active boards
	activeBoards = 10_000           // more are not told apart
)

// pacer counts the boards that have a backlog.
type pacer struct {
	now func() time.Time

	mu      sync.Mutex
	last    map[longan.DeviceID]time.Time // of a batch that is no alarm
	counted time.Time
}

func (p *pacer) init(now func() time.Time) {
	p.now, p.last = now, map[longan.DeviceID]time.Time{}
}

// saw notes a batch of a lane that is paced.
func (p *pacer) saw(d longan.DeviceID) {
	now := p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known := p.last[d]; known || len(p.last) < activeBoards {
		p.last[d] = now
	}
}

// credit returns what each board may have on the way now.
func (p *pacer) credit(crowded bool) uint64 {
	if crowded {
		return creditLeast
	}
	now := p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if since := now.Sub(p.counted); since >= activeCount || since < 0 {
		p.counted = now
		for d, at := range p.last {
			if age := now.Sub(at); age >= activeFor || age < 0 { // or the clock was set back
				delete(p.last, d)
			}
		}
	}
	return uint64(min(creditMost, max(creditLeast, inFlight/max(1, len(p.last)))))
}

// Bounds of a transaction with other lanes than alarm, for which an alarm may
// have to wait: as many events as take about groupTime.
const (
	groupTime   = 20 * time.Millisecond
	groupLeast  = 1000 // with fewer the cost of a transaction itself counts
	groupMost   = 8000
	groupWeight = 8 // of all that was measured before against the latest
)

// stopwatch measures what an event costs the store.
type stopwatch struct{ perEvent atomic.Int64 } // ns; 0 is not known yet

func (w *stopwatch) took(events int, d time.Duration) {
	if events < groupLeast/2 {
		return // tells more of the transaction than of the events
	}
	now := int64(d) / int64(events)
	if old := w.perEvent.Load(); old > 0 {
		now = (old*(groupWeight-1) + now) / groupWeight
	}
	w.perEvent.Store(now)
}

// most returns how many events a transaction may have.
func (w *stopwatch) most() int {
	per := w.perEvent.Load()
	if per <= 0 {
		return groupLeast
	}
	return int(min(groupMost, max(groupLeast, int64(groupTime)/per)))
}
