package uplink

import (
	"slices"
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
	leastPaced  = 50       // events; what the city paces goes in batches no smaller, if it can
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
	most    int         // events in a batch, now
	suspect suspect
	since   time.Time // the lane waits for an ack without any progress; zero is it does not wait
}

type sentBatch struct {
	first, last uint64 // seq
	at          time.Time
	crc         uint32 // of the message
}

// events returns how many numbers the batch spans.
func (b sentBatch) events() int { return int(b.last - b.first + 1) }

// suspect is a single event that the city refused.
type suspect struct {
	seq   uint64
	tries int
}

// refusedTries is how often the city may refuse one event before the lane goes
// on without it.
const refusedTries = 3

// newWindow returns a window that begins at the oldest unacknowledged events:
// what an earlier session sent is sent again, in batches of at most most events.
func newWindow(st spool.Stream, most int) *window {
	w := &window{stream: st, progress: time.Now()}
	for _, l := range longan.Lanes {
		w.lanes[l].sent = st.Lane(l).Acked
		w.lanes[l].most = most
	}
	return w
}

// next returns the next batch of a lane and its records, or nil when there is
// none or the window is full. allowed bounds its events.
func (w *window) next(l longan.Lane, device longan.DeviceID, allowed int) (*longan.Batch, [][]byte, error) {
	lane, stats := &w.lanes[l], w.stream.Lane(l)
	if lane.sent >= stats.Last || w.full(l) || allowed <= 0 {
		return nil, nil, nil
	}
	records, err := w.stream.Read(l, lane.sent+1, min(lane.most, allowed), batchSize)
	if err != nil {
		return nil, nil, err
	}
	if len(records) == 0 {
		return nil, nil, nil
	}
	raw := make([][]byte, len(records))
	for i, r := range records {
		raw[i] = r.JSON
		if lane.suspect.seq == r.Seq && lane.suspect.tries >= refusedTries {
			raw[i] = refusedGap(l, r)
		}
	}
	now := time.Now()
	if !w.waiting {
		w.waiting, w.progress = true, now
	}
	if lane.since.IsZero() {
		lane.since = now
	}
	b := sentBatch{first: records[0].Seq, last: records[len(records)-1].Seq, at: now}
	lane.sent = b.last
	lane.batches = append(lane.batches, b)
	return &longan.Batch{Device: device, Epoch: w.stream.Epoch(), Lane: l, Oldest: stats.Acked + 1}, raw, nil
}

// published notes the checksum of the batch that next returned last.
func (w *window) published(l longan.Lane, crc uint32) {
	batches := w.lanes[l].batches
	batches[len(batches)-1].crc = crc
}

// full reports whether as much of a lane is under way as may be.
func (w *window) full(l longan.Lane) bool { return len(w.lanes[l].batches) >= windowMost }

// underWay returns the number of events of a lane that are not acknowledged.
func (w *window) underWay(l longan.Lane) (n int) {
	for _, b := range w.lanes[l].batches {
		n += b.events()
	}
	return n
}

// acked drops the batches that the queue now knows to be acknowledged, and
// reports whether there was any.
func (w *window) acked(now time.Time) (progress bool) {
	w.waiting = false
	for _, l := range longan.Lanes {
		lane, acked := &w.lanes[l], w.stream.Lane(l).Acked
		for len(lane.batches) > 0 && lane.batches[0].last <= acked {
			lane.batches = lane.batches[1:]
			lane.most = min(2*lane.most, batchEvents)
			lane.since, w.progress, progress = now, now, true
		}
		if lane.sent = max(lane.sent, acked); lane.sent == acked {
			lane.since = time.Time{}
		}
		w.waiting = w.waiting || len(lane.batches) > 0
	}
	return progress
}

// resend sends a lane again whose oldest batch waits longer than patience.
func (w *window) resend(now time.Time, patience time.Duration) {
	for _, l := range longan.Lanes {
		if lane := &w.lanes[l]; len(lane.batches) > 0 && now.Sub(lane.batches[0].at) > patience {
			w.rewind(l)
		}
	}
}

// rewind lets a lane begin again at its oldest unacknowledged event.
func (w *window) rewind(l longan.Lane) {
	w.lanes[l].batches = nil
	w.lanes[l].sent = w.stream.Lane(l).Acked
}

// refused takes the city's word that it can't take a batch: it is sent again in
// halves, until one event stands alone, which is given up after refusedTries. It
// returns the batch, and false when it is not one of this window.
func (w *window) refused(l longan.Lane, crc uint32) (sentBatch, bool) {
	lane := &w.lanes[l]
	i := slices.IndexFunc(lane.batches, func(b sentBatch) bool { return b.crc == crc })
	if i < 0 {
		return sentBatch{}, false
	}
	b := lane.batches[i]
	switch {
	case b.first < b.last:
		lane.most = max(1, b.events()/2)
	case lane.suspect.seq == b.first:
		lane.suspect.tries++
	default:
		lane.suspect = suspect{b.first, 1}
	}
	w.rewind(l)
	return b, true
}

// unsent reports whether a lane has events that this session has not sent.
func (w *window) unsent(l longan.Lane) bool { return w.stream.Lane(l).Last > w.lanes[l].sent }

// stalled reports whether the city acknowledges nothing of what waits in any of
// the windows. For an alarm the patience is shorter.
func stalled(windows []*window, now time.Time) bool {
	waiting := false
	for _, w := range windows {
		if since := w.lanes[longan.Alarm].since; !since.IsZero() && now.Sub(since) > stallAlarm {
			return true
		}
		if w.waiting && now.Sub(w.progress) <= stallTimeout {
			return false
		}
		waiting = waiting || w.waiting
	}
	return waiting
}
