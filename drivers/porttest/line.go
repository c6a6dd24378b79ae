package porttest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"periph.io/x/conn/v3/gpio"

	"github.com/longan-edge/longan/drivers"
)

// pendingEdges is how many edges wait for a reader before they are dropped and
// counted as lost: the event buffer that drivers/hw asks the kernel for.
const pendingEdges = 1024

// Line is the wire at the terminal of a GPIO line. Until Set was called the
// level follows the pull of the request: High with a pull-up, otherwise Low.
type Line struct {
	name string

	mu      sync.Mutex
	changed chan struct{} // closed and replaced at every change of what follows
	pin     *pin          // the request, nil while there is none
	stream  *edges        // or the request for its edges
	driven  bool          // Set was called
	level   gpio.Level
	err     error // what Sense fails with
	gone    bool
	held    bool
	output  bool   // it was one when it was requested last, and is as long as the board runs
	edges   int    // on the wire, since AddLine
	lost    uint64 // dropped since the request
	history []Change
}

// Change is a level that an output took.
type Change struct {
	At    time.Time
	Level gpio.Level
}

func newLine(name string) *Line {
	return &Line{name: name, changed: make(chan struct{})}
}

// Set drives the wire to l. Where that changes the level it is an edge.
func (l *Line) Set(level gpio.Level) {
	l.mu.Lock()
	defer l.mu.Unlock()
	changed := l.level != level
	l.driven, l.level = true, level
	if changed {
		l.edge(level)
	}
}

// SetSilently changes the level without an edge, as kernels and expanders do
// that lost one without knowing.
func (l *Line) SetSilently(level gpio.Level) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.driven, l.level = true, level
}

// Glitch is a pulse too short to be read: two edges, and the level as before.
func (l *Line) Glitch() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.edge(!l.level)
	l.edge(l.level)
}

// Drop counts n edges that the kernel had to drop.
func (l *Line) Drop(n uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost += n
	if l.stream != nil {
		l.stream.drop(n)
	}
}

// Fail lets every Sense fail with err, until Fail(nil).
func (l *Line) Fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

// Hold lets another process have the line, or give it back: while it is held,
// requesting it fails with ErrBusy.
func (l *Line) Hold(held bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = held
}

// Unplug removes the line's chip: Sense and Out fail with ErrUnplugged, edges
// stop, and a new request fails with ErrNoPort until AddLine.
func (l *Line) Unplug() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone = true
	l.wake()
	if l.stream != nil {
		l.stream.unplug()
	}
}

// Level returns the level of the wire: what was Set, or what the driver's
// output is.
func (l *Line) Level() gpio.Level {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.level
}

// Edges returns the number of edges on the wire so far, whoever made them.
func (l *Line) Edges() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.edges
}

// History returns every level the driver put on the wire, the initial level of
// each request included, in order. A pulse can't hide in it.
func (l *Line) History() []Change {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.history)
}

// Mode returns how the line is requested now, and whether it is.
func (l *Line) Mode() (mode drivers.LineMode, requested bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pin == nil {
		return drivers.LineMode{}, false
	}
	return l.pin.mode, true
}

func (l *Line) request(mode drivers.LineMode) (drivers.Line, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.gone:
		return nil, fmt.Errorf("request line %s: %w", l.name, drivers.ErrNoPort)
	case l.held || l.pin != nil || l.stream != nil:
		return nil, fmt.Errorf("request line %s: %w", l.name, drivers.ErrBusy)
	}
	l.pin = &pin{line: l, mode: mode, sense: gpio.BothEdges}
	l.lost = 0
	switch {
	case mode.Output && mode.Keep && l.output:
		l.put(l.level)
	case mode.Output:
		l.put(mode.Initial)
	default:
		l.pull(mode.Pull)
	}
	l.output = mode.Output
	return l.pin, nil
}

// put records an output's level; pull lets an undriven input follow its bias.
// Both, and edge and wake, want l.mu held.
func (l *Line) put(level gpio.Level) {
	if l.level != level {
		l.edges++
	}
	l.level = level
	l.history = append(l.history, Change{At: time.Now(), Level: level})
}

func (l *Line) pull(p gpio.Pull) {
	if !l.driven {
		l.level = p == gpio.PullUp
	}
}

func (l *Line) edge(to gpio.Level) {
	l.edges++
	if l.stream != nil && !l.gone {
		l.stream.add(l, to)
	}
	if l.pin == nil || l.gone || !l.pin.watches(to) {
		return
	}
	if l.pin.pending == pendingEdges {
		l.lost++
		return
	}
	l.pin.pending++
	l.wake()
}

func (l *Line) wake() {
	close(l.changed)
	l.changed = make(chan struct{})
}
