// Package escpos watches receipt printers, those of kiosks and queue machines,
// by the real-time status of ESC/POS: DLE EOT 1 to 4, which a printer answers
// with one byte each even while it is offline or its buffer is full. Epson,
// "ESC/POS Command Reference", DLE EOT.
//
// Many printers with compatible firmware answer only some of the four. A signal
// whose request was never answered is Unknown, neither Normal nor Fault, while
// the others live on.
//
// The driver sends nothing else, so it never prints; but the board has to own
// the port. A printer on the kiosk's own computer is the kiosk's to report.
package escpos

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/drivers"
)

// Config is what a Printer needs to know. Zero values take the defaults.
type Config struct {
	Mode    drivers.SerialMode // Baud is 9600 by default
	Poll    time.Duration      // between two polls, 2 s by default
	Timeout time.Duration      // for each answer, 500 ms by default
	Points  map[Signal]string  // the names of the points
}

const (
	defaultBaud    = 9600
	defaultPoll    = 2 * time.Second
	defaultTimeout = 500 * time.Millisecond
)

// Printer is a receipt printer on a serial port.
type Printer struct {
	ports drivers.Ports
	port  string
	cfg   Config

	mu    sync.Mutex
	stats Stats
}

// Stats counts the bytes that were no answer.
type Stats struct {
	ASB   uint64 // of an automatic status back, which the driver has no use for
	Stray uint64 // with wrong fixed bits: XON, XOFF, noise
}

var _ drivers.Driver = (*Printer)(nil)

// New returns the driver of the printer on the named port. It opens nothing; a
// configuration that can't work is reported by Run.
func New(ports drivers.Ports, port string, cfg Config) *Printer {
	if cfg.Mode.Baud <= 0 {
		cfg.Mode.Baud = defaultBaud
	}
	if cfg.Poll <= 0 {
		cfg.Poll = defaultPoll
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	return &Printer{ports: ports, port: port, cfg: cfg}
}

// Stats returns what was counted since New.
func (p *Printer) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// Run implements drivers.Driver. When nothing has answered for three polls, all
// points are emitted as Unknown and the error wraps drivers.ErrSilent.
func (p *Printer) Run(ctx context.Context, emit drivers.Emit) error {
	if err := check(p.cfg.Points); err != nil {
		return p.fail(ctx, emit, err)
	}
	port, err := p.ports.Serial(ctx, p.port, p.cfg.Mode)
	if err != nil {
		return p.fail(ctx, emit, err)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	open, cancel := context.WithCancel(ctx)
	defer cancel()
	wg.Go(func() {
		<-open.Done()
		port.Close() // also unblocks a read or write when ctx ends
	})
	r := &round{line: newLine(port, p.cfg.Mode.Baud, p.cfg.Timeout), asked: asked(p.cfg.Points)}
	ticker := time.NewTicker(p.cfg.Poll)
	defer ticker.Stop()
	for {
		err := r.poll(ctx)
		p.count(r.line)
		if err != nil {
			return p.fail(ctx, emit, err)
		}
		for _, reading := range r.readings(p.cfg.Points) {
			if err := emit(ctx, reading); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

func (p *Printer) count(l *line) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.ASB += l.asb
	p.stats.Stray += l.stray
	l.asb, l.stray = 0, 0
}

// fail emits all points as Unknown and returns err, unless ctx has ended.
func (p *Printer) fail(ctx context.Context, emit drivers.Emit, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	err = fmt.Errorf("printer on %s: %w", p.port, err)
	detail := err.Error()
	detail = detail[:min(len(detail), longan.MaxLabel)]
	for _, s := range slices.Sorted(maps.Keys(p.cfg.Points)) {
		r := drivers.Reading{Point: p.cfg.Points[s], State: longan.Unknown, Detail: detail}
		if err := emit(ctx, r); err != nil {
			return err
		}
	}
	return err
}
