package spool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/longan-edge/longan"
)

// Sentinels a caller acts on.
var (
	// ErrClosed: the spool was closed; the event was not accepted.
	ErrClosed = errors.New("spool is closed")
	// ErrFull: the spool has reached its size, nothing in it may be given up,
	// and the event was not accepted.
	ErrFull = errors.New("spool is full")
	// ErrNotDurable: the disk takes nothing, but the event was accepted in
	// memory and goes to the city. A power cut loses it.
	ErrNotDurable = errors.New("kept in memory only, the disk takes nothing")
	// ErrInUse: another process has the spool open.
	ErrInUse = errors.New("another process has the spool open")
)

// Names in the spool's folder.
const (
	FileName     = "spool.db"
	IdentityName = "identity.json"
)

// Options of a spool. The zero value is ready to use.
type Options struct {
	// MaxSize bounds the file, in bytes; zero is 64 MiB.
	MaxSize int
	// Budget bounds the events in the file, in bytes as they are stored; zero is
	// three quarters of MaxSize. What is beyond it is given up, samples first.
	Budget int
	// Reserve is the part of Budget that only alarms may use; zero is an eighth.
	Reserve int
	// Endurance is what the card can take in its life, in bytes, for the
	// estimate of Stats; zero is 3000 times the size of its filesystem.
	Endurance uint64
	// Log receives what was repaired; nil discards it.
	Log *slog.Logger
	// Stamp fills in when and where an event of the spool's own happened (Time,
	// Clock, Boot, Mono); nil leaves the time unknown.
	Stamp func(*longan.Event)
	// Failpoint is called at the moments a crash test is interested in, with
	// their names (Failpoints); nil is nothing. It may not return.
	Failpoint func(name string)

	disk func() error // for tests: what a commit fails with
}

// Spool is an open spool. Its methods may be called from many goroutines.
type Spool struct {
	dir, path string
	opts      Options
	log       *slog.Logger

	wake      chan struct{} // to the committer: something is pending
	urgent    chan struct{} // to the committer: don't wait for more
	quit      chan struct{} // closed by Close
	trouble   chan struct{} // to the user: Health has changed
	committer sync.WaitGroup
	closeOnce sync.Once
	closeErr  error

	dbMu sync.RWMutex // for reading around a read transaction, for writing to exchange db
	db   *bolt.DB     // nil while there is no file that can be used

	views atomic.Uint32 // read transactions so far

	w writer // of the committer alone
	c cache

	mu      sync.Mutex // guards the fields below
	closed  bool
	pending []*request // in order of arrival
	pace    pace
	enough  int      // pending requests that the committer does not wait beyond
	streams []stream // on disk, oldest epoch first, the one that is written last
	memory  memory   // what the disk would not take
	states  map[string]longan.PointState
	changed chan struct{} // closed and replaced when there is more to read
	health  Health
	wear    wear
	known   identity
	damage  error // that a reader found, for the committer
}

// Open opens the spool in dir, which it makes when needed, or creates it. It
// starts on whatever it finds: a file that can't be read is moved aside, what is
// good of it is kept, and a new epoch begins; without a usable disk alarms are
// kept in memory until there is one. Health says which. The only error is
// ErrInUse. The caller must Close the spool.
func Open(dir string, opts Options) (*Spool, error) {
	if opts.MaxSize == 0 {
		opts.MaxSize = 64 << 20
	}
	if opts.Budget == 0 {
		opts.Budget = opts.MaxSize / 4 * 3
	}
	if opts.Reserve == 0 {
		opts.Reserve = opts.Budget / 8
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Stamp == nil {
		opts.Stamp = func(*longan.Event) {}
	}
	if opts.Failpoint == nil {
		opts.Failpoint = func(string) {}
	}
	if opts.disk == nil {
		opts.disk = func() error { return nil }
	}
	s := &Spool{
		dir: dir, path: filepath.Join(dir, FileName), opts: opts, log: opts.Log,
		wake:    make(chan struct{}, 1),
		urgent:  make(chan struct{}, 1),
		quit:    make(chan struct{}),
		trouble: make(chan struct{}, 1),
		states:  map[string]longan.PointState{},
		changed: make(chan struct{}),
		pace:    pace{gap: pacedMost * 2, pays: 1},
		memory:  memory{epoch: newEpoch()},
	}
	if err := s.open(); errors.Is(err, ErrInUse) {
		return nil, err
	} else if err != nil {
		s.setTrouble(err)
	}
	s.committer.Go(s.commitLoop)
	return s, nil
}

// Close writes what is known to be acknowledged and closes the file. Appends
// under way either return nil and are on disk, or return ErrClosed.
func (s *Spool) Close() error {
	s.closeOnce.Do(func() {
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		close(s.quit)
		s.committer.Wait()
		s.dbMu.Lock()
		defer s.dbMu.Unlock()
		if s.db != nil {
			s.closeErr = s.db.Close()
			s.db = nil
		}
	})
	return s.closeErr
}

// Epoch returns the random id of the epoch that is being written.
func (s *Spool) Epoch() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.currentEpoch().String()
}

// currentEpoch is Epoch for a caller that holds mu.
func (s *Spool) currentEpoch() epochID {
	if len(s.streams) == 0 {
		return s.memory.epoch
	}
	return s.streams[len(s.streams)-1].epoch
}

// States returns what the accepted events left behind by key, so that a restarted
// agent reports a change and not what it finds again.
func (s *Spool) States() map[string]longan.PointState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.states)
}

// Changed returns a channel that is closed when there is more to read. Ask for
// it before you read, or you may sleep through an event.
func (s *Spool) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// tell wakes who waits for Changed. The caller holds mu.
func (s *Spool) tell() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// Entry is an event to append, and what it leaves behind in States.
type Entry struct {
	Event *longan.Event // Lane says where; Epoch and Seq are filled in by Append
	Key   string        // of States; "" when the event leaves nothing there
	State longan.PointState
}

// request is one Append on its way to the committer.
type request struct {
	entries []Entry
	bodies  [][]byte   // the events' JSON behind the seq, `,"type":…}`
	done    chan error // receives exactly one value
}

// Append accepts events, all or none, and returns once they are on disk. It
// returns an error that wraps ErrFull, ErrClosed, longan.ErrMalformed,
// longan.ErrTooLarge, or says what is wrong with the disk; then nothing was
// accepted. With ErrNotDurable the events are accepted, but in memory only: that
// is offered to alarms and to the board's own device events. ctx bounds the wait
// for the committer; once it has the events, Append waits for the disk.
func (s *Spool) Append(ctx context.Context, entries ...Entry) error {
	if len(entries) == 0 {
		return nil
	}
	r := &request{entries: entries, bodies: make([][]byte, len(entries)), done: make(chan error, 1)}
	hurry := false
	for i, e := range entries {
		body, err := encodeBody(e)
		if err != nil {
			return err
		}
		r.bodies[i] = body
		hurry = hurry || e.Event.Lane == longan.Alarm
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	s.pace.arrived(time.Now())
	s.pending = append(s.pending, r)
	if hurry || len(s.pending) >= s.enough {
		signal(s.urgent)
	}
	s.mu.Unlock()
	signal(s.wake)
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
	}
	if s.withdraw(r) {
		return ctx.Err()
	}
	return <-r.done // the committer answers every request it took
}

// withdraw takes back a request that the committer has not taken.
func (s *Spool) withdraw(r *request) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, p := range s.pending {
		if p == r {
			s.pending = append(s.pending[:i:i], s.pending[i+1:]...)
			return true
		}
	}
	return false
}

// encodeBody checks an entry and returns its event's JSON from behind the seq,
// which only the committer knows.
func encodeBody(e Entry) ([]byte, error) {
	if int(e.Event.Lane) >= len(longan.Lanes) {
		return nil, fmt.Errorf("lane %d: %w", e.Event.Lane, longan.ErrMalformed)
	}
	if len(e.Key) > 255 {
		return nil, fmt.Errorf("key of %d bytes: %w", len(e.Key), longan.ErrTooLarge)
	}
	numbered := *e.Event
	numbered.Seq = 1
	if err := numbered.Validate(); err != nil {
		return nil, err
	}
	const longestSeq = 20
	body := numbered.AppendJSON(nil)[len(`{"seq":1`):]
	if len(body)+len(`{"seq":`)+longestSeq > longan.MaxEvent {
		return nil, fmt.Errorf("event of %d bytes: %w", len(body), longan.ErrTooLarge)
	}
	return body, nil
}

// signal sends to a channel that holds one signal.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it knows already
	}
}
