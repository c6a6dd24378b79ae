package spool

import (
	"bytes"
	"slices"

	"github.com/longan-edge/longan"
)

// maxDeletes bounds the blocks that one commit deletes: an ack for a week's
// backlog must not make an alarm wait for a transaction of 100,000 deletes.
const maxDeletes = 2000

// acks stores how far each lane is acknowledged and deletes what that frees. In
// the epoch that is being written the newest block of a lane stays: it carries
// the lane's last number, so an append changes no other page. An earlier epoch
// goes altogether when it is done with.
func (t *txn) acks() error {
	budget := maxDeletes
	for i := range t.streams {
		st := &t.streams[i]
		current := i == len(t.streams)-1
		for _, l := range longan.Lanes {
			if err := t.freeLane(st, l, current, &budget); err != nil {
				return err
			}
		}
	}
	last := t.streams[len(t.streams)-1].epoch
	for _, st := range t.streams {
		if st.epoch != last && !st.backlog() && st.bytes() == 0 {
			if err := t.forget(st); err != nil {
				return err
			}
		}
	}
	t.streams = slices.DeleteFunc(t.streams, func(st stream) bool {
		return st.epoch != last && !st.backlog() && st.bytes() == 0
	})
	return nil
}

// forget deletes what an earlier epoch has besides its blocks.
func (t *txn) forget(st stream) error {
	for _, l := range longan.Lanes {
		if err := t.b.Delete(ackedKey(st.index, l)); err != nil {
			return err
		}
	}
	return t.b.Delete(epochKey(st.index))
}

func (t *txn) freeLane(st *stream, l longan.Lane, current bool, budget *int) error {
	lane := &st.lanes[l]
	if lane.Acked > lane.stored {
		b := &block{kind: kindAck, lane: l, epoch: st.epoch, first: lane.Acked, last: lane.Acked, run: t.s.w.head.run, ord: t.s.w.ord}
		if err := t.b.Put(ackedKey(st.index, l), b.append(nil)); err != nil {
			return err
		}
		lane.stored = lane.Acked
	}
	if lane.Freed >= lane.Acked {
		return nil
	}
	var victims []victim
	c, prefix := t.b.Cursor(), lanePrefix(st.index, l)
	for k, v := c.Seek(blockKey(st.index, l, lane.Freed+1)); bytes.HasPrefix(k, prefix) && len(victims) < *budget; k, v = c.Next() {
		b, err := parseBlock(v)
		if err != nil {
			return err
		}
		if b.last > lane.Acked || (current && b.last == lane.Last) {
			break
		}
		victims = append(victims, victimOf(k, v, b))
	}
	*budget -= len(victims)
	for _, v := range victims {
		if err := t.retire(v); err != nil {
			return err
		}
		lane.Freed = v.last
		lane.bytes -= v.cost
	}
	return nil
}

// victim is a block to be deleted, apart from the file: a cursor does not stand
// changes below it.
type victim struct {
	key         []byte
	first, last uint64
	run, ord    uint32
	states      []byte
	cost        int64
}

func victimOf(k, v []byte, b *block) victim {
	return victim{
		key: bytes.Clone(k), first: b.first, last: b.last, run: b.run, ord: b.ord,
		states: bytes.Clone(b.states), cost: blockCost(len(v)),
	}
}

// retire deletes a block and keeps what its events left behind.
func (t *txn) retire(v victim) error {
	err := (&block{states: v.states}).eachState(func(key string, state longan.PointState) error {
		left := leftBehind{state, v.run, v.ord}
		if old, err := parseLeft(key, t.b.Get(stateKey(key))); err == nil && (old.state == state || old.after(left)) {
			return nil
		}
		return t.b.Put(stateKey(key), left.append(nil, key))
	})
	if err != nil {
		return err
	}
	return t.b.Delete(v.key)
}
