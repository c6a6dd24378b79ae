package porttest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"periph.io/x/conn/v3/gpio"

	"github.com/longan-edge/longan/drivers"
)

var _ drivers.EdgePorts = (*Ports)(nil)

// Edges implements [drivers.EdgePorts]. Lines whose names differ before the colon
// are on different chips.
func (p *Ports) Edges(ctx context.Context, names []string, mode drivers.EdgeMode) (drivers.Edges, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	e := &edges{mode: mode, since: time.Now(), changed: make(chan struct{})}
	if err := p.requestEdges(e, names); err != nil {
		return nil, fmt.Errorf("request lines %s: %w", strings.Join(names, ", "), err)
	}
	return e, nil
}

func (p *Ports) requestEdges(e *edges, names []string) error {
	p.mu.Lock()
	for _, name := range names {
		e.lines = append(e.lines, p.lines[name])
	}
	p.mu.Unlock()
	for i, line := range e.lines {
		if line == nil {
			return fmt.Errorf("%w: %s", drivers.ErrNoPort, names[i])
		}
		if chipOf(names[i]) != chipOf(names[0]) {
			return fmt.Errorf("%w: they are on several chips", errors.ErrUnsupported)
		}
	}
	for i, line := range e.lines {
		if err := line.requestEdges(e); err != nil {
			e.lines = e.lines[:i]
			e.giveBack()
			return err
		}
	}
	return nil
}

func chipOf(name string) string {
	return name[:max(0, strings.LastIndexByte(name, ':'))]
}

// edges is a request for the edges of some lines. Where both locks are held, that
// of the line was taken first.
type edges struct {
	mode  drivers.EdgeMode
	since time.Time
	lines []*Line

	mu      sync.Mutex
	changed chan struct{} // closed and replaced at every change of what follows
	pending []drivers.Edge
	read    time.Time // the deadline
	lost    uint64
	closed  bool
	gone    bool
}

func (l *Line) requestEdges(e *edges) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.gone:
		return drivers.ErrNoPort
	case l.held || l.pin != nil || l.stream != nil:
		return drivers.ErrBusy
	}
	l.stream = e
	l.pull(e.mode.Pull)
	return nil
}

// add notes an edge of a line, whose lock is held.
func (e *edges) add(l *Line, to gpio.Level) {
	if to == gpio.Low && e.mode.Edge == gpio.RisingEdge || to == gpio.High && e.mode.Edge == gpio.FallingEdge || e.mode.Edge == gpio.NoEdge {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.pending) == pendingEdges {
		e.lost++
		return
	}
	e.pending = append(e.pending, drivers.Edge{Line: slices.Index(e.lines, l), Level: to, At: time.Since(e.since)})
	e.wake()
}

// drop counts edges that the kernel had to drop, unplug that the chip is gone;
// the line's lock is held.
func (e *edges) drop(n uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lost += n
}

func (e *edges) unplug() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.gone = true
	e.wake()
}

func (e *edges) wake() {
	close(e.changed)
	e.changed = make(chan struct{})
}

// Read implements [drivers.Edges]. Like the runtime's poller it looks at the
// deadline first.
func (e *edges) Read(to []drivers.Edge) (int, error) {
	for {
		e.mu.Lock()
		at, changed := e.read, e.changed
		n, err := 0, error(nil)
		switch {
		case e.closed:
			err = fmt.Errorf("read edges: %w", os.ErrClosed)
		case !at.IsZero() && !time.Now().Before(at):
			err = os.ErrDeadlineExceeded
		case len(e.pending) > 0:
			n = copy(to, e.pending)
			e.pending = slices.Delete(e.pending, 0, n)
		case e.gone:
			err = fmt.Errorf("read edges: %w", drivers.ErrUnplugged)
		}
		e.mu.Unlock()
		if n > 0 || err != nil || len(to) == 0 {
			return n, err
		}
		if at.IsZero() {
			<-changed
			continue
		}
		timer := time.NewTimer(time.Until(at))
		select {
		case <-changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// SetReadDeadline implements [drivers.Edges].
func (e *edges) SetReadDeadline(t time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.read = t
	e.wake()
	return nil
}

// Sense implements [drivers.Edges].
func (e *edges) Sense() ([]gpio.Level, error) {
	levels := make([]gpio.Level, len(e.lines))
	for i, l := range e.lines {
		l.mu.Lock()
		level, gone, err := l.level, l.gone, l.err
		l.mu.Unlock()
		switch {
		case gone:
			return nil, fmt.Errorf("read line %s: %w", l.name, drivers.ErrUnplugged)
		case err != nil:
			return nil, fmt.Errorf("read line %s: %w", l.name, err)
		}
		levels[i] = level
	}
	return levels, nil
}

// Lost implements [drivers.Edges].
func (e *edges) Lost() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.lost
}

// Close implements [drivers.Edges].
func (e *edges) Close() error {
	e.mu.Lock()
	closed := e.closed
	e.closed = true
	e.wake()
	e.mu.Unlock()
	if closed {
		return fmt.Errorf("close edges: %w", os.ErrClosed)
	}
	e.giveBack()
	return nil
}

func (e *edges) giveBack() {
	for _, l := range e.lines {
		l.mu.Lock()
		l.stream = nil
		l.mu.Unlock()
	}
}
