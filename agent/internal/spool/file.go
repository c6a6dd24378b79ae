package spool

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/longan-edge/longan"
)

// head is what opening a spool learns from its file.
type head struct {
	epoch  string
	lanes  [len(longan.Lanes)]LaneStats
	states map[string]longan.PointState
}

// openOrRepair opens the file at path, creates it when there is none, and moves
// it aside for a new one when it can't be read.
func openOrRepair(path string, opts Options) (*bolt.DB, *head, error) {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		if err := create(path); err != nil {
			return nil, nil, err
		}
	}
	db, h, err := openFile(path, opts)
	if err == nil || errors.Is(err, berrors.ErrTimeout) { // another process has it
		return db, h, err
	}
	aside := fmt.Sprintf("%s.bad-%d", path, time.Now().UnixNano())
	opts.Log.Error("spool is damaged; it is moved aside and a new epoch begins", "err", err, "aside", aside)
	if err := os.Rename(path, aside); err != nil {
		return nil, nil, fmt.Errorf("move damaged spool aside: %w", err)
	}
	if err := create(path); err != nil {
		return nil, nil, err
	}
	return openFile(path, opts)
}

func boltOptions(opts Options) *bolt.Options {
	return &bolt.Options{
		Timeout:         2 * time.Second, // for the lock; zero would wait for ever
		NoFreelistSync:  true,            // fewer pages a commit; the file is small enough to scan
		FreelistType:    bolt.FreelistMapType,
		MaxSize:         opts.MaxSize,
		InitialMmapSize: min(opts.MaxSize, 1<<20), // never above MaxSize: that would lift the limit
		NoStatistics:    true,
	}
}

// create makes a new spool at path so that a power cut leaves either none or a
// whole one: bbolt's own initialisation is not crash safe.
func create(path string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("create spool: %w", err)
		}
	}()
	temp := path + ".new"
	if err := os.Remove(temp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	db, err := bolt.Open(temp, 0o600, &bolt.Options{Timeout: time.Second, NoFreelistSync: true, FreelistType: bolt.FreelistMapType})
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		b, err := tx.CreateBucket(bucketName())
		if err != nil {
			return err
		}
		var id [8]byte
		rand.Read(id[:]) // never fails
		return b.Put([]byte{keyEpoch}, []byte(hex.EncodeToString(id[:])))
	})
	if err = errors.Join(err, db.Sync(), db.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// openFile verifies and opens the file. The order matters: when bbolt opens a
// file for writing it walks it in a goroutine of its own, where a damaged page
// is a panic that nobody can recover. So the file is read as read-only first.
func openFile(path string, opts Options) (*bolt.DB, *head, error) {
	h, err := verify(path)
	if err != nil {
		return nil, nil, fmt.Errorf("open spool: %w", err)
	}
	db, err := bolt.Open(path, 0o600, boltOptions(opts))
	if err != nil {
		return nil, nil, fmt.Errorf("open spool: %w", err)
	}
	return db, h, nil
}

// verify walks the whole file. bbolt panics on damaged pages, and a truncated
// file is a bus error: both become an error here.
func verify(path string) (h *head, err error) {
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if info.Size() == 0 { // bbolt would take it for a new file
		return nil, fmt.Errorf("file is empty: %w", errCorrupt)
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	var db *bolt.DB
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v: %w", p, errCorrupt)
		}
	}()
	db, err = bolt.Open(path, 0o600, &bolt.Options{Timeout: 2 * time.Second, ReadOnly: true, FreelistType: bolt.FreelistMapType})
	if err != nil {
		return nil, err
	}
	h, err = readHead(db)
	return h, errors.Join(err, db.Close()) // not reached after a panic: bbolt holds its locks then
}

// readHead reads every key, checks every record, and folds the states.
func readHead(db *bolt.DB) (*head, error) {
	h := &head{states: map[string]longan.PointState{}}
	err := db.View(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketName())
		if b == nil {
			return fmt.Errorf("no bucket: %w", errCorrupt)
		}
		return b.ForEach(h.take)
	})
	if err != nil {
		return nil, err
	}
	if !longan.ValidName(h.epoch) {
		return nil, fmt.Errorf("epoch %q: %w", h.epoch, errCorrupt)
	}
	for l := range h.lanes {
		lane := &h.lanes[l]
		if lane.Acked > lane.Last {
			return nil, fmt.Errorf("lane %v: acknowledged to %d, last is %d: %w", longan.Lane(l), lane.Acked, lane.Last, errCorrupt)
		}
	}
	return h, nil
}

// take reads one key. Keys come in order: what freed events left stands before
// the records that follow.
func (h *head) take(k, v []byte) error {
	switch k[0] {
	case keyEpoch:
		h.epoch = string(v)
	case keyAcked:
		if len(k) != 2 || int(k[1]) >= len(h.lanes) || len(v) != 8 {
			return fmt.Errorf("key %x: %w", k, errCorrupt)
		}
		h.lanes[k[1]].Acked = binary.BigEndian.Uint64(v)
	case keyState:
		if len(v) != 1 {
			return fmt.Errorf("key %x: %w", k, errCorrupt)
		}
		h.states[string(k[1:])] = longan.PointState(v[0])
	case keyRecord:
		return h.takeRecord(k, v)
	default:
		return fmt.Errorf("key %x: %w", k, errCorrupt)
	}
	return nil
}

func (h *head) takeRecord(k, v []byte) error {
	l, seq, err := parseRecordKey(k)
	if err != nil {
		return err
	}
	r, err := decodeRecord(k, v)
	if err != nil {
		return err
	}
	lane := &h.lanes[l]
	if lane.Last == 0 {
		lane.Freed = seq - 1
	} else if seq != lane.Last+1 {
		return fmt.Errorf("lane %v: %d follows %d: %w", l, seq, lane.Last, errCorrupt)
	}
	lane.Last = seq
	if r.key != "" {
		h.states[r.key] = r.state
	}
	return nil
}
