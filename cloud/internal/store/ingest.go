package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/longan-edge/longan"
)

// Result tells what one call of [Store.Ingest] did to one stream.
type Result struct {
	Device longan.DeviceID
	Epoch  string
	Lane   longan.Lane

	New        []longan.Event // those that were not stored before, in order of Seq
	Duplicates int            // those that were
	Conflicts  []longan.Event // those whose number another event has: not stored as events

	// Lanes is where every lane of the epoch stands now, most urgent first.
	// Results of one epoch share it.
	Lanes []Progress
}

// Acked returns the Acked of the result's own stream.
func (r *Result) Acked() uint64 {
	for _, p := range r.Lanes {
		if p.Lane == r.Lane {
			return p.Acked
		}
	}
	return 0
}

// streamKey names a stream.
type streamKey struct {
	device longan.DeviceID
	epoch  string
	lane   longan.Lane
}

// arrival is what came for one stream, the events in order of Seq.
type arrival struct {
	streamKey
	oldest uint64
	events []longan.Event
}

// Ingest stores the events of the batches in one transaction. It is idempotent:
// batches may come repeatedly and in any order. When it returns an error nothing
// is to be acknowledged; whether the transaction was committed is then unknown,
// and the same call may be made again.
//
// Batch.Oldest closes the stream below it: numbers that are missing there become
// a hole, and Progress.Acked passes over it. A spool.gap event does the same for the
// numbers it stands for. Events of a hole that come after all are stored, and the
// hole shrinks.
//
// The results may share memory with the batches, which must not change after.
func (s *Store) Ingest(ctx context.Context, batches []*longan.Batch, now time.Time) ([]Result, error) {
	arrivals := gather(batches)
	if len(arrivals) == 0 {
		return nil, nil
	}
	var results []Result
	err := s.writing(ctx, now, func(t *writeTx) error {
		results = make([]Result, len(arrivals))
		for i, a := range arrivals {
			results[i] = Result{Device: a.device, Epoch: a.epoch, Lane: a.lane}
			if err := t.arrived(a, &results[i]); err != nil {
				return fmt.Errorf("%s %s %s: %w", a.device, a.epoch, a.lane, err)
			}
		}
		return t.fillLanes(results)
	})
	if err != nil {
		return nil, fmt.Errorf("ingest: %w", err)
	}
	return results, nil
}

// gather sorts the events of the batches by stream, the most urgent lane first.
func gather(batches []*longan.Batch) []*arrival {
	var all []*arrival
	byKey := map[streamKey]*arrival{}
	for _, b := range batches {
		k := streamKey{b.Device, b.Epoch, b.Lane}
		a := byKey[k]
		if a == nil {
			a = &arrival{streamKey: k, events: b.Events[:len(b.Events):len(b.Events)]} // an append copies
			byKey[k] = a
			all = append(all, a)
		} else {
			a.events = append(a.events, b.Events...)
		}
		a.oldest = max(a.oldest, b.Oldest)
	}
	slices.SortStableFunc(all, func(a, b *arrival) int { return cmp.Compare(a.lane, b.lane) })
	for _, a := range all {
		inOrder := func(x, y longan.Event) int { return cmp.Compare(x.Seq, y.Seq) }
		if !slices.IsSortedFunc(a.events, inOrder) {
			a.events = slices.Clone(a.events)
			slices.SortStableFunc(a.events, inOrder)
		}
	}
	return all
}

// arrived stores what came for one stream and moves its progress on.
func (t *writeTx) arrived(a *arrival, r *Result) error {
	st, err := t.stream(a.streamKey)
	if err != nil {
		return err
	}
	before := st.progress
	if err := t.sift(st, a, r); err != nil {
		return err
	}
	if err := t.insert(st, r.New); err != nil {
		return err
	}
	gaps, err := t.gaps(st, a, r)
	if err != nil {
		return err
	}
	if n := len(r.New); n > 0 {
		st.max = max(st.max, r.New[n-1].Seq)
	}
	for i := 0; i < len(r.New) && r.New[i].Seq <= st.acked; i++ {
		if r.New[i].Type == longan.SpoolGap {
			continue // what had this number is as lost as before
		}
		if err := t.shrinkHole(st.id, r.New[i].Seq); err != nil {
			return err
		}
	}
	st.oldest = max(st.oldest, a.oldest)
	if n := uint64(len(r.New)); n > 0 && before.max <= before.acked && len(gaps) == 0 &&
		r.New[0].Seq == st.acked+1 && st.max == st.acked+n && st.oldest <= st.max+1 {
		st.acked = st.max // the usual case: what comes is what was missing next
	} else if err := errors.Join(t.advance(st, gaps), t.keepGaps(st, gaps)); err != nil {
		return err
	}
	if st.progress == before {
		return nil
	}
	return t.exec(t.store.stmts.moveStream, st.acked, st.max, st.oldest, st.conflicts, st.id)
}

// fillLanes sets the Lanes of the results.
func (t *writeTx) fillLanes(results []Result) error {
	byEpoch := map[streamKey][]Progress{}
	for i := range results {
		k := streamKey{device: results[i].Device, epoch: results[i].Epoch}
		lanes, ok := byEpoch[k]
		if !ok {
			var err error
			if lanes, err = epochProgress(k.device, k.epoch, t.query(t.store.stmts.lanes), t.query(t.store.stmts.holes)); err != nil {
				return err
			}
			byEpoch[k] = lanes
		}
		results[i].Lanes = lanes
	}
	return nil
}
