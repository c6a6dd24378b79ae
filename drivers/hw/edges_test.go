package hw

import (
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"periph.io/x/conn/v3/gpio"

	"github.com/longan-edge/longan/drivers"
)

var falling = drivers.EdgeMode{Pull: gpio.PullUp, Edge: gpio.FallingEdge}

func requestEdges(t *testing.T, p *Ports, names ...string) drivers.Edges {
	t.Helper()
	e, err := p.Edges(t.Context(), names, falling)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// edgeEvent returns a gpio_v2_line_event; id is 1 for rising and 2 for falling.
func edgeEvent(at time.Duration, id, offset, seq uint32) []byte {
	b := make([]byte, 48)
	binary.NativeEndian.PutUint64(b, uint64(at))
	binary.NativeEndian.PutUint32(b[8:], id)
	binary.NativeEndian.PutUint32(b[12:], offset)
	binary.NativeEndian.PutUint32(b[16:], seq)
	binary.NativeEndian.PutUint32(b[20:], 1) // of the line, which nobody looks at
	return b
}

func TestEdgesAreOneRequest(t *testing.T) {
	k, p := newFakeKernel(t)
	k.addChip("gpiochip0", "gpiochip0", "soc", 32)
	requestEdges(t, p, "soc:5", "soc:4")
	if len(k.requests) != 1 {
		t.Fatalf("%d requests, want 1", len(k.requests))
	}
	r := k.requests[0]
	if r.lines != 2 || r.offsets[0] != 5 || r.offsets[1] != 4 || r.buffer != 1024 || r.config.flags != flagInput|flagFalling|flagPullUp {
		t.Errorf("got %d lines, offsets %d, %d, buffer %d, flags %#x", r.lines, r.offsets[0], r.offsets[1], r.buffer, r.config.flags)
	}
}

func TestEdgesErrors(t *testing.T) {
	k, p := newFakeKernel(t)
	k.addChip("gpiochip0", "gpiochip0", "soc", 32)
	k.addChip("gpiochip1", "gpiochip1", "expander", 8)
	for _, test := range []struct {
		names []string
		want  error
		says  string
	}{
		{[]string{"soc:4", "expander:5"}, errors.ErrUnsupported, "only edges of one chip come in order"},
		{[]string{"soc:4", "gpiochip0:4"}, drivers.ErrBusy, "named twice"},
		{[]string{"soc:4", "soc:32"}, drivers.ErrNoPort, "has lines 0 to 31"},
		{[]string{"soc:4", "nothing:5"}, drivers.ErrNoPort, "no chip"},
		{nil, nil, "want 1 to 64"},
		{slices.Repeat([]string{"soc:1"}, 65), nil, "want 1 to 64"},
	} {
		files := openFiles(t)
		_, err := p.Edges(t.Context(), test.names, falling)
		if err == nil || test.want != nil && !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%q: got %v, want %v that says %q", test.names, err, test.want, test.says)
		}
		if got := openFiles(t); got != files {
			t.Errorf("%q: %d files open, want %d", test.names, got, files)
		}
	}
	k.busy = "gpio-keys"
	if _, err := p.Edges(t.Context(), []string{"soc:4", "soc:5"}, falling); !errors.Is(err, drivers.ErrBusy) || !strings.Contains(err.Error(), "gpio-keys") {
		t.Errorf("busy: got %v", err)
	}
}

func TestEdgesComeInOrderWithTheirTimes(t *testing.T) {
	k, p := newFakeKernel(t)
	k.addChip("gpiochip0", "gpiochip0", "soc", 32)
	e := requestEdges(t, p, "soc:5", "soc:4")
	wire := k.line()
	var sent []byte
	for _, b := range [][]byte{
		edgeEvent(time.Hour, 2, 4, 1),
		edgeEvent(time.Hour+time.Millisecond, 2, 5, 2),
		edgeEvent(time.Hour+2*time.Millisecond, 1, 4, 6), // after three that were dropped
		edgeEvent(time.Hour+3*time.Millisecond, 2, 9, 7), // of a line that nobody asked for
		edgeEvent(time.Hour+4*time.Millisecond, 2, 5, 8),
	} {
		sent = append(sent, b...)
	}
	if _, err := wire.events.Write(sent); err != nil {
		t.Fatal(err)
	}
	want := []drivers.Edge{
		{Line: 1, Level: gpio.Low, At: time.Hour},
		{Line: 0, Level: gpio.Low, At: time.Hour + time.Millisecond},
		{Line: 1, Level: gpio.High, At: time.Hour + 2*time.Millisecond},
		{Line: 0, Level: gpio.Low, At: time.Hour + 4*time.Millisecond},
	}
	var got []drivers.Edge
	to := make([]drivers.Edge, 2) // fewer than there are
	for len(got) < len(want) {
		n, err := e.Read(to)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, to[:n]...)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	if e.Lost() != 3 {
		t.Errorf("lost: got %d, want 3", e.Lost())
	}
	if n, err := e.Read(nil); n != 0 || err != nil {
		t.Errorf("Read of nothing: got %d, %v", n, err)
	}
}

func TestEdgesWaits(t *testing.T) {
	k, p := newFakeKernel(t)
	k.addChip("gpiochip0", "gpiochip0", "soc", 32)
	e := requestEdges(t, p, "soc:5", "soc:4")
	to := make([]drivers.Edge, 8)
	if err := e.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Read(to); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("past the deadline: got %v", err)
	}
	if err := e.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { e.Close() })
	if _, err := e.Read(to); !errors.Is(err, os.ErrClosed) {
		t.Errorf("closed: got %v", err)
	}
	wg.Wait()

	e = requestEdges(t, p, "soc:5", "soc:4")
	k.mu.Lock()
	for _, l := range k.lines {
		l.bits = 0b10 // of the second line
	}
	k.mu.Unlock()
	if got, err := e.Sense(); err != nil || !slices.Equal(got, []gpio.Level{gpio.Low, gpio.High}) {
		t.Errorf("Sense: got %v, %v", got, err)
	}
	k.mu.Lock()
	for _, l := range k.lines {
		l.err = unix.ENODEV
		l.events.Close() // stands for a removed chip
	}
	k.mu.Unlock()
	if _, err := e.Sense(); !errors.Is(err, drivers.ErrUnplugged) {
		t.Errorf("Sense of a removed chip: got %v", err)
	}
	if _, err := e.Read(to); !errors.Is(err, drivers.ErrUnplugged) {
		t.Errorf("Read of a removed chip: got %v", err)
	}
}
