// Package ingest takes what boards publish on an MQTT broker, has it stored, and
// acknowledges what is stored.
//
// # The way of a batch
//
//	broker -> handler -> queue -> decode -> store (commit) -> live view -> ack
//
// paho's handler only puts the payload into a bounded queue. One goroutine
// decodes the lanes state and sample, a group of batches ahead of another one
// that stores them, many batches in one transaction. The alarm lane is taken
// before every transaction, alone; the transactions of the others are short
// enough for an alarm to wait for one. Only after the commit has returned are the
// events shown and the ack sent. When the store cannot commit, nothing is
// acknowledged and the same batches are tried again; when the queue is full,
// batches are dropped. Both are safe, for boards send again what is not
// acknowledged.
//
// A batch that is not of the contract, or that the store refuses while it takes
// others, is set aside in the store as a dead letter, and its board is told.
//
// Every ack carries credit: a share, for each board that brings a backlog, of
// what the city wants on the way at once.
//
// Acks are cumulative, so that an ack that waits is replaced by its successor;
// one that is lost is made up for when the board sends the batch again: a batch
// that brings nothing new is acknowledged like any other.
//
// # What it relies on
//
// Nothing of the broker but that messages mostly get through: not on its queues,
// its sessions, its order across reconnects or its retained messages. Every
// connection has a fresh client with a clean session, and reconnecting waits a
// random time.
package ingest

import (
	"context"
	"errors"
	"hash/crc32"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/cloud/internal/live"
	"github.com/longan-edge/longan/cloud/internal/store"
)

// Store is what ingest needs of a store. It exists so that a test can make it
// fail between any two steps.
type Store interface {
	// Ingest stores the events of the batches, durably when it returns nil.
	Ingest(ctx context.Context, batches []*longan.Batch, now time.Time) ([]store.Result, error)
	// SaveStatus keeps each status as the last of its device.
	SaveStatus(ctx context.Context, now time.Time, statuses ...*longan.Status) error
	// Streams tells how far every stream is complete, in the order in which they
	// were first seen; "" is of all devices.
	Streams(ctx context.Context, device longan.DeviceID) ([]store.Stream, error)
	// SetAside keeps batches that were not taken, for an operator to see.
	SetAside(ctx context.Context, letters ...store.DeadLetter) error
}

// View is who wants to see what came, at once. It is called with events only
// after they are committed.
type View interface {
	// ApplyStatus reports whether it refuses the status: another board has the
	// same device id.
	ApplyStatus(s *longan.Status, retained bool) (isClone bool)
	ApplyEvents(events []longan.Event)
	ApplyStreams(device longan.DeviceID, epoch string, streams []live.Stream)
	// ApplyBroker is told when the link to the broker is up and when it is lost.
	ApplyBroker(up bool)
	// ApplyConflicts is told of events whose numbers other events have.
	ApplyConflicts(device longan.DeviceID, n int, last time.Time)
	// ApplyRefusal is told of every message that is not taken; device is "" when
	// the topic does not name one.
	ApplyRefusal(device longan.DeviceID, at, reason, detail string)
}

// Config is what an ingest takes from outside.
type Config struct {
	// Dial opens a connection to the broker, encrypted where that is wanted.
	Dial     func(ctx context.Context) (net.Conn, error)
	Username string // at the broker; may be ""
	Password string
	ClientID string   // unique at the broker
	Counties []string // 6-digit codes; none is all
	Store    Store
	View     View
	Now      func() time.Time // nil is time.Now
	Log      *slog.Logger     // nil is silent
}

// Ingest is the bridge from a broker to a store.
type Ingest struct {
	cfg     Config
	log     *slog.Logger
	Metrics Metrics

	batches  queue
	groups   chan group // from decodeLoop to commitLoop
	cost     stopwatch  // of the store
	pace     pacer
	aside    aside
	statuses chan message
	unsaved  unsaved
	acks     ackBook
	refused  complaints
	ear      ear
	clones   chan longan.DeviceID // to be told that two boards have their id
	ready    chan struct{}        // closed by the first session that is subscribed
	once     sync.Once

	castagnoli *crc32.Table // of the checksum in a refusal
}

// statusQueue bounds the statuses that wait. The view takes them at once, so it
// fills only in a storm.
const statusQueue = 4096

// New returns an ingest, or an error that says what of the configuration is
// missing.
func New(cfg Config) (*Ingest, error) {
	if cfg.Dial == nil || cfg.Store == nil || cfg.View == nil || cfg.ClientID == "" {
		return nil, errors.New("ingest needs a dialer, a client id, a store and a view")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if len(cfg.Counties) == 0 {
		cfg.Counties = []string{""}
	}
	in := &Ingest{cfg: cfg, log: cfg.Log, statuses: make(chan message, statusQueue), ready: make(chan struct{}),
		groups: make(chan group), castagnoli: crc32.MakeTable(crc32.Castagnoli)}
	in.batches.init()
	in.pace.init(cfg.Now)
	in.aside.init()
	in.clones = make(chan longan.DeviceID, maxClones)
	in.unsaved.latest = map[longan.DeviceID]*longan.Status{}
	in.acks.init()
	in.refused.init(cfg.Log)
	return in, nil
}

// Ready returns a channel that is closed once the ingest has been subscribed.
func (in *Ingest) Ready() <-chan struct{} { return in.ready }

// Run serves until ctx ends, and returns ctx.Err() then. What is queued but not
// committed at the end is dropped: it was not acknowledged.
func (in *Ingest) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { in.decodeLoop(ctx) })
	wg.Go(func() { in.commitLoop(ctx) })
	wg.Go(func() { in.asideLoop(ctx) })
	wg.Go(func() { in.statusLoop(ctx) })
	wg.Go(func() { in.saveLoop(ctx) })
	in.sessions(ctx)
	wg.Wait()
	return ctx.Err()
}

// sleep waits, and reports whether it was not cut short by the end of ctx.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
