package spool

import (
	"bytes"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"

	bolt "go.etcd.io/bbolt"

	"github.com/longan-edge/longan"
)

// Record is one event as the spool keeps it. The caller must not change its JSON.
type Record struct {
	Seq  uint64
	JSON []byte // longan.Event.AppendJSON
}

// cache keeps the block of each lane that was read last, for a reader takes a
// block in several turns.
type cache struct {
	mu       sync.Mutex
	lanes    [len(longan.Lanes)]cached
	inflater inflater
}

type cached struct {
	epoch    epochID
	first    uint64
	run, ord uint32
	records  []Record
}

// records returns the events of a block, from the cache when it has them.
func (c *cache) recordsOf(b *block) ([]Record, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	have := &c.lanes[b.lane]
	if have.epoch == b.epoch && have.first == b.first && have.run == b.run && have.ord == b.ord && have.records != nil {
		return have.records, nil
	}
	records, err := b.records(&c.inflater)
	if err != nil {
		return nil, err
	}
	*have = cached{b.epoch, b.first, b.run, b.ord, records}
	return records, nil
}

// read is Stream.Read of an epoch on disk.
func (s *Spool) read(epoch epochID, l longan.Lane, from uint64, events, size int) (out []Record, err error) {
	s.mu.Lock()
	st := s.find(epoch)
	if st == nil || st.lanes[l].Acked >= st.lanes[l].Last {
		s.mu.Unlock()
		return nil, nil
	}
	index, lane := st.index, st.lanes[l]
	s.mu.Unlock()
	from = max(from, lane.Acked+1)
	err = s.view(func(b *bolt.Bucket) error {
		c, prefix := b.Cursor(), lanePrefix(index, l)
		for k, v := seekBlock(c, prefix, blockKey(index, l, from)); bytes.HasPrefix(k, prefix); k, v = c.Next() {
			block, err := parseBlock(v)
			if err != nil {
				return err
			}
			if block.first > lane.Last {
				return nil // of a commit that is not through yet
			}
			if block.last < from {
				continue
			}
			if block.epoch != epoch || block.lane != l {
				return fmt.Errorf("block of epoch %v: %w", block.epoch, errCorrupt)
			}
			records, err := s.c.recordsOf(block)
			if err != nil {
				return err
			}
			for _, r := range records {
				if r.Seq < from {
					continue
				}
				if size -= len(r.JSON); len(out) == events || (size < 0 && len(out) > 0) {
					return nil
				}
				out = append(out, r)
			}
		}
		return nil
	})
	if err != nil {
		return out, s.readFailed(err)
	}
	return out, nil
}

// seekBlock moves the cursor to the block that holds key, or to the next one.
func seekBlock(c *bolt.Cursor, prefix, key []byte) (k, v []byte) {
	k, v = c.Seek(key)
	if bytes.Equal(k, key) {
		return k, v
	}
	if k == nil { // behind the last key, from where a cursor knows no way back
		k, v = c.Last()
	} else {
		k, v = c.Prev()
	}
	if bytes.HasPrefix(k, prefix) {
		return k, v
	}
	return c.Seek(key)
}

// view runs f in a short read transaction. What bbolt panics about is an error.
func (s *Spool) view(f func(*bolt.Bucket) error) (err error) {
	s.dbMu.RLock()
	defer s.dbMu.RUnlock()
	if s.db == nil {
		return nil
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v: %w", p, errCorrupt)
		}
	}()
	return s.db.View(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketName())
		if b == nil {
			return fmt.Errorf("no bucket: %w", errCorrupt)
		}
		if s.views.Add(1)%forgetEvery == 0 {
			defer forget(tx)
		}
		return f(b)
	})
}

// readFailed returns the error of a read, and has the committer heal a damaged
// file.
func (s *Spool) readFailed(err error) error {
	if errors.Is(err, errCorrupt) {
		s.mu.Lock()
		s.damage = err
		s.mu.Unlock()
		signal(s.wake)
	}
	return fmt.Errorf("read spool: %w", err)
}
