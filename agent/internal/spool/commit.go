package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/longan-edge/longan"
)

// request is one Append on its way to the committer.
type request struct {
	entries []Entry
	done    chan error // receives exactly one value
}

// maxGroup bounds the requests of one commit, so that a flood does not make the
// first of them wait for the last.
const maxGroup = 512

// commitLoop is the only writer. It commits at once what is there; what arrives
// while a commit is under way forms the next group, so the group grows with the
// load and a lone alarm never waits.
func (s *Spool) commitLoop() {
	flush := time.NewTimer(flushAfter)
	flush.Stop()
	for {
		select {
		case r := <-s.requests:
			s.commit(s.gather(r))
		case <-s.freed:
			flush.Reset(flushAfter)
		case <-flush.C:
			s.flushAcks()
		case <-s.quit:
			s.flushAcks()
			return
		}
	}
}

// gather returns the request and all others that wait already.
func (s *Spool) gather(first *request) []*request {
	group := []*request{first}
	for len(group) < maxGroup {
		select {
		case r := <-s.requests:
			group = append(group, r)
		default:
			return group
		}
	}
	return group
}

// commit writes a group in one transaction and answers its requests.
func (s *Spool) commit(group []*request) {
	s.mu.Lock()
	lanes := s.lanes
	s.mu.Unlock()

	err := s.update(func(b *bolt.Bucket) error {
		next := lanes // the function may run only once, but keep it pure
		for _, r := range group {
			for _, e := range r.entries {
				lane := &next[e.Event.Lane]
				lane.Last++
				e.Event.Epoch, e.Event.Seq = s.epoch, lane.Last
				key := recordKey(e.Event.Lane, e.Event.Seq)
				if err := b.Put(key, encodeRecord(key, e)); err != nil {
					return err
				}
			}
		}
		if err := s.writeAcks(b, &next); err != nil {
			return err
		}
		lanes = next
		return nil
	})
	if err == nil {
		s.accepted(group, &lanes)
	}
	for _, r := range group {
		r.done <- err
	}
}

// accepted takes over what a commit has made true.
func (s *Spool) accepted(group []*request, lanes *[len(longan.Lanes)]LaneStats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.lanes {
		s.lanes[l].Last, s.lanes[l].Freed = lanes[l].Last, lanes[l].Freed
		// Acked may have moved on meanwhile; it is never behind.
		s.lanes[l].Acked = max(s.lanes[l].Acked, lanes[l].Acked)
	}
	for _, r := range group {
		for _, e := range r.entries {
			if e.Key != "" {
				s.states[e.Key] = e.State
			}
		}
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

// flushAcks writes acks that found no commit to ride along with.
func (s *Spool) flushAcks() {
	s.mu.Lock()
	lanes, dirty := s.lanes, s.dirty
	s.dirty = false
	s.mu.Unlock()
	if !dirty {
		return
	}
	err := s.update(func(b *bolt.Bucket) error { return s.writeAcks(b, &lanes) })
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.dirty = true
		s.log.Warn("spool keeps acknowledged events longer", "err", err)
	} else {
		for l := range s.lanes {
			s.lanes[l].Freed = lanes[l].Freed
			s.dirty = s.dirty || lanes[l].Freed < min(lanes[l].Acked, max(lanes[l].Last, 1)-1)
		}
	}
	if s.dirty { // what failed, or was too much for one commit
		s.signalFreed()
	}
}

// maxDeletes bounds the deletes of one commit: an ack for a week's backlog must
// not make an alarm wait for a transaction of 100,000 deletes.
const maxDeletes = 2000

// writeAcks stores how far each lane is acknowledged, deletes what that frees
// but the newest record, and keeps the states those records carried.
func (s *Spool) writeAcks(b *bolt.Bucket, lanes *[len(longan.Lanes)]LaneStats) error {
	for l := range lanes {
		lane := &lanes[l]
		upto := min(lane.Acked, max(lane.Last, 1)-1, lane.Freed+maxDeletes)
		if stored := b.Get(ackedKey(longan.Lane(l))); lane.Acked > 0 && !slices.Equal(stored, seqBytes(lane.Acked)) {
			if err := b.Put(ackedKey(longan.Lane(l)), seqBytes(lane.Acked)); err != nil {
				return err
			}
		}
		for seq := lane.Freed + 1; seq <= upto; seq++ {
			if err := s.free(b, recordKey(longan.Lane(l), seq)); err != nil {
				return err
			}
		}
		lane.Freed = max(lane.Freed, upto)
	}
	return nil
}

// free deletes one record and keeps the state it carried.
func (s *Spool) free(b *bolt.Bucket, key []byte) error {
	if r, err := decodeRecord(key, b.Get(key)); err == nil && r.key != "" {
		if err := b.Put(stateKey(r.key), []byte{byte(r.state)}); err != nil {
			return err
		}
	}
	return b.Delete(key)
}

func seqBytes(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

// update runs f in a write transaction on the bucket and syncs it.
func (s *Spool) update(f func(*bolt.Bucket) error) error {
	err := s.db.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketName())
		if b == nil {
			return fmt.Errorf("no bucket: %w", errCorrupt)
		}
		b.FillPercent = 0.95 // keys only grow, so pages need no room in the middle
		return f(b)
	})
	if errors.Is(err, berrors.ErrMaxSizeReached) {
		return fmt.Errorf("write spool: %w", ErrFull)
	}
	if err != nil {
		return fmt.Errorf("write spool: %w", err)
	}
	return nil
}

func bucketName() []byte { return []byte("s") }
