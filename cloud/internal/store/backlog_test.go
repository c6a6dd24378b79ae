package store

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/longan-edge/longan"
)

// benchEvents is the length of the backlog that is drained, benchBatch that of
// a batch of it.
const (
	benchEvents = 100_000
	benchBatch  = 400
)

// backlog returns the batches of a drain: n events, shared by the boards, which
// take turns.
func backlog(boards, n int) (out []*longan.Batch) {
	rng := rand.New(rand.NewPCG(1, 2))
	next := make([]uint64, boards)
	for n > 0 {
		for i := 0; i < boards && n > 0; i++ {
			b := &longan.Batch{Device: longan.DeviceID(fmt.Sprintf("62120210%04d-01", i)), Epoch: epoch, Lane: longan.State, Oldest: 1}
			for range min(benchBatch, n) {
				next[i]++
				b.Events = append(b.Events, benchEvent(rng, b, next[i]))
			}
			n -= len(b.Events)
			out = append(out, b)
		}
	}
	return out
}

// benchEvent is an event as doors and kiosks report it, about 200 B of JSON.
func benchEvent(rng *rand.Rand, b *longan.Batch, seq uint64) longan.Event {
	at := time.Duration(seq)*137*time.Second + time.Duration(rng.IntN(1000))*time.Millisecond
	e := longan.Event{
		Device: b.Device, Epoch: b.Epoch, Lane: b.Lane, Seq: seq, Type: longan.DoorOpened, Point: "front-door",
		Time: noon.Add(at), Clock: longan.ClockNTP, Boot: "8c2f60d19be4a753", Mono: at,
		Data: fmt.Appendf(nil, `{"cause":"contact","line":%d,"volt":%.2f}`, 1+rng.IntN(8), 11+2*rng.Float64()),
	}
	if seq%2 == 0 {
		e.Type = longan.DoorClosed
	}
	return e
}
