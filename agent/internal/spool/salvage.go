package spool

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/longan-edge/longan"
)

// Why a spool was rebuilt, as spool.recovered says it.
const (
	damageDamaged = "damaged" // the file could not be read
	damageMissing = "missing" // there was none, though there had been
	damageBehind  = "behind"  // it was older than identity.json
)

// salvagedStream is what a new file takes over of an epoch.
type salvagedStream struct {
	epoch epochID
	lanes [len(longan.Lanes)]salvagedLane
}

type salvagedLane struct {
	acked, last uint64
	items       []salvagedItem // in order, without a hole from acked+1 to last
	kept, lost  uint64         // events
}

// salvagedItem is a block to be copied, or a gap.
type salvagedItem struct {
	block scannedBlock
	gap   gap
}

// empty reports whether nothing of the epoch is left to be sent.
func (st *salvagedStream) empty() bool {
	return !slices.ContainsFunc(st.lanes[:], func(l salvagedLane) bool { return len(l.items) > 0 })
}

// rebuild replaces a file that can't be used. Events that were not acknowledged
// keep their epoch and number, so that the city, which may have some of them,
// stores none twice; what is missing between them becomes a gap. New events
// begin a new epoch: the last numbers given out may not be known.
func (s *Spool) rebuild(known *identity, why string) error {
	file, err := os.Open(s.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("salvage spool: %w", err)
	}
	if file != nil {
		defer file.Close()
	}
	found := scanFile(file)
	s.opts.Failpoint(failSalvage)
	streams := salvage(found, known)
	recovered := s.recoveredEvents(known.pending(found), streams, known, why)
	streams = slices.DeleteFunc(streams, func(st salvagedStream) bool { return st.empty() })
	run := max(found.run, known.Run) + 1
	if err := s.create(found, streams, newEpoch(), run, recovered); err != nil {
		return err
	}
	c, err := verify(s.path)
	if err != nil {
		return fmt.Errorf("open salvaged spool: %w", err)
	}
	return s.use(c, known)
}

// salvage decides what is kept of each epoch, the oldest first.
func salvage(found *scan, known *identity) []salvagedStream {
	runs := map[epochID]uint32{}
	for epoch, e := range found.epochs {
		if !known.past(epoch) {
			runs[epoch] = e.run
		}
	}
	for i, k := range known.Streams {
		if epoch, err := parseEpoch(k.Epoch); err == nil {
			if _, ok := runs[epoch]; !ok {
				runs[epoch] = 0
			}
			if i == len(known.Streams)-1 {
				runs[epoch] = max(runs[epoch], known.Run)
			}
		}
	}
	var streams []salvagedStream
	for epoch := range runs {
		st := salvagedStream{epoch: epoch}
		for l := range st.lanes {
			last, acked := known.lane(epoch, longan.Lane(l))
			var lane scannedLane
			if e := found.epochs[epoch]; e != nil {
				lane = e.lanes[l]
			}
			st.lanes[l] = salvageLane(longan.Lane(l), lane, last, acked)
		}
		streams = append(streams, st)
	}
	slices.SortFunc(streams, func(a, b salvagedStream) int {
		return cmp.Or(cmp.Compare(runs[a.epoch], runs[b.epoch]), bytes.Compare(a.epoch[:], b.epoch[:]))
	})
	return streams
}

// salvageLane decides what is kept of a lane of which identity.json knows the
// last and the acknowledged seq, both at least.
func salvageLane(l longan.Lane, found scannedLane, last, acked uint64) salvagedLane {
	out := salvagedLane{acked: max(found.acked, acked), last: last}
	blocks := trueBlocks(found.blocks)
	blocks = slices.DeleteFunc(blocks, func(b scannedBlock) bool {
		return b.last <= out.acked || slices.ContainsFunc(found.gaps, func(g scannedBlock) bool {
			return g.first <= max(b.first, out.acked+1) && b.last <= g.last // given up, and maybe reported
		})
	})
	for _, g := range found.gaps {
		out.last = max(out.last, g.last)
	}
	if n := len(blocks); n > 0 {
		out.last = max(out.last, blocks[n-1].last)
	}
	out.last = max(out.last, out.acked)
	next := out.acked + 1
	lose := func(to uint64) {
		if next > to {
			return
		}
		g := gap{lane: l, from: next, to: to, count: to - next + 1, reason: reasonDamaged}
		for _, old := range found.gaps {
			if old.first <= next && to <= old.last {
				g.reason = old.reason
			}
		}
		if g.reason == reasonDamaged {
			out.lost += g.count
		}
		out.items = append(out.items, salvagedItem{gap: g})
	}
	for _, b := range blocks {
		lose(b.first - 1)
		out.items = append(out.items, salvagedItem{block: b})
		out.kept += b.last - max(b.first, out.acked+1) + 1
		next = b.last + 1
	}
	lose(out.last)
	return out
}

// trueBlocks returns the blocks that a file with an intact tree would have, in
// order. Blocks of a lane are written in the order of their numbers, so walking
// back from the newest each must lie wholly below those before it; what does not
// is a copy, or was left by a commit that never came through.
func trueBlocks(all []scannedBlock) []scannedBlock {
	slices.SortFunc(all, func(a, b scannedBlock) int {
		return cmp.Or(cmp.Compare(b.run, a.run), cmp.Compare(b.ord, a.ord), cmp.Compare(b.first, a.first))
	})
	var kept []scannedBlock
	for _, b := range all {
		if n := len(kept); n == 0 || b.last < kept[n-1].first {
			kept = append(kept, b)
		}
	}
	slices.Reverse(kept)
	return kept
}
