package spool

import (
	"bytes"

	"github.com/longan-edge/longan"
)

// evict gives up what is beyond the budget: the oldest samples first, then the
// oldest states, and alarms only when there is nothing else. What goes leaves a
// gap record in its place, so that the city hears of the loss in the stream's
// own order.
func (t *txn) evict() error {
	budget := t.s.w.budget
	alarms, others := int64(0), int64(0)
	for i := range t.streams {
		for l, lane := range t.streams[i].lanes {
			if longan.Lane(l) == longan.Alarm {
				alarms += lane.bytes
			} else {
				others += lane.bytes
			}
		}
	}
	slack := budget / 64 // a little more than needed, for the next commits
	if excess := others - (budget - max(min(int64(t.s.opts.Reserve), budget/2), alarms)); excess > 0 {
		excess += slack
		for _, l := range []longan.Lane{longan.Sample, longan.State} {
			for i := 0; i < len(t.streams) && excess > 0; i++ {
				freed, err := t.evictLane(i, l, excess)
				if err != nil {
					return err
				}
				excess -= freed
			}
		}
	}
	if excess := alarms - budget; excess > 0 {
		excess += slack
		for i := 0; i < len(t.streams) && excess > 0; i++ {
			freed, err := t.evictLane(i, longan.Alarm, excess)
			if err != nil {
				return err
			}
			excess -= freed
		}
	}
	return nil
}

// evictLane gives up the oldest blocks of a lane, some need bytes of them, and
// returns how many it freed. The newest block of the epoch that is being written
// stays.
func (t *txn) evictLane(stream int, l longan.Lane, need int64) (int64, error) {
	st := &t.streams[stream]
	lane, current := &st.lanes[l], stream == len(t.streams)-1
	var victims []victim
	var before int64
	gap := gap{lane: l, reason: reasonFull}
	c, prefix := t.b.Cursor(), lanePrefix(st.index, l)
	for k, v := c.Seek(blockKey(st.index, l, lane.Freed+1)); bytes.HasPrefix(k, prefix) && before < need; k, v = c.Next() {
		b, err := parseBlock(v)
		if err != nil {
			return 0, err
		}
		if current && b.last == lane.Last {
			break
		}
		if b.kind == kindGap {
			old, err := parseGap(b)
			if err != nil {
				return 0, err
			}
			if old.reason != gap.reason && gap.count > 0 {
				break // two reasons are two gaps; the rest has to wait for the next turn
			}
			if old.reason != gap.reason {
				continue
			}
			gap.from, gap.to, gap.count = first(gap.from, old.from), b.last, gap.count+old.count
			victims = append(victims, victimOf(k, v, b))
			continue
		}
		from := max(b.first, lane.Acked+1)
		if from > b.last { // acknowledged, and about to be deleted anyway
			victims = append(victims, victimOf(k, v, b))
			before += blockCost(len(v))
			continue
		}
		gap.from, gap.to, gap.count = first(gap.from, from), b.last, gap.count+b.last-from+1
		victims = append(victims, victimOf(k, v, b))
		before += blockCost(len(v))
	}
	if before == 0 {
		return 0, nil
	}
	return t.replace(st, l, victims, gap)
}

// first returns a unless it is zero.
func first(a, b uint64) uint64 {
	if a != 0 {
		return a
	}
	return b
}

// replace deletes blocks and writes the gap that stands for them.
func (t *txn) replace(st *stream, l longan.Lane, victims []victim, g gap) (freed int64, err error) {
	t.s.opts.Failpoint(failEvict)
	lane := &st.lanes[l]
	before := lane.bytes
	for _, v := range victims {
		if err := t.retire(v); err != nil {
			return 0, err
		}
		lane.bytes -= v.cost
	}
	if g.count > 0 {
		b, err := g.block(t.s.opts.Stamp)
		if err != nil {
			return 0, err
		}
		if err := t.putBlock(st, b); err != nil {
			return 0, err
		}
		t.s.log.Warn("spool gives events up", "epoch", st.epoch.String(), "lane", l.String(), "from", g.from, "to", g.to, "reason", g.reason)
		t.added = true
	}
	return before - lane.bytes, nil
}
