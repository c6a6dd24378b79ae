package spool

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"

	bolt "go.etcd.io/bbolt"

	"github.com/longan-edge/longan"
)

// txn is one write transaction. It works on a copy of what the spool knows,
// which replaces the original when the transaction is on disk.
type txn struct {
	s       *Spool
	b       *bolt.Bucket
	streams []stream
	memory  memory // as it was when the transaction began
	added   bool   // events to read
	moved   bool   // memory went to disk
}

func (s *Spool) begin(b *bolt.Bucket) *txn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &txn{s: s, b: b, streams: slices.Clone(s.streams), memory: s.memory}
}

func (t *txn) current() *stream { return &t.streams[len(t.streams)-1] }

func (t *txn) find(epoch epochID) *stream {
	for i := range t.streams {
		if t.streams[i].epoch == epoch {
			return &t.streams[i]
		}
	}
	return nil
}

// bytes returns what all blocks in the file take.
func (t *txn) bytes() (n int64) {
	for i := range t.streams {
		n += t.streams[i].bytes()
	}
	return n
}

func (st *stream) bytes() (n int64) {
	for _, l := range st.lanes {
		n += l.bytes
	}
	return n
}

// write does everything a commit does: it writes the events of the group, and
// lets the acks and what must be given up ride along.
func (t *txn) write(group []*request) error {
	steps := []func() error{t.trim, t.touch, t.moveMemory, func() error { return t.put(group) }, t.acks, t.evict}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// touch writes the head, once a run.
func (t *txn) touch() error {
	if t.s.w.headStored {
		return nil
	}
	return t.b.Put(headKey(), t.s.w.head.append(nil))
}

// trim deletes what a failed attempt may have left: after an error of fsync
// bbolt goes on from whatever the page cache holds.
func (t *txn) trim() error {
	if !t.s.w.suspect {
		return nil
	}
	if err := t.putTail(); err != nil {
		return err
	}
	for i := range t.streams {
		st := &t.streams[i]
		for _, l := range longan.Lanes {
			var stray [][]byte
			c, prefix := t.b.Cursor(), lanePrefix(st.index, l)
			for k, _ := c.Seek(blockKey(st.index, l, st.lanes[l].Last+1)); bytes.HasPrefix(k, prefix); k, _ = c.Next() {
				stray = append(stray, bytes.Clone(k))
			}
			for _, k := range stray {
				if err := t.b.Delete(k); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// putBlock writes a block and counts it.
func (t *txn) putBlock(st *stream, b *block) error {
	b.epoch, b.run, b.ord = st.epoch, t.s.w.head.run, t.s.w.ord
	key, val := blockKey(st.index, b.lane, b.first), b.append(nil)
	st.lanes[b.lane].bytes += blockCost(len(val))
	return t.b.Put(key, val)
}

// blockCost is what a block of n bytes takes of the budget.
func blockCost(n int) int64 { return int64(n + blockKeySize + 16) }

// put writes the events of the group, a few blocks a lane.
func (t *txn) put(group []*request) error {
	var open [len(longan.Lanes)]builder
	for l := range open {
		open[l] = builder{t: t, st: t.current(), lane: longan.Lane(l), text: t.s.w.text[l][:0]}
	}
	epoch := t.current().epoch.String()
	for _, r := range group {
		for i, e := range r.entries {
			e.Event.Epoch = epoch
			if err := open[e.Event.Lane].add(e, r.bodies[i]); err != nil {
				return err
			}
			t.added = true
		}
	}
	for l := range open {
		if err := open[l].flush(); err != nil {
			return err
		}
		t.s.w.text[l] = open[l].text[:0]
	}
	if !t.added {
		return nil
	}
	return t.putTail()
}

// putTail writes the last numbers.
func (t *txn) putTail() error {
	return t.b.Put(tailKey(), epochEntry{t.current().epoch, t.current().lasts()}.append(nil))
}

// builder collects the events of one lane into blocks.
type builder struct {
	t     *txn
	st    *stream
	lane  longan.Lane
	text  []byte
	count uint64
	state []byte
}

// add numbers an event and adds it.
func (w *builder) add(e Entry, body []byte) error {
	if w.count == maxEvents || (w.count > 0 && len(w.text)+len(body)+32 > maxJSON) {
		if err := w.flush(); err != nil {
			return err
		}
	}
	lane := &w.st.lanes[w.lane]
	lane.Last++
	w.count++
	e.Event.Seq = lane.Last
	w.text = append(w.text, `{"seq":`...)
	w.text = strconv.AppendUint(w.text, lane.Last, 10)
	w.text = append(w.text, body...)
	w.text = append(w.text, endOfEvent)
	if e.Key != "" {
		w.state = appendState(w.state, e.Key, e.State)
	}
	return nil
}

// flush writes the block.
func (w *builder) flush() error {
	if w.count == 0 {
		return nil
	}
	last := w.st.lanes[w.lane].Last
	b := &block{kind: kindEvents, lane: w.lane, first: last - w.count + 1, last: last, count: w.count, states: w.state}
	b.payload, b.flate = w.t.s.w.deflate(w.text)
	w.text, w.state, w.count = w.text[:0], nil, 0
	return w.t.putBlock(w.st, b)
}

// moveMemory brings to disk, as an earlier epoch, what was kept in memory and
// is not acknowledged.
func (t *txn) moveMemory() error {
	if t.memory.len() == 0 {
		return nil
	}
	st := stream{epoch: t.memory.epoch, index: t.freeIndex()}
	for l := range t.memory.lanes {
		m := &t.memory.lanes[l]
		st.lanes[l].LaneStats = LaneStats{Last: m.acked, Acked: m.acked, Freed: m.acked}
		w := builder{t: t, st: &st, lane: longan.Lane(l)}
		for i, r := range m.records {
			copied := *m.entries[i].Event // the caller has the original
			body := bytes.TrimPrefix(r.JSON, fmt.Appendf(nil, `{"seq":%d`, r.Seq))
			if err := w.add(Entry{Event: &copied, Key: m.entries[i].Key, State: m.entries[i].State}, body); err != nil {
				return err
			}
		}
		if err := w.flush(); err != nil {
			return err
		}
	}
	if err := t.b.Put(epochKey(st.index), epochEntry{st.epoch, st.lasts()}.append(nil)); err != nil {
		return err
	}
	t.streams = slices.Insert(t.streams, len(t.streams)-1, st)
	t.moved = true
	return nil
}

// freeIndex returns an index that no stream has. There are far fewer than 65536.
func (t *txn) freeIndex() uint16 {
	index := t.s.w.head.stream
	for slices.ContainsFunc(t.streams, func(st stream) bool { return st.index == index }) {
		index++
	}
	return index
}
