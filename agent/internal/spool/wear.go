package spool

import (
	"os"
	"syscall"
	"time"
)

// wear is what was written to flash. Rates are taken over Ran, which no step of
// the wall clock changes.
type wear struct {
	Day   int64         `json:"day"`   // since 1970, by the board's clock
	Today uint64        `json:"today"` // bytes
	Total uint64        `json:"total"` // bytes, since the identity file was first written
	Since time.Time     `json:"since"` // when Total began, by the board's clock; a label
	Ran   time.Duration `json:"ran"`   // how long the spool was open since then, up to last

	last time.Time // that Ran was brought up to; zero at the start of a run
}

func (w *wear) wrote(n uint64) {
	now := time.Now()
	if day := now.Unix() / 86400; day != w.Day {
		w.Day, w.Today = day, 0
	}
	if w.Since.IsZero() {
		w.Since = now
	}
	w.Ran, w.last = w.ran(now), now
	w.Today += n
	w.Total += n
}

// ran returns how long the spool was open while Total was written.
func (w *wear) ran(now time.Time) time.Duration {
	if w.last.IsZero() {
		return w.Ran
	}
	return w.Ran + now.Sub(w.last)
}

// resume takes over what an identity file knows of the runs before.
func (w *wear) resume(known wear) {
	if known.Total < w.Total {
		return // it is this run's, opened anew
	}
	known.last = w.last
	if known.Ran == 0 {
		known.Total, known.Since = 0, time.Time{} // a rate can't be told
	}
	*w = known
}

// Stats is what the spool takes of the disk.
type Stats struct {
	File         int64  // size of the file, bytes
	Live         int64  // blocks in it, bytes
	Budget       int64  // that Live is held below
	WrittenToday uint64 // bytes since midnight UTC, as far as the board was on
	Written      uint64 // bytes since WrittenSince
	WrittenSince time.Time
	// Life is how long the card lasts at the present rate; zero when there is no
	// rate yet. It is
	//
	//	Endurance / (Written / the time the board was on meanwhile) / amplification
	//
	// where Endurance is 3000 erase cycles of every byte of the filesystem, as
	// makers of industrial cards promise, and amplification is what the
	// filesystem's journal and the card's own housekeeping add. It counts the
	// spool alone.
	Life time.Duration
}

// amplification is a careful guess: a card erases far more than it is told to
// write when writes are small.
const amplification = 8

// Stats returns what the spool takes of the disk.
func (s *Spool) Stats() Stats {
	var out Stats
	if info, err := os.Stat(s.path); err == nil {
		out.File = info.Size()
	}
	endurance := s.opts.Endurance
	if endurance == 0 {
		var fs syscall.Statfs_t
		if syscall.Statfs(s.dir, &fs) == nil {
			endurance = 3000 * fs.Blocks * uint64(fs.Bsize)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.streams {
		out.Live += s.streams[i].bytes()
	}
	out.Budget = int64(s.opts.Budget)
	w := s.wear
	out.Written, out.WrittenSince = w.Total, w.Since
	now := time.Now()
	if now.Unix()/86400 == w.Day {
		out.WrittenToday = w.Today
	}
	out.Life = life(endurance, w.Total, w.ran(now))
	return out
}

// life returns how long a card lasts that has written n bytes in d.
func life(endurance, n uint64, d time.Duration) time.Duration {
	if n == 0 || d < time.Hour { // too early to tell
		return 0
	}
	const most = 100 * 365 * 24 * time.Hour
	left := float64(endurance) / amplification / float64(n) * float64(d)
	return time.Duration(min(left, float64(most)))
}
