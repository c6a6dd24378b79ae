package spool

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/longan-edge/longan"
)

// pageSize of the file. It is not left to the kernel, whose pages are 16 or
// 64 KiB on some boards: a commit writes at least three.
const pageSize = 4096

// newEpoch returns the id of a new epoch.
func newEpoch() (e epochID) {
	rand.Read(e[:]) // never fails
	return e
}

// open opens the file, creates it when there never was one, and rebuilds it when
// it is damaged, lost or older than what identity.json knows of it.
func (s *Spool) open() error {
	s.w.tried = time.Now()
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("make spool folder: %w", err)
	}
	known, err := readIdentity(s.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Warn("identity file can't be read; it is made anew", "err", err)
	}
	first := errors.Is(err, fs.ErrNotExist)
	_, err = os.Stat(s.path)
	switch {
	case err == nil && !s.w.condemned:
		return s.openExisting(known)
	case err == nil:
		return s.rebuild(known, damageDamaged)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("open spool: %w", err)
	case !first:
		return s.rebuild(known, damageMissing)
	}
	if err := s.create(nil, nil, newEpoch(), 1, nil); err != nil {
		return err
	}
	return s.openExisting(known)
}

// openExisting verifies and opens the file. The order matters: when bbolt opens
// a file for writing it walks it in a goroutine of its own, where a damaged page
// is a panic that nobody can recover. So the file is read as read-only first.
func (s *Spool) openExisting(known *identity) error {
	c, err := verify(s.path)
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return ErrInUse
	case err != nil && !damaged(err):
		return fmt.Errorf("open spool: %w", err)
	case err != nil:
		s.log.Error("spool is damaged; what is good of it is kept, and a new epoch begins", "err", err)
		return s.rebuild(known, damageDamaged)
	case known.ahead(c):
		s.log.Error("spool is older than its identity file knows; a new epoch begins")
		return s.rebuild(known, damageBehind)
	}
	return s.use(c, known)
}

// use opens a file that was verified and takes over what it holds.
func (s *Spool) use(c *content, known *identity) error {
	db, err := bolt.Open(s.path, 0o600, s.boltOptions())
	readOnly := errors.Is(err, syscall.EROFS) || errors.Is(err, fs.ErrPermission)
	if readOnly { // what is there can still be sent
		options := s.boltOptions()
		options.ReadOnly = true
		var roErr error
		if db, roErr = bolt.Open(s.path, 0o600, options); roErr != nil {
			return fmt.Errorf("open spool: %w", errors.Join(err, roErr))
		}
	} else if errors.Is(err, berrors.ErrTimeout) {
		return ErrInUse
	} else if err != nil {
		return fmt.Errorf("open spool: %w", err)
	}
	db.AllocSize = pageSize // bbolt keeps so much of MaxSize in hand: by default 16 MiB
	db.MaxSize = s.opts.MaxSize - s.headroom()
	s.w.head, s.w.headStored, s.w.ord = c.head, false, 0
	s.w.head.run++
	s.w.budget, s.w.suspect, s.w.condemned = int64(s.opts.Budget), false, false
	s.w.zeroed = solidSize(s.path)
	s.dbMu.Lock()
	s.db = db
	s.dbMu.Unlock()
	s.mu.Lock()
	s.streams = c.streams
	old := s.states
	s.states = c.leftStates()
	maps.Copy(s.states, old) // what was accepted in memory is newer
	s.known = *known
	s.wear.resume(known.Wear)
	s.tell()
	s.mu.Unlock()
	if readOnly {
		return fmt.Errorf("open spool: %w", err)
	}
	s.known.Clean = false
	s.noteRecovery()
	s.saveIdentity(true)
	return nil
}

// damaged tells what a new file would mend from what it would not.
func damaged(err error) bool {
	for _, outside := range []error{fs.ErrPermission, fs.ErrNotExist, syscall.EROFS, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOSPC} {
		if errors.Is(err, outside) {
			return false
		}
	}
	return true
}

// headroom is what of MaxSize is kept for the transaction that makes room: it
// writes pages before it frees any.
func (s *Spool) headroom() int { return max(32<<10, s.opts.MaxSize/16) }

func (s *Spool) boltOptions() *bolt.Options {
	return &bolt.Options{
		Timeout:         2 * time.Second, // for the lock; zero would wait for ever
		NoFreelistSync:  true,            // fewer pages a commit; the file is small enough to scan
		FreelistType:    bolt.FreelistMapType,
		MaxSize:         s.opts.MaxSize,
		InitialMmapSize: min(s.opts.MaxSize, 1<<20), // never above MaxSize: that would lift the limit
		PageSize:        pageSize,
		NoStatistics:    true,
	}
}

// create makes a new file in place of the one at path, so that a power cut
// leaves either: bbolt's own initialisation is not crash safe. The new file holds
// the salvaged streams as earlier epochs, and an event that tells of them.
func (s *Spool) create(found *scan, streams []salvagedStream, epoch epochID, run uint32, recovered []*longan.Event) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("create spool: %w", err)
		}
	}()
	temp := s.path + ".new"
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	options := s.boltOptions()
	options.NoSync, options.MaxSize, options.InitialMmapSize = true, 0, 0 // it is synced once, at the end
	db, err := bolt.Open(temp, 0o600, options)
	if err != nil {
		return err
	}
	fill := filler{s: s, db: db, found: found, head: head{epoch: epoch, stream: uint16(len(streams)), run: run}}
	err = fill.all(streams, recovered)
	if err = errors.Join(err, db.Sync(), db.Close()); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	s.opts.Failpoint(failCreateSynced)
	if err := s.setAside(); err != nil {
		return err
	}
	if err := os.Rename(temp, s.path); err != nil {
		return err
	}
	s.opts.Failpoint(failCreateRenamed)
	return syncDir(s.dir)
}

// setAside keeps the file that is about to be replaced under another name, and
// no more than one such file. With a hard link there is no moment without a
// spool.
func (s *Spool) setAside() error {
	if _, err := os.Stat(s.path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	old, err := filepath.Glob(s.path + ".bad-*")
	if err != nil {
		return err
	}
	for _, name := range old {
		if err := os.Remove(name); err != nil {
			s.log.Warn("old damaged spool stays", "err", err)
		}
	}
	aside := fmt.Sprintf("%s.bad-%d", s.path, time.Now().UnixNano())
	if err := os.Link(s.path, aside); err != nil {
		s.log.Warn("damaged spool is not kept", "err", err) // FAT has no links; the events are salvaged
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// solidSize returns the size of a file that has no hole, or zero.
func solidSize(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || int64(st.Blocks)*512 < info.Size() {
		return 0
	}
	return info.Size()
}

// prefill writes zeros ahead of where the file is used. Pages that exist are
// overwritten in place; new ones would have the filesystem write its journal
// with every commit, which is more than the events.
func (s *Spool) prefill() {
	const (
		ahead = 128 << 10
		least = 48 << 10
	)
	if s.db == nil {
		return
	}
	used := int64(0)
	if err := s.view(func(b *bolt.Bucket) error { used = b.Tx().Size(); return nil }); err != nil {
		s.log.Warn("prefill", "err", s.readFailed(err))
		return
	}
	from, to := max(s.w.zeroed, used), min(used+ahead, int64(s.opts.MaxSize))
	if used+least <= s.w.zeroed || from >= to {
		return
	}
	f, err := os.OpenFile(s.path, os.O_WRONLY, 0)
	if err != nil {
		return
	}
	_, err = f.WriteAt(make([]byte, to-from), from)
	if err = errors.Join(err, f.Close()); err == nil {
		s.w.zeroed = to
		s.mu.Lock()
		s.wear.wrote(uint64(to - from))
		s.mu.Unlock()
	} // else it is tried again with the next commit; the file grows without it
}
