package spool

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/longan-edge/longan"
)

// maxGroup bounds the requests of one commit, so that a flood does not make the
// first of them wait for the last.
const maxGroup = 512

// When the committer has nothing to do.
const (
	idleAfter    = 30 * time.Second // until what could ride along gets a commit of its own
	retryAfter   = 5 * time.Second  // until a disk in trouble is tried again
	flushAtLeast = 256 << 10        // bytes to free, for a commit of their own
	flushAtMost  = time.Hour        // until an ack gets one for itself
)

// writer is what the committer alone uses.
type writer struct {
	deflater
	head       head
	headStored bool   // this run's head is in the file
	ord        uint32 // attempts to commit in this run
	suspect    bool   // an attempt failed, and may have left blocks behind Last
	budget     int64  // at most Options.Budget: what the file has turned out to hold
	zeroed     int64  // the file is written up to here
	condemned  bool   // the file must be rebuilt
	flushed    time.Time
	tried      time.Time // when opening was last tried
	text       [len(longan.Lanes)][]byte
	notes      notes
}

// commitLoop is the only writer of the file.
func (s *Spool) commitLoop() {
	debug.SetPanicOnFault(true) // a file cut off under us is an error, not the end
	s.w.flushed = time.Now()
	idle := time.NewTimer(idleAfter)
	defer idle.Stop()
	for {
		select {
		case <-s.wake:
			s.mend()
			s.hold()
			if group := s.take(); len(group) > 0 {
				s.commit(group)
				s.keepUp()
			}
		case <-idle.C:
			s.housekeep()
		case <-s.quit:
			s.finish()
			return
		}
		if s.Health().Err != nil {
			idle.Reset(retryAfter)
		} else {
			idle.Reset(idleAfter)
		}
	}
}

// mend heals a file that a reader found damaged.
func (s *Spool) mend() {
	s.mu.Lock()
	damage := s.damage
	s.mu.Unlock()
	if damage != nil && s.db != nil {
		s.heal(damage)
	}
}

// hold waits for more requests while that pays.
func (s *Spool) hold() {
	s.mu.Lock()
	n := len(s.pending)
	wait, enough := s.pace.wait(time.Now())
	s.enough = enough
	s.mu.Unlock()
	if n == 0 || n >= enough || wait == 0 {
		return
	}
	timer := time.NewTimer(wait)
	select {
	case <-timer.C:
	case <-s.urgent:
	case <-s.quit:
	}
	timer.Stop()
	s.mu.Lock()
	s.pace.waited(len(s.pending)-n, wait)
	s.mu.Unlock()
}

// take returns the next group, in order of arrival.
func (s *Spool) take() []*request {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.urgent:
	default:
	}
	group := s.pending
	s.pending = nil
	if len(group) > maxGroup {
		s.pending = append(s.pending, group[maxGroup:]...)
		group = group[:maxGroup:maxGroup]
		signal(s.wake)
	}
	return group
}

// commit writes a group in one transaction and answers its requests.
func (s *Spool) commit(group []*request) {
	err := s.write(group)
	s.mu.Lock()
	s.pace.committed(time.Now(), len(group)+len(s.pending))
	if err == nil {
		for _, r := range group {
			for _, e := range r.entries {
				s.leave(e)
			}
		}
		s.mu.Unlock()
		for _, r := range group {
			r.done <- nil
		}
		return
	}
	answers := make([]error, len(group))
	for i, r := range group {
		if answers[i] = err; s.memory.keep(r) {
			answers[i] = fmt.Errorf("%w: %w", ErrNotDurable, err)
			for _, e := range r.entries {
				s.leave(e)
			}
			s.tell()
		}
	}
	s.health.InMemory = s.memory.len()
	s.mu.Unlock()
	for i, r := range group {
		r.done <- answers[i]
	}
}

// leave keeps the state that an accepted event leaves behind. The caller holds mu.
func (s *Spool) leave(e Entry) {
	if e.Key != "" {
		s.states[e.Key] = e.State
	}
	s.w.notes.saw(e.Event)
}

// write brings a group to disk: it opens the file when there was none, heals it
// when it is damaged, and makes room when it is full.
func (s *Spool) write(group []*request) error {
	for range 8 {
		if s.db == nil || s.db.IsReadOnly() {
			if time.Since(s.w.tried) < retryAfter && !s.w.tried.IsZero() {
				return s.Health().Err
			}
			if err := s.reopen(); err != nil {
				return s.setTrouble(err)
			}
		}
		err := s.update(func(t *txn) error { return t.write(group) })
		switch {
		case err == nil:
			s.clearTrouble()
			return nil
		case errors.Is(err, errCorrupt):
			s.heal(err)
		case errors.Is(err, ErrFull):
			if !s.makeRoom() {
				s.setTrouble(err)
				return err
			}
		default:
			s.setTrouble(err)
			return err
		}
	}
	return s.setTrouble(fmt.Errorf("write spool: %w", ErrFull))
}

// reopen opens the file that could not be opened for writing.
func (s *Spool) reopen() error {
	s.dbMu.Lock()
	if s.db != nil {
		if err := s.db.Close(); err != nil {
			s.log.Warn("close read-only spool", "err", err)
		}
		s.db = nil
	}
	s.dbMu.Unlock()
	return s.open()
}

// update runs f in a write transaction, syncs it, and takes over what it did.
func (s *Spool) update(f func(*txn) error) (err error) {
	defer func() {
		if p := recover(); p != nil { // bbolt on a damaged page
			err = fmt.Errorf("write spool: %v: %w", p, errCorrupt)
		}
		if err != nil {
			s.w.suspect = true
		}
	}()
	s.w.ord++
	s.opts.Failpoint(failCommitBefore)
	start := time.Now()
	var t *txn
	var written int64
	err = s.db.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketName())
		if b == nil {
			return fmt.Errorf("no bucket: %w", errCorrupt)
		}
		b.FillPercent = 0.95 // keys only grow, so pages need no room in the middle
		t = s.begin(b)
		if err := s.opts.disk(); err != nil {
			return err
		}
		tx.OnCommit(func() {
			stats := tx.Stats()
			written = stats.GetPageAlloc() + pageSize // and the meta page
		})
		return f(t)
	})
	switch {
	case errors.Is(err, berrors.ErrMaxSizeReached):
		return fmt.Errorf("write spool: %w", ErrFull)
	case err != nil:
		return fmt.Errorf("write spool: %w", err)
	}
	s.opts.Failpoint(failCommitAfter)
	s.w.suspect, s.w.headStored = false, true
	s.took(time.Since(start), written)
	s.adopt(t)
	if s.w.ord%forgetEvery == 0 { // what was deleted had to be looked at
		return s.db.View(func(tx *bolt.Tx) error {
			forget(tx)
			return nil
		})
	}
	return nil
}

// adopt takes over what a transaction has made true.
func (s *Spool) adopt(t *txn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range t.streams { // Acked may have moved on meanwhile; it is never behind
		if now := s.find(t.streams[i].epoch); now != nil {
			for l := range now.lanes {
				t.streams[i].lanes[l].Acked = max(t.streams[i].lanes[l].Acked, now.lanes[l].Acked)
			}
		}
	}
	if t.moved {
		if st := t.find(s.memory.epoch); st != nil {
			for l := range st.lanes {
				st.lanes[l].Acked = max(st.lanes[l].Acked, s.memory.lanes[l].acked)
			}
		}
		s.memory = memory{epoch: newEpoch()}
		s.health.InMemory = 0
	}
	s.streams = t.streams
	if t.added || t.moved {
		s.tell()
	}
}

// makeRoom gives events up because the file is full before the budget is. It
// reports whether there was any to give up.
func (s *Spool) makeRoom() bool {
	s.db.MaxSize = s.opts.MaxSize
	defer func() { s.db.MaxSize = s.opts.MaxSize - s.headroom() }()
	var live, after int64
	err := s.update(func(t *txn) error {
		live = t.bytes()
		s.w.budget = min(s.w.budget, live/8*7)
		err := t.acks()
		if err == nil {
			err = t.evict()
		}
		after = t.bytes()
		return err
	})
	// The pages that this freed are given out again from the next but one
	// transaction on.
	if err == nil {
		err = s.update(func(t *txn) error { return t.touch() })
	}
	return err == nil && after < live
}

// keepUp does after a commit what need not hold it up.
func (s *Spool) keepUp() {
	s.prefill()
	s.saveIdentity(false)
	s.mu.Lock()
	live := int64(0)
	for i := range s.streams {
		live += s.streams[i].bytes()
	}
	s.mu.Unlock()
	if live < s.w.budget/4 {
		s.w.budget = int64(s.opts.Budget)
	}
}

// housekeep does what waits until the board is idle.
func (s *Spool) housekeep() {
	if s.Health().Err != nil {
		s.write(nil) // which says how it went
		return
	}
	s.restUp()
	freeable, dirty := s.freeable()
	old := time.Since(s.w.flushed) > flushAtMost
	if freeable >= flushAtLeast || (dirty && old) {
		s.w.flushed = time.Now()
		if s.write(nil) != nil {
			return
		}
	}
	if old {
		s.w.flushed = time.Now()
		s.saveIdentity(true)
	}
	s.compact()
}

// freeable returns how much of the file is acknowledged, and whether any ack is
// newer than the file.
func (s *Spool) freeable() (bytes int64, dirty bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.streams {
		for _, l := range s.streams[i].lanes {
			if l.Acked > l.stored {
				dirty = true
				bytes += l.bytes / int64(l.Last-l.Freed) * int64(l.Acked-l.Freed)
			}
		}
	}
	return bytes, dirty
}

// finish writes what is known when the spool is closed.
func (s *Spool) finish() {
	s.mu.Lock()
	left := s.pending
	s.pending = nil
	s.mu.Unlock()
	for _, r := range left {
		r.done <- ErrClosed
	}
	if s.db == nil {
		return
	}
	for range 64 { // each frees a bounded number of blocks
		if _, dirty := s.freeable(); !dirty && s.inMemory() == 0 {
			break
		}
		if s.write(nil) != nil {
			return
		}
	}
	s.known.Clean = s.Health().Err == nil
	s.saveIdentity(true)
}

func bucketName() []byte { return []byte("s") }
