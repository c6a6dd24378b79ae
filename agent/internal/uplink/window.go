package uplink

import (
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/agent/internal/spool"
)

// Bounds of what is under way and not acknowledged. A batch of batchSize JSON
// is some 3 KB on the link, so a full window delays an alarm on a 256 kbit/s
// link by less than half a second.
const (
	batchEvents = 400
	batchSize   = 64 << 10 // bytes of JSON, before compression
	windowMost  = 4        // batches per lane
)

// window keeps what was sent of each lane of a stream and not acknowledged yet.
type window struct {
	stream  spool.Stream
	lanes   [len(longan.Lanes)]laneWindow
	waiting bool // for an ack of anything sent
	// progress is when the city last acknowledged a batch, or when waiting began.
	progress time.Time
}

type laneWindow struct {
	sent    uint64      // the last seq that was sent in this session
	batches []sentBatch // not acknowledged, oldest first
}

type sentBatch struct {
	last uint64 // seq
	at   time.Time
}

// newWindow returns a window that begins at the oldest unacknowledged events:
// what an earlier session sent is sent again.
func newWindow(st spool.Stream) *window {
	w := &window{stream: st, progress: time.Now()}
	for _, l := range longan.Lanes {
		w.lanes[l].sent = st.Lane(l).Acked
	}
	return w
}

// next returns the next batch of a lane and its records, or nil when there is
// none or the window is full.
func (w *window) next(l longan.Lane, device longan.DeviceID) (*longan.Batch, [][]byte, error) {
	lane, stats := &w.lanes[l], w.stream.Lane(l)
	if lane.sent >= stats.Last || w.full(l) {
		return nil, nil, nil
	}
	records, err := w.stream.Read(l, lane.sent+1, batchEvents, batchSize)
	if err != nil {
		return nil, nil, err
	}
	if len(records) == 0 {
		return nil, nil, nil
	}
	raw := make([][]byte, len(records))
	for i, r := range records {
		raw[i] = r.JSON
	}
	if !w.waiting {
		w.waiting, w.progress = true, time.Now()
	}
	lane.sent = records[len(records)-1].Seq
	lane.batches = append(lane.batches, sentBatch{lane.sent, time.Now()})
	return &longan.Batch{Device: device, Epoch: w.stream.Epoch(), Lane: l, Oldest: stats.Acked + 1}, raw, nil
}

// full reports whether as much of a lane is under way as may be.
func (w *window) full(l longan.Lane) bool { return len(w.lanes[l].batches) >= windowMost }

// acked drops the batches that the queue now knows to be acknowledged.
func (w *window) acked(now time.Time) {
	w.waiting = false
	for _, l := range longan.Lanes {
		lane, acked := &w.lanes[l], w.stream.Lane(l).Acked
		for len(lane.batches) > 0 && lane.batches[0].last <= acked {
			lane.batches = lane.batches[1:]
			w.progress = now
		}
		lane.sent = max(lane.sent, acked)
		w.waiting = w.waiting || len(lane.batches) > 0
	}
}

// resend sends a lane again whose oldest batch waits too long.
func (w *window) resend(now time.Time) {
	for _, l := range longan.Lanes {
		lane := &w.lanes[l]
		if len(lane.batches) > 0 && now.Sub(lane.batches[0].at) > ackTimeout {
			lane.batches = nil
			lane.sent = w.stream.Lane(l).Acked
		}
	}
}

// unsent reports whether a lane has events that this session has not sent.
func (w *window) unsent(l longan.Lane) bool { return w.stream.Lane(l).Last > w.lanes[l].sent }

// stalled reports whether the city acknowledges nothing of what waits in any of
// the windows.
func stalled(windows []*window, now time.Time) bool {
	waiting := false
	for _, w := range windows {
		if w.waiting && now.Sub(w.progress) <= stallTimeout {
			return false
		}
		waiting = waiting || w.waiting
	}
	return waiting
}
