package ups

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/drivers"
)

// Config is what a UPS needs to know. Zero values take the defaults.
type Config struct {
	Mode    drivers.SerialMode // Baud is 2400 by default
	Poll    time.Duration      // between two polls, 2 s by default
	Timeout time.Duration      // for each answer, 900 ms by default
	Points  map[Signal]string  // the names of the points
}

const (
	defaultBaud    = 2400
	defaultPoll    = 2 * time.Second
	defaultTimeout = 900 * time.Millisecond
	// tries is how often Q1 is asked before the UPS is given up.
	tries = 3
)

// UPS is an uninterruptible power supply on a serial port.
type UPS struct {
	ports drivers.Ports
	port  string
	cfg   Config
}

var _ drivers.Driver = (*UPS)(nil)

// New returns the driver of the UPS on the named port. It opens nothing; a
// configuration that can't work is reported by Run.
func New(ports drivers.Ports, port string, cfg Config) *UPS {
	if cfg.Mode.Baud <= 0 {
		cfg.Mode.Baud = defaultBaud
	}
	if cfg.Poll <= 0 {
		cfg.Poll = defaultPoll
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	return &UPS{ports: ports, port: port, cfg: cfg}
}

// Run implements drivers.Driver. It emits every point at each poll. When three
// requests have no right answer, all points are emitted as Unknown and the error
// wraps drivers.ErrSilent if nothing came at all.
func (u *UPS) Run(ctx context.Context, emit drivers.Emit) error {
	if err := check(u.cfg.Points); err != nil {
		return u.fail(ctx, emit, err)
	}
	port, err := u.ports.Serial(ctx, u.port, u.cfg.Mode)
	if err != nil {
		return u.fail(ctx, emit, err)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	open, cancel := context.WithCancel(ctx)
	defer cancel()
	wg.Go(func() {
		<-open.Done()
		port.Close() // also unblocks a read or write when ctx ends
	})
	w := &watch{line: newLine(port, u.cfg.Mode.Baud, u.cfg.Timeout)}
	ticker := time.NewTicker(u.cfg.Poll)
	defer ticker.Stop()
	for {
		s, err := w.poll(ctx)
		if err != nil {
			return u.fail(ctx, emit, err)
		}
		for _, r := range readings(u.cfg.Points, s, w.about) {
			if err := emit(ctx, r); err != nil {
				return err
			}
		}
		if err := w.introduce(); err != nil {
			return u.fail(ctx, emit, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// fail emits all points as Unknown and returns err, unless ctx has ended.
func (u *UPS) fail(ctx context.Context, emit drivers.Emit, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	err = fmt.Errorf("UPS on %s: %w", u.port, err)
	for _, s := range slices.Sorted(maps.Keys(u.cfg.Points)) {
		r := drivers.Reading{Point: u.cfg.Points[s], State: longan.Unknown, Detail: clip(err.Error())}
		if err := emit(ctx, r); err != nil {
			return err
		}
	}
	return err
}

// clip cuts a text to the length of a reading's detail.
func clip(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), longan.MaxLabel)], "")
}
