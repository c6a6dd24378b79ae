package spool

import (
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/longan-edge/longan"
)

// filler writes what a new file begins with.
type filler struct {
	s     *Spool
	db    *bolt.DB
	found *scan // nil when nothing was salvaged
	head  head
	ord   uint32
}

// fillSize bounds a transaction of a filler, in bytes.
const fillSize = 1 << 20

func (f *filler) all(streams []salvagedStream, recovered []*longan.Event) error {
	err := f.update(func(b *bolt.Bucket) error {
		if err := b.Put(headKey(), f.head.append(nil)); err != nil {
			return err
		}
		if f.found != nil {
			for key, l := range f.found.left {
				if err := b.Put(stateKey(key), l.append(nil, key)); err != nil {
					return err
				}
			}
		}
		tail := epochEntry{epoch: f.head.epoch}
		n := uint64(len(recovered))
		tail.lasts[longan.State] = n
		if err := b.Put(tailKey(), tail.append(nil)); err != nil || n == 0 {
			return err
		}
		for i, e := range recovered {
			seq := uint64(i + 1)
			err := f.put(b, f.head.stream, f.head.epoch, &block{
				kind: kindEvents, lane: longan.State, first: seq, last: seq, count: 1,
				payload: append(e.AppendJSON(nil), endOfEvent),
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	for i := 0; i < len(streams) && err == nil; i++ {
		err = f.stream(uint16(i), &streams[i])
	}
	return err
}

func (f *filler) update(fn func(*bolt.Bucket) error) error {
	return f.db.Update(func(tx *bolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists(bucketName())
		if err != nil {
			return err
		}
		b.FillPercent = 0.95
		f.ord++
		return fn(b)
	})
}

func (f *filler) put(b *bolt.Bucket, index uint16, epoch epochID, bl *block) error {
	bl.epoch, bl.run, bl.ord = epoch, f.head.run, f.ord
	key := blockKey(index, bl.lane, bl.first)
	if bl.kind == kindAck {
		key = ackedKey(index, bl.lane)
	}
	return b.Put(key, bl.append(nil))
}

// stream writes what was salvaged of an epoch.
func (f *filler) stream(index uint16, st *salvagedStream) error {
	err := f.update(func(b *bolt.Bucket) error {
		for l, lane := range st.lanes {
			if lane.acked == 0 {
				continue
			}
			ack := &block{kind: kindAck, lane: longan.Lane(l), first: lane.acked, last: lane.acked}
			if err := f.put(b, index, st.epoch, ack); err != nil {
				return err
			}
		}
		entry := epochEntry{epoch: st.epoch}
		for l := range st.lanes {
			entry.lasts[l] = st.lanes[l].last
		}
		return b.Put(epochKey(index), entry.append(nil))
	})
	for l := range st.lanes {
		for items := st.lanes[l].items; len(items) > 0 && err == nil; {
			err = f.update(func(b *bolt.Bucket) error {
				for size := 0; len(items) > 0 && size < fillSize; items = items[1:] {
					n, err := f.item(b, index, st.epoch, longan.Lane(l), items[0])
					if err != nil {
						return err
					}
					size += n
				}
				return nil
			})
		}
	}
	return err
}

// item copies a block, or writes a gap. It returns its size.
func (f *filler) item(b *bolt.Bucket, index uint16, epoch epochID, l longan.Lane, it salvagedItem) (int, error) {
	if it.gap.count > 0 {
		bl, err := it.gap.block(f.s.opts.Stamp)
		if err != nil {
			return 0, err
		}
		return 1 << 10, f.put(b, index, epoch, bl)
	}
	text, err := f.found.read(it.block)
	if err != nil {
		return 0, fmt.Errorf("copy block: %w", err)
	}
	return len(text), b.Put(blockKey(index, l, it.block.first), text)
}
