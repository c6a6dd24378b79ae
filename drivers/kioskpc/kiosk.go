package kioskpc

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/drivers"
)

// TypeCounters is the type of the event with a day's counters.
const TypeCounters = "kiosk.counters"

// Config is what a Receiver needs to know. Zero values take the defaults.
type Config struct {
	// Listen opens the address at which programs reach the board. It is called by
	// every Run.
	Listen func(ctx context.Context) (net.Listener, error)
	Token  string            // what programs show, 16 characters or more
	Points map[string]string // the point of each id that may report
	// Silence is how long a program may be silent, 2 min by default.
	Silence time.Duration
}

const (
	defaultSilence = 2 * time.Minute
	minToken       = 16
	aliveEvery     = 5 * time.Second
)

// Receiver hears from the kiosks of a center.
type Receiver struct{ cfg Config }

var _ drivers.Driver = (*Receiver)(nil)

// New returns the driver. It opens nothing; a configuration that can't work is
// reported by Run.
func New(cfg Config) *Receiver {
	if cfg.Silence <= 0 {
		cfg.Silence = defaultSilence
	}
	return &Receiver{cfg}
}

// job is what a request wants emitted. It is answered by Run's goroutine.
type job struct {
	id      string
	seq     uint64
	kind    string // what seq counts: another sequence each
	reading drivers.Reading
	done    chan error // has room for the result
}

// Run implements drivers.Driver.
func (r *Receiver) Run(ctx context.Context, emit drivers.Emit) error {
	if len(r.cfg.Token) < minToken {
		return r.fail(ctx, emit, fmt.Errorf("the token is missing or shorter than %d characters: give the board and the kiosks one", minToken))
	}
	l, err := r.cfg.Listen(ctx)
	if err != nil {
		return r.fail(ctx, emit, err)
	}
	var running sync.WaitGroup
	defer running.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	jobs, failed := make(chan job), make(chan error, 1)
	running.Go(func() {
		failed <- serve(ctx, l, r.handler(jobs))
	})
	kiosks := newKiosks(r.cfg.Points)
	alive := time.NewTicker(aliveEvery)
	defer alive.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-failed:
			return r.fail(ctx, emit, err)
		case j := <-jobs:
			err := kiosks.take(ctx, j, emit)
			j.done <- err
			if err != nil {
				return err
			}
		case <-alive.C:
			for _, reading := range kiosks.watch(time.Now(), r.cfg.Silence) {
				if err := emit(ctx, reading); err != nil {
					return err
				}
			}
		}
	}
}

// fail emits all points as Unknown and returns err, unless ctx has ended.
func (r *Receiver) fail(ctx context.Context, emit drivers.Emit, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	err = fmt.Errorf("kiosk endpoint: %w", err)
	detail := err.Error()
	for _, point := range r.cfg.Points {
		reading := drivers.Reading{Point: point, State: longan.Unknown, Detail: detail[:min(len(detail), longan.MaxLabel)]}
		if err := emit(ctx, reading); err != nil {
			return err
		}
	}
	return err
}

// kiosks is what is known of each program. One goroutine uses it.
type kiosks struct {
	points map[string]string
	last   map[string]*kiosk
}

type kiosk struct {
	reading drivers.Reading   // of the last heartbeat
	heard   time.Time         // when that was
	seqs    map[string]uint64 // the last one taken, by kind
	silent  bool
}

func newKiosks(points map[string]string) *kiosks {
	k := &kiosks{points: points, last: map[string]*kiosk{}}
	for id := range points {
		k.last[id] = &kiosk{heard: time.Now(), seqs: map[string]uint64{}}
	}
	return k
}

// take emits what a request wants, unless it was taken before.
func (k *kiosks) take(ctx context.Context, j job, emit drivers.Emit) error {
	last := k.last[j.id]
	if last.seqs[j.kind] == j.seq {
		return nil // sent again: its answer was lost
	}
	if j.kind == kindHeartbeat {
		last.reading, last.heard, last.silent = j.reading, time.Now(), false
	} else {
		j.reading.State, j.reading.Detail = last.reading.State, last.reading.Detail
	}
	if err := emit(ctx, j.reading); err != nil {
		return err
	}
	last.seqs[j.kind] = j.seq
	return nil
}

// watch returns the readings of the time between heartbeats: a program that was
// heard is as it said, one that is silent for too long is unknown. That the board
// listens is a sign of life of its own.
func (k *kiosks) watch(now time.Time, silence time.Duration) []drivers.Reading {
	readings := []drivers.Reading{{State: longan.Normal}}
	for id, last := range k.last {
		switch {
		case now.Sub(last.heard) > silence:
			if !last.silent {
				last.silent = true
				last.reading = drivers.Reading{
					Point: k.points[id], State: longan.Unknown,
					Detail: fmt.Sprintf("no heartbeat for %v", silence),
				}
			}
			readings = append(readings, last.reading)
		case last.reading.Point != "":
			readings = append(readings, last.reading)
		}
	}
	return readings
}
