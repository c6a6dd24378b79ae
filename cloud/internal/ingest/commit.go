package ingest

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/cloud/internal/live"
	"github.com/longan-edge/longan/cloud/internal/store"
)

// Bounds of one transaction, and the patience with a store that fails.
const (
	groupBatches = 128
	groupEvents  = 1000 // reached, not kept to: a batch is not divided
	retryFirst   = 100 * time.Millisecond
	retryMost    = 5 * time.Second
	// apartAfter failures the batches of a group are stored one by one, so that
	// one that the store cannot take does not stop all others.
	apartAfter = 3
)

// commitLoop stores what is queued until ctx ends.
func (in *Ingest) commitLoop(ctx context.Context) {
	for {
		group := in.group()
		if len(group) > 0 {
			in.commit(ctx, group)
			continue
		}
		select {
		case <-in.batches.wake:
		case <-ctx.Done():
			return
		}
	}
}

// group takes the batches of the next transaction: alarms alone when there are
// any, for their commit is short.
func (in *Ingest) group() []*longan.Batch {
	for _, least := range []longan.Lane{longan.Alarm, longan.Lanes[len(longan.Lanes)-1]} {
		var group []*longan.Batch
		events := 0
		for len(group) < groupBatches && events < groupEvents {
			m, ok := in.batches.take(least)
			if !ok {
				break
			}
			if b := in.decode(m); b != nil {
				group = append(group, b)
				events += len(b.Events)
			}
		}
		if len(group) > 0 {
			return group
		}
	}
	return nil
}

// decode returns the batch of a message, or nil when it is refused.
func (in *Ingest) decode(m message) *longan.Batch {
	b, err := longan.DecodeBatch(m.payload)
	switch {
	case err != nil:
		in.refuse(BadMessage, m.topic.String(), err)
	case b.Device != m.topic.Device:
		in.refuse(WrongDevice, m.topic.String(), nil)
	case b.Lane != m.topic.Lane:
		in.refuse(WrongLane, m.topic.String(), nil)
	default:
		return b
	}
	return nil
}

// commit stores the group, and tries until it is stored or ctx ends.
func (in *Ingest) commit(ctx context.Context, group []*longan.Batch) {
	bound := retryFirst
	for failures := 0; len(group) > 0 && ctx.Err() == nil; {
		if failures >= apartAfter {
			group = in.commitApart(ctx, group)
		} else if err := in.store(ctx, group); err == nil {
			group = nil
		} else if failures == 0 && ctx.Err() == nil {
			in.log.Error("store does not commit, nothing is acknowledged until it does", "batches", len(group), "err", err)
		}
		if len(group) == 0 {
			if failures > 0 {
				in.log.Info("store commits again", "failures", failures)
			}
			return
		}
		failures++
		if !sleep(ctx, bound/2+rand.N(bound/2)) {
			return
		}
		bound = min(2*bound, retryMost)
	}
}

// commitApart stores the batches one by one and returns those to try again. When
// the store takes some and not others, it is the others that are at fault: they
// are dropped and counted.
func (in *Ingest) commitApart(ctx context.Context, group []*longan.Batch) []*longan.Batch {
	var failed []*longan.Batch
	var last error
	for _, b := range group {
		if err := in.store(ctx, []*longan.Batch{b}); err != nil {
			failed, last = append(failed, b), err
		}
	}
	if len(failed) == len(group) || ctx.Err() != nil {
		return failed
	}
	for _, b := range failed {
		in.refuse(StoreRefuses, longan.Topic{Device: b.Device, Kind: longan.TopicUp, Lane: b.Lane}.String(), last)
	}
	return nil
}

// store stores the batches in one transaction, and after it shows and
// acknowledges them.
func (in *Ingest) store(ctx context.Context, group []*longan.Batch) error {
	results, err := in.cfg.Store.Ingest(ctx, group, in.cfg.Now())
	if err != nil {
		in.Metrics.StoreErrors.Add(1)
		return err
	}
	in.Metrics.Commits.Add(1)
	in.logStored(results)
	for i := range results {
		r := &results[i]
		in.Metrics.Events.Add(uint64(len(r.New)))
		in.Metrics.Duplicates.Add(uint64(r.Duplicates))
		if n := len(r.Conflicts); n > 0 {
			in.Metrics.Conflicts.Add(uint64(n))
			in.cfg.View.ApplyConflicts(r.Device, n, in.cfg.Now())
			in.refused.note("another event has this number already: is the board a clone?",
				"device", r.Device, "epoch", r.Epoch, "lane", r.Lane, "seq", r.Conflicts[0].Seq)
		}
		if len(r.New) > 0 {
			in.cfg.View.ApplyEvents(r.New)
		}
	}
	told := map[ackKey]bool{}
	for i := range results {
		r := &results[i]
		k := ackKey{r.Device, r.Epoch}
		if told[k] {
			continue
		}
		told[k] = true
		in.cfg.View.ApplyStreams(r.Device, r.Epoch, Streams(r.Lanes))
		in.acks.put(k, ackedLanes(r.Lanes))
	}
	return nil
}

// logStored says, right behind the commit, what it has made durable. It is what
// longan-sim takes for the moment at which an event is stored.
func (in *Ingest) logStored(results []store.Result) {
	if !in.log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	for i := range results {
		r := &results[i]
		if n := len(r.New); n > 0 {
			in.log.Debug("stored", "device", r.Device, "epoch", r.Epoch, "lane", r.Lane.String(), "new", n, "last", r.New[n-1].Seq)
		}
	}
}

func ackedLanes(lanes []store.Progress) map[longan.Lane]uint64 {
	acked := make(map[longan.Lane]uint64, len(lanes))
	for _, p := range lanes {
		acked[p.Lane] = p.Acked
	}
	return acked
}

// Streams returns where the lanes of an epoch stand as the live view takes it.
func Streams(lanes []store.Progress) []live.Stream {
	out := make([]live.Stream, len(lanes))
	for i, p := range lanes {
		out[i] = live.Stream{Lane: p.Lane, Acked: p.Acked, Max: p.Max}
		for _, h := range p.Holes {
			out[i].Holes = append(out[i].Holes, live.Hole{From: h.From, To: h.To, Reason: h.Reason})
		}
	}
	return out
}
