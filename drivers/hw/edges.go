package hw

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
	"periph.io/x/conn/v3/gpio"

	"github.com/longan-edge/longan/drivers"
)

var _ drivers.EdgePorts = (*Ports)(nil)

// maxEdgeLines is GPIO_V2_LINES_MAX.
const maxEdgeLines = 64

// Edges implements [drivers.EdgePorts]: one request for all lines, whose events
// then come through one descriptor, numbered and stamped by the kernel
// (CLOCK_MONOTONIC) in its interrupt handler.
func (p *Ports) Edges(ctx context.Context, names []string, mode drivers.EdgeMode) (drivers.Edges, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	e, err := p.edges(names, mode)
	if err != nil {
		return nil, fmt.Errorf("request lines %s: %w", strings.Join(names, ", "), err)
	}
	return e, nil
}

func (p *Ports) edges(names []string, mode drivers.EdgeMode) (*edges, error) {
	if len(names) == 0 || len(names) > maxEdgeLines {
		return nil, fmt.Errorf("%d lines: want 1 to %d", len(names), maxEdgeLines)
	}
	var c *chip
	var offsets []uint32
	for _, name := range names {
		at, err := p.resolve(name)
		if err != nil {
			return nil, err
		}
		of, err := p.kernel.chip(at.chip)
		if err != nil {
			return nil, err
		}
		defer of.file.Close() // requested lines need their chip's file no more
		switch {
		case at.offset >= of.lines:
			return nil, fmt.Errorf("%w: %s has lines 0 to %d", drivers.ErrNoPort, at.chip, int64(of.lines)-1)
		case c != nil && c.name != of.name:
			return nil, fmt.Errorf("%w: they are on %s and %s, and only edges of one chip come in order", errors.ErrUnsupported, c.label, of.label)
		case slices.Contains(offsets, at.offset):
			return nil, fmt.Errorf("%w: line %s is named twice", drivers.ErrBusy, name)
		}
		c, offsets = of, append(offsets, at.offset)
	}
	return p.kernel.requestEdges(c, offsets, mode)
}

func (k kernel) requestEdges(c *chip, offsets []uint32, mode drivers.EdgeMode) (*edges, error) {
	r := lineRequest{lines: uint32(len(offsets)), buffer: eventBuffer}
	copy(r.offsets[:], offsets)
	copy(r.consumer[:len(r.consumer)-1], "longan")
	r.config = configFor(drivers.LineMode{Pull: mode.Pull}, mode.Edge)
	if err := k.control(c.file, getLine, unsafe.Pointer(&r)); err != nil {
		held := slices.IndexFunc(offsets, func(o uint32) bool { return k.consumer(c, o) != "" })
		return nil, k.denied(c, offsets[max(held, 0)], err)
	}
	if err := unix.SetNonblock(int(r.fd), true); err != nil {
		unix.Close(int(r.fd))
		return nil, fmt.Errorf("make it non-blocking: %w", err)
	}
	f := os.NewFile(uintptr(r.fd), c.label)
	if err := f.SetReadDeadline(time.Time{}); err != nil {
		f.Close()
		return nil, fmt.Errorf("wait for its events: %w", err)
	}
	return &edges{kernel: k, file: f, chip: c.label, offsets: offsets}, nil
}

// edges are requested lines. Read is for one goroutine at a time, everything else
// for any.
type edges struct {
	kernel  kernel
	file    *os.File // of the request: values and events
	chip    string
	offsets []uint32

	mu   sync.Mutex
	last uint32 // seqno of the last event, which counts from 1
	lost uint64
}

// Read implements [drivers.Edges].
func (e *edges) Read(to []drivers.Edge) (int, error) {
	if len(to) == 0 {
		return 0, nil
	}
	var b [16 * eventSize]byte
	n, err := e.file.Read(b[:min(len(to), 16)*eventSize])
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, os.ErrClosed):
		return 0, err
	case errors.Is(err, io.EOF), errors.Is(err, unix.ENODEV):
		return 0, fmt.Errorf("read edges of %s: %w", e.chip, drivers.ErrUnplugged)
	case err != nil:
		return 0, fmt.Errorf("read edges of %s: %w", e.chip, err)
	}
	return e.decode(b[:n], to), nil
}

// decode turns what the kernel wrote, gpio_v2_line_event after event, into edges.
// It ends at a half one, which the kernel doesn't write.
func (e *edges) decode(b []byte, to []drivers.Edge) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for ; len(b) >= eventSize && n < len(to); b = b[eventSize:] {
		offset, seq := binary.NativeEndian.Uint32(b[12:]), binary.NativeEndian.Uint32(b[16:])
		// A step backwards is a counter that began anew.
		if gap := seq - e.last - 1; gap < 1<<31 {
			e.lost += uint64(gap)
		}
		e.last = seq
		line := slices.Index(e.offsets, offset)
		if line < 0 {
			continue
		}
		to[n] = drivers.Edge{
			Line:  line,
			Level: binary.NativeEndian.Uint32(b[8:]) == eventRising,
			At:    time.Duration(binary.NativeEndian.Uint64(b)),
		}
		n++
	}
	return n
}

// SetReadDeadline implements [drivers.Edges].
func (e *edges) SetReadDeadline(t time.Time) error { return e.file.SetReadDeadline(t) }

// Sense implements [drivers.Edges].
func (e *edges) Sense() ([]gpio.Level, error) {
	v := lineValues{mask: 1<<len(e.offsets) - 1}
	if err := e.kernel.control(e.file, getValues, unsafe.Pointer(&v)); errors.Is(err, unix.ENODEV) {
		return nil, fmt.Errorf("read lines of %s: %w: %w", e.chip, drivers.ErrUnplugged, err)
	} else if err != nil {
		return nil, fmt.Errorf("read lines of %s: %w", e.chip, err)
	}
	levels := make([]gpio.Level, len(e.offsets))
	for i := range levels {
		levels[i] = v.bits>>i&1 != 0
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
func (e *edges) Close() error { return e.file.Close() }
