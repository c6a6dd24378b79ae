// Package blueprint is a complete small driver, to be copied. It reads a
// thermometer that nobody makes: asked "T?", it answers "T=23.5", each line ended
// by CR, at 9600 8N1. Too warm is Active.
//
// # What every driver does
//
//   - The package comment names the source (standard, datasheet), the wiring and
//     the timing. A README beside it has the wiring table, for technicians.
//   - New takes ports and settings, returns a concrete type and opens nothing. What
//     can't work is reported by Run, so that one wrong peripheral stops no other.
//   - Run opens the port, emits readings until it fails or ctx ends, and leaves
//     nothing open and no goroutine running. It may be called again.
//   - Every wait is bounded: a device may be silent, babble, or be unplugged while
//     we write to it.
//   - What can't be read is Unknown, never the last value and never Normal. Before
//     Run fails it says so of every point.
//   - A reading is emitted also when nothing changed: it renews the age of the point.
//   - emit returns once the reading is on disk. Its error ends Run as it is; nothing
//     is confirmed to the device before.
//   - Errors say in one sentence what is wrong, and end with the sentinel that fits:
//     drivers.ErrSilent, ErrUnplugged.
//   - Bytes from outside go through a function without side effects, with a fuzz
//     target.
//
// The driver gets a case in agent/table.go and a row in firmware-config's driver
// table. Its device side goes to sim/peripheral.
package blueprint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/drivers"
)

// Config is what a Thermometer needs to know. Zero values take the defaults.
type Config struct {
	Mode    drivers.SerialMode // Baud is 9600 by default
	Point   string             // name of the point
	Above   float64            // °C, beyond which the point is Active
	Poll    time.Duration      // between two readings, 5 s by default
	Timeout time.Duration      // for an answer, 500 ms by default
}

const (
	defaultBaud    = 9600
	defaultPoll    = 5 * time.Second
	defaultTimeout = 500 * time.Millisecond
	tries          = 3  // how often it is asked before it is silent
	maxLine        = 64 // bytes; what is longer is noise
)

// Thermometer is a thermometer on a serial port.
type Thermometer struct {
	ports drivers.Ports
	port  string
	cfg   Config
}

var _ drivers.Driver = (*Thermometer)(nil)

// New returns the driver of the thermometer on the named port. It opens nothing.
func New(ports drivers.Ports, port string, cfg Config) *Thermometer {
	if cfg.Mode.Baud <= 0 {
		cfg.Mode.Baud = defaultBaud
	}
	if cfg.Poll <= 0 {
		cfg.Poll = defaultPoll
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	return &Thermometer{ports: ports, port: port, cfg: cfg}
}

// Run implements drivers.Driver.
func (t *Thermometer) Run(ctx context.Context, emit drivers.Emit) error {
	port, err := t.ports.Serial(ctx, t.port, t.cfg.Mode)
	if err != nil {
		return t.fail(ctx, emit, err)
	}
	var closing sync.WaitGroup
	defer closing.Wait()
	open, cancel := context.WithCancel(ctx)
	defer cancel()
	closing.Go(func() {
		<-open.Done()
		port.Close() // also unblocks a read or write when ctx ends
	})
	ticker := time.NewTicker(t.cfg.Poll)
	defer ticker.Stop()
	for {
		celsius, err := t.read(port)
		if err != nil {
			return t.fail(ctx, emit, err)
		}
		if err := emit(ctx, t.reading(celsius)); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// reading returns what a temperature means.
func (t *Thermometer) reading(celsius float64) drivers.Reading {
	r := drivers.Reading{Point: t.cfg.Point, State: longan.Normal, Value: celsius, Detail: fmt.Sprintf("%.1f °C", celsius)}
	if celsius > t.cfg.Above {
		r.State = longan.Active
	}
	return r
}

// fail emits the point as Unknown and returns err, unless ctx has ended.
func (t *Thermometer) fail(ctx context.Context, emit drivers.Emit, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	err = fmt.Errorf("thermometer on %s: %w", t.port, err)
	detail := err.Error()
	unknown := drivers.Reading{Point: t.cfg.Point, State: longan.Unknown, Detail: detail[:min(len(detail), longan.MaxLabel)]}
	if err := emit(ctx, unknown); err != nil {
		return err
	}
	return err
}

// read asks until there is an answer, or it was asked often enough.
func (t *Thermometer) read(port drivers.Serial) (celsius float64, err error) {
	for range tries {
		celsius, err = t.ask(port)
		if err == nil || errors.Is(err, errLost) {
			return celsius, err
		}
	}
	return 0, err
}

// errLost: the port itself failed, and another try is of no use.
var errLost = errors.New("the serial port failed")

// ask asks once.
func (t *Thermometer) ask(port drivers.Serial) (float64, error) {
	deadline := time.Now().Add(t.cfg.Timeout)
	if err := errors.Join(port.SetWriteDeadline(deadline), port.SetReadDeadline(deadline)); err != nil {
		return 0, lost(err)
	}
	if _, err := port.Write([]byte("T?\r")); errors.Is(err, os.ErrDeadlineExceeded) {
		return 0, errors.New("the serial port takes no data")
	} else if err != nil {
		return 0, lost(err)
	}
	var received []byte
	var buf [maxLine]byte
	for {
		n, err := port.Read(buf[:])
		received = append(received, buf[:n]...)
		received = received[max(0, len(received)-maxLine):] // a babbling device
		if celsius, ok := parse(received); ok {
			return celsius, nil
		}
		switch {
		case err == nil:
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return 0, lost(err)
		case len(received) == 0:
			return 0, drivers.ErrSilent
		default:
			return 0, fmt.Errorf("no answer in %d bytes: check the baud rate", len(received))
		}
	}
}

// lost wraps an error of the port. The end of a pipe means unplugged.
func lost(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) {
		err = drivers.ErrUnplugged
	}
	return fmt.Errorf("%w: %w", errLost, err)
}

// Bounds of what the thermometer can measure, in °C: what is outside is noise that
// looks like an answer.
const lowest, highest = -55, 125

// parse returns the temperature in the last whole line of what was received.
func parse(received []byte) (celsius float64, ok bool) {
	end := bytes.LastIndexByte(received, '\r')
	if end < 0 {
		return 0, false
	}
	line := received[:end]
	line = line[bytes.LastIndexByte(line, '\r')+1:]
	text, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("T="))
	if !ok {
		return 0, false
	}
	celsius, err := strconv.ParseFloat(string(text), 64)
	return celsius, err == nil && celsius >= lowest && celsius <= highest
}
