package ingest

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/cloud/internal/live"
	"github.com/longan-edge/longan/cloud/internal/store"
)

// The patience with a store that fails.
const (
	retryFirst = 100 * time.Millisecond
	retryMost  = 5 * time.Second
	// apartAfter failures the batches of a group are stored one by one, so that
	// one that the store cannot take does not stop all others.
	apartAfter = 3
)

// attempt is a group on its way into the store.
type attempt struct {
	items    []item // those of this round
	failed   []item // those for the next round, when they are stored one by one
	taken    bool   // the store took a batch of this round …
	err      error  // … and this is why not another
	failures int
	bound    time.Duration // of the pause before the next round
	due      time.Time     // of the next try
}

func (a *attempt) done() bool { return len(a.items)+len(a.failed) == 0 }

// ready reports whether there is something to try now.
func (a *attempt) ready() bool { return !a.done() && !time.Now().Before(a.due) }

// commitLoop stores what is queued until ctx ends. Alarms and the rest are tried
// each on their own, so that a batch that the store can't take, or a backlog
// that waits to be tried again, holds up no alarm.
func (in *Ingest) commitLoop(ctx context.Context) {
	var urgent, backlog attempt
	for ctx.Err() == nil {
		if urgent.done() {
			urgent = attempt{items: in.alarms().items}
		}
		if in.try(ctx, &urgent) {
			continue
		}
		if backlog.done() {
			select {
			case g := <-in.groups:
				backlog = attempt{items: g.items}
			default:
			}
		}
		if backlog.ready() && !urgent.done() { // of a store that fails, alarms are the first to know when it works again
			urgent.due = time.Time{}
			in.try(ctx, &urgent)
		}
		if !in.try(ctx, &backlog) {
			in.await(ctx, &urgent, &backlog)
		}
	}
}

// await waits until there is something to try, and takes the next group when the
// backlog is done.
func (in *Ingest) await(ctx context.Context, urgent, backlog *attempt) {
	wake, groups := in.batches.urgent, in.groups
	var due time.Time // the earlier one
	if !urgent.done() {
		wake, due = nil, urgent.due
	}
	if !backlog.done() {
		if groups = nil; due.IsZero() || backlog.due.Before(due) {
			due = backlog.due
		}
	}
	var again <-chan time.Time
	if !due.IsZero() {
		timer := time.NewTimer(time.Until(due))
		defer timer.Stop()
		again = timer.C
	}
	select {
	case <-wake:
	case g := <-groups:
		*backlog = attempt{items: g.items}
	case <-again:
	case <-ctx.Done():
	}
}

// try stores the batches of an attempt, or one of them once they are stored one
// by one. It reports whether there was anything to do now.
func (in *Ingest) try(ctx context.Context, a *attempt) bool {
	if !a.ready() {
		return false
	}
	if a.failures < apartAfter {
		err := in.store(ctx, a.items)
		if err == nil {
			a.items = nil
		} else if a.failures == 0 && ctx.Err() == nil {
			in.log.Error("store does not commit, nothing is acknowledged until it does", "batches", len(a.items), "err", err)
		}
	} else if in.tryApart(ctx, a); len(a.items) > 0 {
		return true // the round goes on, behind alarms
	}
	a.items, a.failed = append(a.items, a.failed...), nil
	if a.taken, a.err = false, nil; a.done() {
		if a.failures > 0 {
			in.log.Info("store commits again", "failures", a.failures)
		}
		return true
	}
	a.failures++
	a.bound = min(max(retryFirst, 2*a.bound), retryMost)
	a.due = time.Now().Add(a.bound/2 + rand.N(a.bound/2))
	return true
}

// tryApart stores the first batch of the round on its own. One that the store
// refuses, whatever else it takes, is set aside, and its board is told. At the
// end of a round in which the store took some, the others are dropped: what is
// wrong with them is not clear, and their boards send them again.
func (in *Ingest) tryApart(ctx context.Context, a *attempt) {
	it := a.items[0]
	a.items = a.items[1:]
	err := in.store(ctx, []item{it})
	switch {
	case err == nil:
		a.taken = true
	case errors.Is(err, store.ErrRefused) && in.keepLetters(ctx, []letter{in.letter(StoreRefuses, longan.RefusedByStore, it.message, err)}):
		in.refuse(StoreRefuses, it.message.topic.String(), err)
	default:
		a.failed, a.err = append(a.failed, it), err
	}
	if len(a.items) == 0 && a.taken && ctx.Err() == nil {
		for _, it := range a.failed {
			in.refuse(StoreRefuses, it.message.topic.String(), a.err)
		}
		a.failed = nil
	}
}

// store stores the batches in one transaction, and after it shows and
// acknowledges them.
func (in *Ingest) store(ctx context.Context, items []item) error {
	began := time.Now()
	results, err := in.cfg.Store.Ingest(ctx, batches(items), in.cfg.Now())
	if err != nil {
		in.Metrics.StoreErrors.Add(1)
		return err
	}
	took := time.Since(began)
	in.Metrics.Commits.Add(1)
	in.logStored(results)
	events := 0
	for i := range results {
		r := &results[i]
		events += len(r.New)
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
	in.Metrics.Events.Add(uint64(events))
	in.cost.took(events, took)
	in.acknowledge(results)
	return nil
}

// acknowledge shows and acknowledges where the streams of the results stand.
func (in *Ingest) acknowledge(results []store.Result) {
	credit := in.pace.credit(in.batches.crowded())
	told := map[ackKey]bool{}
	for i := range results {
		r := &results[i]
		k := ackKey{r.Device, r.Epoch}
		if told[k] {
			continue
		}
		told[k] = true
		in.cfg.View.ApplyStreams(r.Device, r.Epoch, Streams(r.Lanes))
		in.acks.put(k, due{lanes: ackedLanes(r.Lanes), credit: credit})
	}
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
