package spool

import (
	"errors"
	"fmt"
	"os"

	bolt "go.etcd.io/bbolt"
)

// Names of the moments at which Options.Failpoint is called.
const (
	failCommitBefore   = "commit.before"    // nothing of the group is written
	failCommitAfter    = "commit.after"     // synced, and nobody was told
	failEvict          = "evict"            // in the transaction that gives events up
	failSalvage        = "salvage.scanned"  // the damaged file was searched
	failCreateSynced   = "create.synced"    // the new file is whole, under another name
	failCreateRenamed  = "create.renamed"   // it has its name, which is not synced
	failCompactCopied  = "compact.copied"   // the copy is whole, under another name
	failCompactRenamed = "compact.renamed"  // it has its name, which is not synced
	failIdentity       = "identity.written" // under another name
)

// Failpoints lists the names of the moments at which Options.Failpoint is called.
func Failpoints() []string {
	return []string{
		failCommitBefore, failCommitAfter, failEvict, failSalvage, failCreateSynced, failCreateRenamed,
		failCompactCopied, failCompactRenamed, failIdentity,
	}
}

// compactAbove is the size from which a file that is mostly free is made anew.
const compactAbove = 4 << 20

// compact copies what is left into a small file when the spool has drained: a
// bbolt file does not shrink by itself. It takes a few milliseconds then.
func (s *Spool) compact() {
	if s.db == nil || s.db.IsReadOnly() {
		return
	}
	info, err := os.Stat(s.path)
	if err != nil || info.Size() < compactAbove {
		return
	}
	if live := s.Stats().Live; live > info.Size()/8 || live > 1<<20 {
		return
	}
	if err := s.compactNow(); err != nil {
		s.log.Warn("spool is not compacted", "err", err)
	}
}

func (s *Spool) compactNow() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("compact spool: %v: %w", p, errCorrupt)
		}
	}()
	temp := s.path + ".new"
	if err := os.RemoveAll(temp); err != nil {
		return err
	}
	options := s.boltOptions()
	options.NoSync, options.MaxSize, options.InitialMmapSize = true, 0, 0
	to, err := bolt.Open(temp, 0o600, options)
	if err != nil {
		return fmt.Errorf("compact spool: %w", err)
	}
	err = bolt.Compact(to, s.db, 1<<20)
	if err = errors.Join(err, to.Sync(), to.Close()); err != nil {
		return errors.Join(fmt.Errorf("compact spool: %w", err), os.Remove(temp))
	}
	s.opts.Failpoint(failCompactCopied)
	s.dbMu.Lock() // no reader is in the old file
	defer s.dbMu.Unlock()
	old := s.db
	s.db = nil
	if err := errors.Join(old.Close(), os.Rename(temp, s.path)); err != nil {
		s.log.Error("compact spool", "err", err) // what stands at path is whole either way
	}
	s.opts.Failpoint(failCompactRenamed)
	if err := syncDir(s.dir); err != nil {
		s.log.Warn("compact spool", "err", err)
	}
	if s.db, err = bolt.Open(s.path, 0o600, s.boltOptions()); err != nil {
		s.db = nil
		return s.setTrouble(fmt.Errorf("open compacted spool: %w", err))
	}
	s.db.AllocSize = pageSize
	s.db.MaxSize = s.opts.MaxSize - s.headroom()
	s.w.zeroed = 0
	return nil
}
