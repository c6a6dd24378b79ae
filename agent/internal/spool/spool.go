// Package spool is the board's durable buffer: one bbolt file that keeps every
// event from the moment it is accepted until the city has acknowledged it.
//
// # What is promised
//
// Append returns nil only after the event is on the disk (fsync). Events of a
// lane are numbered 1, 2, 3 … in the order they are read and sent. Free is the
// only way an event leaves, and only the uplink calls it, on the city's ack.
//
// # In the file
//
// There is one bucket, so that a lone event changes as few pages as bbolt
// allows. Its keys, in order:
//
//	0x01                     the epoch, a random id made with the file
//	0x02 lane                8 bytes: everything up to this seq is acknowledged
//	0x03 key                 1 byte: the state that freed events left under the key
//	0x10 lane, seq (8, BE)   a record: CRC-32C (4) of key and rest, state (1),
//	                         length of state key (1), state key, the event's JSON
//
// The newest record of a lane stays even when it is acknowledged: it carries
// the lane's last number, so an append changes no other page.
package spool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/longan-edge/longan"
)

// Sentinels a caller acts on.
var (
	// ErrClosed: the spool was closed; the event was not accepted.
	ErrClosed = errors.New("spool is closed")
	// ErrFull: the spool has reached its size and the event was not accepted.
	ErrFull = errors.New("spool is full")
)

// FileName is the name of the spool's file in its folder.
const FileName = "spool.db"

// Options of a spool. The zero value is ready to use.
type Options struct {
	// MaxSize bounds the file, in bytes; zero is 64 MiB.
	MaxSize int
	// Log receives what was repaired; nil discards it.
	Log *slog.Logger
}

// Spool is an open spool. Its methods may be called from many goroutines.
type Spool struct {
	db    *bolt.DB
	log   *slog.Logger
	epoch string

	requests  chan *request // to the committer, which is the only writer of db
	freed     chan struct{} // tells the committer that an ack waits for it
	quit      chan struct{} // closed by Close
	committer sync.WaitGroup
	closeOnce sync.Once
	closeErr  error

	mu      sync.Mutex // guards the fields below
	lanes   [len(longan.Lanes)]LaneStats
	states  map[string]longan.PointState
	changed chan struct{} // closed and replaced at every append
	dirty   bool          // an Acked is newer than the file
}

// LaneStats is where a lane stands.
type LaneStats struct {
	Last  uint64 // the newest accepted seq; 0 when there was none
	Acked uint64 // everything up to it was acknowledged by the city
	Freed uint64 // everything up to it is gone from the file
}

// Backlog returns the number of events that the city has not acknowledged.
func (l LaneStats) Backlog() uint64 { return l.Last - l.Acked }

// Open opens the spool in dir, which it makes when needed, or creates it. A
// file that can't be read is moved aside and a new epoch begins: a board that
// refuses to start helps nobody. The caller must Close the spool.
func Open(dir string, opts Options) (*Spool, error) {
	if opts.MaxSize == 0 {
		opts.MaxSize = 64 << 20
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make spool folder: %w", err)
	}
	path := filepath.Join(dir, FileName)
	db, head, err := openOrRepair(path, opts)
	if err != nil {
		return nil, err
	}
	s := &Spool{
		db: db, log: opts.Log, epoch: head.epoch,
		requests: make(chan *request),
		freed:    make(chan struct{}, 1),
		quit:     make(chan struct{}),
		lanes:    head.lanes,
		states:   head.states,
		changed:  make(chan struct{}),
	}
	s.committer.Go(s.commitLoop)
	return s, nil
}

// Close writes what is known to be acknowledged and closes the file. Appends
// under way either return nil and are on disk, or return ErrClosed.
func (s *Spool) Close() error {
	s.closeOnce.Do(func() {
		close(s.quit)
		s.committer.Wait()
		s.closeErr = s.db.Close()
	})
	return s.closeErr
}

// Epoch returns the random id of this spool.
func (s *Spool) Epoch() string { return s.epoch }

// Lane returns where a lane stands.
func (s *Spool) Lane(l longan.Lane) LaneStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lanes[l]
}

// States returns what the accepted events left behind by key, so that a restarted
// agent reports a change and not what it finds again.
func (s *Spool) States() map[string]longan.PointState {
	s.mu.Lock()
	defer s.mu.Unlock()
	states := make(map[string]longan.PointState, len(s.states))
	maps.Copy(states, s.states)
	return states
}

// Changed returns a channel that is closed at the next append. Ask for it
// before you read, or you may sleep through an event.
func (s *Spool) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// Entry is an event to append, and what it leaves behind in States.
type Entry struct {
	Event *longan.Event // Lane says where; Epoch and Seq are filled in by Append
	Key   string        // of States; "" when the event leaves nothing there
	State longan.PointState
}

// Append accepts events, all or none, and returns once they are on disk. It
// returns an error that wraps ErrFull, ErrClosed, longan.ErrMalformed or
// longan.ErrTooLarge; then nothing was accepted. ctx bounds the wait for the
// committer; once it has the events, Append waits for the disk.
func (s *Spool) Append(ctx context.Context, entries ...Entry) error {
	if len(entries) == 0 {
		return nil
	}
	for _, e := range entries {
		if err := validate(e.Event); err != nil {
			return err
		}
		if len(e.Key) > 255 {
			return fmt.Errorf("key of %d bytes: %w", len(e.Key), longan.ErrTooLarge)
		}
	}
	r := &request{entries: entries, done: make(chan error, 1)}
	select {
	case s.requests <- r:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.quit:
		return ErrClosed
	}
	return <-r.done // the committer answers every request it took
}

// validate checks an event before it has a seq.
func validate(e *longan.Event) error {
	if int(e.Lane) >= len(longan.Lanes) {
		return fmt.Errorf("lane %d: %w", e.Lane, longan.ErrMalformed)
	}
	numbered := *e
	numbered.Seq = 1
	return numbered.Validate()
}

// Free tells that the city has everything of lane up to seq. The file follows
// with the next commit, or within flushAfter; a power cut before that costs a
// resend. A seq beyond the last is cut to it: an ack can't reach into the future.
func (s *Spool) Free(l longan.Lane, seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	lane := &s.lanes[l]
	if seq = min(seq, lane.Last); seq > lane.Acked {
		lane.Acked = seq
		s.dirty = true
		s.signalFreed()
	}
}

func (s *Spool) signalFreed() {
	select {
	case s.freed <- struct{}{}:
	default: // it knows already
	}
}

// flushAfter is how long an ack may wait for a commit to ride along with.
const flushAfter = time.Second
