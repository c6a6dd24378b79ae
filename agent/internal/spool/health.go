package spool

import (
	"errors"
	"fmt"
	"time"
)

// Health is how the spool's disk fares.
type Health struct {
	// Err is why the disk takes nothing; nil when it does.
	Err error
	// Slow is the slowest commit, when one of the last slowFor took more than
	// slowAfter; else zero.
	Slow time.Duration
	// InMemory counts the events that a power cut would lose now.
	InMemory int

	slowAt time.Time
}

// A commit that takes longer than slowAfter is reported for slowFor.
const (
	slowAfter = time.Second
	slowFor   = 5 * time.Minute
)

// Health returns how the disk fares. Trouble signals that it has changed.
func (s *Spool) Health() Health {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.health
	h.InMemory = s.memory.len()
	return h
}

// Trouble is signalled when Health has changed: the disk failed, became slow, or
// is back to normal.
func (s *Spool) Trouble() <-chan struct{} { return s.trouble }

func (s *Spool) inMemory() int { return s.Health().InMemory }

// setTrouble takes note that the disk takes nothing, and returns err.
func (s *Spool) setTrouble(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.health.Err == nil {
		s.log.Error("spool takes nothing; alarms are kept in memory", "err", err)
		signal(s.trouble)
	}
	s.health.Err = err
	return err
}

// clearTrouble takes note that the disk took something.
func (s *Spool) clearTrouble() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.health.Err != nil {
		s.log.Info("spool is back to normal")
		s.health.Err = nil
		signal(s.trouble)
	}
}

// took takes note of a commit.
func (s *Spool) took(d time.Duration, written int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wear.wrote(uint64(written))
	if d <= slowAfter {
		return
	}
	if s.health.Slow == 0 {
		s.log.Warn("disk is slow", "commit", d)
		signal(s.trouble)
	}
	s.health.Slow, s.health.slowAt = max(s.health.Slow, d), time.Now()
}

// restUp takes a slow commit back when it is long ago.
func (s *Spool) restUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.health.Slow > 0 && time.Since(s.health.slowAt) > slowFor {
		s.health.Slow = 0
		signal(s.trouble)
	}
}

// heal rebuilds a file that turned out to be damaged while in use. What bbolt has
// open stays so until the process ends: after a panic it may hold its own locks,
// and closing it would wait for them for ever.
func (s *Spool) heal(cause error) {
	s.log.Error("spool is damaged while in use; what is good of it is kept, and a new epoch begins", "err", cause)
	s.saveIdentity(true)
	s.dbMu.Lock()
	s.db = nil
	s.dbMu.Unlock()
	s.mu.Lock()
	s.damage = nil
	s.mu.Unlock()
	s.w.condemned = true
	if err := s.open(); err != nil {
		s.setTrouble(fmt.Errorf("heal spool: %w", errors.Join(err, cause)))
	}
}
