package uplink

import (
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/agent/internal/spool"
)

// memQueue is a Queue in memory.
type memQueue struct {
	epoch string

	mu      sync.Mutex
	lanes   [len(longan.Lanes)][]spool.Record
	acked   [len(longan.Lanes)]uint64
	changed chan struct{}
}

func newMemQueue() *memQueue { return &memQueue{epoch: "e1", changed: make(chan struct{})} }

func (q *memQueue) Epoch() string { return q.epoch }

func (q *memQueue) Streams() []spool.Stream { return []spool.Stream{q} }

func (q *memQueue) Lane(l longan.Lane) spool.LaneStats {
	q.mu.Lock()
	defer q.mu.Unlock()
	return spool.LaneStats{Last: uint64(len(q.lanes[l])), Acked: q.acked[l]}
}

func (q *memQueue) Read(l longan.Lane, from uint64, events, size int) ([]spool.Record, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := q.lanes[l][from-1:]
	return all[:min(len(all), events)], nil
}

func (q *memQueue) Free(l longan.Lane, seq uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.acked[l] = max(q.acked[l], min(seq, uint64(len(q.lanes[l]))))
}

func (q *memQueue) Changed() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.changed
}

func (q *memQueue) add(l longan.Lane, n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for range n {
		seq := uint64(len(q.lanes[l]) + 1)
		e := longan.Event{Seq: seq, Type: "door.opened", Point: "front-door"}
		q.lanes[l] = append(q.lanes[l], spool.Record{Seq: seq, JSON: e.AppendJSON(nil)})
	}
	close(q.changed)
	q.changed = make(chan struct{})
}

const testDevice longan.DeviceID = "621202104-01"

// sent returns the batches that the window lets through now, as "first-last".
func sent(t *testing.T, w *window, l longan.Lane) string {
	t.Helper()
	got := ""
	for {
		b, raw, err := w.next(l, testDevice, math.MaxInt)
		if err != nil {
			t.Fatal(err)
		}
		if b == nil {
			return got
		}
		last := w.lanes[l].sent
		got += fmt.Sprintf("%d-%d ", last-uint64(len(raw))+1, last)
	}
}

func TestWindowIsBoundedAndMovesWithAcks(t *testing.T) {
	q := newMemQueue()
	q.add(longan.State, 3000)
	w := newWindow(q, batchEvents)
	if got, want := sent(t, w, longan.State), "1-400 401-800 801-1200 1201-1600 "; got != want {
		t.Errorf("sent %q, want %q", got, want)
	}
	q.Free(longan.State, 800)
	w.acked(time.Now())
	if got, want := sent(t, w, longan.State), "1601-2000 2001-2400 "; got != want {
		t.Errorf("after an ack of two batches sent %q, want %q", got, want)
	}
	q.add(longan.Alarm, 1)
	if got, want := sent(t, w, longan.Alarm), "1-1 "; got != want {
		t.Errorf("a full state lane held an alarm back: sent %q, want %q", got, want)
	}
}

func TestWindowSendsAgainAndGivesUp(t *testing.T) {
	q := newMemQueue()
	q.add(longan.State, 3)
	w := newWindow(q, batchEvents)
	start := time.Now()
	sent(t, w, longan.State)
	if w.resend(start.Add(ackTimeout/2), ackTimeout); sent(t, w, longan.State) != "" {
		t.Error("sent again before the timeout")
	}
	w.resend(time.Now().Add(ackTimeout+time.Second), ackTimeout)
	if got, want := sent(t, w, longan.State), "1-3 "; got != want {
		t.Errorf("after the timeout sent %q, want %q", got, want)
	}
	other := newWindow(newMemQueue(), batchEvents)
	both := []*window{other, w}
	if !stalled(both, start.Add(stallTimeout+time.Minute)) {
		t.Error("a session without progress goes on")
	}
	if other.waiting, other.progress = true, start.Add(stallTimeout); stalled(both, start.Add(stallTimeout+time.Minute)) {
		t.Error("a session was given up while the city took another epoch's events")
	}
	other.waiting = false
	q.Free(longan.State, 3)
	w.acked(start.Add(2 * time.Minute))
	if stalled(both, start.Add(time.Hour)) {
		t.Error("an idle session was given up")
	}
}

func TestBatchTellsTheOldestKept(t *testing.T) {
	q := newMemQueue()
	q.add(longan.State, 10)
	q.Free(longan.State, 4)
	w := newWindow(q, batchEvents)
	b, raw, err := w.next(longan.State, testDevice, math.MaxInt)
	if err != nil || b.Oldest != 5 || len(raw) != 6 {
		t.Errorf("oldest %d with %d events (%v), want 5 with 6", b.Oldest, len(raw), err)
	}
}
