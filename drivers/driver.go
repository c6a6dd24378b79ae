// Package drivers is where the board meets its peripherals: what a driver is,
// which ports it gets, and the supervisor that keeps it running.
//
// Drivers accept port interfaces and constructors return concrete types, as in
// periph.io. A driver never opens a device file, never logs and never keeps a
// goroutine after Run returned, so the same driver runs on a board, on a
// pseudo-terminal, and in virtual time.
package drivers

import (
	"context"
	"errors"

	"github.com/longan-edge/longan"
)

// Emit hands a reading to the agent. It returns nil once everything that
// follows from the reading is on disk; until then a driver does not
// acknowledge anything to its peripheral. An error ends Run.
type Emit func(context.Context, Reading) error

// A Driver watches one peripheral until ctx ends or the peripheral fails.
type Driver interface {
	// Run opens the peripheral's port, emits its readings and closes the port.
	// It returns ctx.Err() when ctx ended, and otherwise an error that says in
	// one sentence what is wrong with the peripheral. It may be called again
	// after it returned. A value that can't be read is emitted as Unknown.
	Run(ctx context.Context, emit Emit) error
}

// An Actuator is a driver that can switch outputs as well.
type Actuator interface {
	// Act switches the output on or off and returns once the peripheral has
	// confirmed it. It fails with ErrNotRunning while Run does not run.
	Act(ctx context.Context, output string, on bool) error
}

// Reading is what a driver saw at one point, one time. Drivers emit readings
// also when nothing changed: each one renews the age of the point's last good
// reading.
type Reading struct {
	Point  string            // name given by the site file; "" is the peripheral itself, which lives
	State  longan.PointState // zero is Unknown
	Value  float64           // the measurement, for points that have one
	Detail string            // for people: what was seen, at most longan.MaxLabel bytes
	// Happened is what happened at the point besides its state, once: a card was
	// held to a reader, a code was scanned. Nil is nothing.
	Happened *Occurrence
}

// Occurrence is an event of its own. It never holds what identifies a person:
// card numbers and codes only as keyed hashes.
type Occurrence struct {
	Type string // of the event: lower case, with dots
	Data []byte // a JSON object of at most longan.MaxData bytes; nil is none
	// Sample: it is a measurement or a count, which waits behind what happened and
	// goes first when space runs out.
	Sample bool
}

// Sentinels that the supervisor and the agent act on.
var (
	// ErrNotRunning: the driver is not connected to its peripheral now.
	ErrNotRunning = errors.New("peripheral is not running")
	// ErrSilent: the peripheral does not answer.
	ErrSilent = errors.New("peripheral is silent")
	// ErrUnplugged: the device behind a port is gone.
	ErrUnplugged = errors.New("unplugged")
	// ErrBusy: another process or driver holds the port.
	ErrBusy = errors.New("port is in use")
	// ErrNoPort: the board has no port of that name.
	ErrNoPort = errors.New("no such port")
)
