package peripheral

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/longan-edge/longan/drivers/porttest"
)

// WiegandConfig describes a simulated card reader on two wires.
type WiegandConfig struct {
	D0, D1   *porttest.Line
	Pulse    time.Duration // a wire is low for this long; 50 µs by default
	Interval time.Duration // between the beginnings of two pulses; 1 ms by default
	Rest     time.Duration // after a frame; 100 ms by default
}

// WiegandReader is a card reader with the Wiegand interface (SIA AC-01): a pulse
// on D0 is a zero, one on D1 a one. Its faults are those of other devices, read
// as a reader has them: Silent sends nothing, Babbling pulses at random,
// HalfFrame stops in the middle, WrongCRC has one bit wrong, Late comes late.
type WiegandReader struct {
	faults
	cfg    WiegandConfig
	frames chan string
}

// NewWiegandReader returns a reader at rest: both wires are high.
func NewWiegandReader(cfg WiegandConfig) *WiegandReader {
	for _, d := range []struct {
		of *time.Duration
		is time.Duration
	}{{&cfg.Pulse, 50 * time.Microsecond}, {&cfg.Interval, time.Millisecond}, {&cfg.Rest, 100 * time.Millisecond}} {
		if *d.of <= 0 {
			*d.of = d.is
		}
	}
	cfg.D0.Set(true)
	cfg.D1.Set(true)
	return &WiegandReader{cfg: cfg, frames: make(chan string, 64)}
}

// Card sends the bits of a card, a text of zeros and ones, parity included. A
// reader that has 64 frames waiting drops it.
func (r *WiegandReader) Card(bits string) {
	select {
	case r.frames <- bits:
	default:
	}
}

// Key presses a key, 0 to 9, with 10 for * and 11 for #, as a frame of four bits.
func (r *WiegandReader) Key(key int) {
	bits := make([]byte, 4)
	for i := range bits {
		bits[i] = '0' + byte(key>>(3-i)&1)
	}
	r.Card(string(bits))
}

// Both pulls both wires down at once, as a short between them does.
func (r *WiegandReader) Both() { r.Card("x") }

// Serve sends what is held to the reader until ctx ends, when it returns nil.
func (r *WiegandReader) Serve(ctx context.Context) error {
	wires := &wiegandWires{r: r, ctx: ctx}
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { r.babble(ctx, wires) })
	for {
		select {
		case <-ctx.Done():
			return nil
		case bits := <-r.frames:
			if r.reply(ctx, wires, []byte(bits)) != nil || !wires.pause(r.cfg.Rest) {
				return nil // ctx ended
			}
		}
	}
}

// wiegandWires turns bytes into pulses: the lowest bit of each is one.
type wiegandWires struct {
	r   *WiegandReader
	ctx context.Context
	mu  sync.Mutex
}

var _ io.Writer = (*wiegandWires)(nil)

func (w *wiegandWires) Write(bits []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, bit := range bits {
		cfg := w.r.cfg
		zero, one := bit&1 == 0, bit&1 == 1
		if bit == 'x' {
			zero, one = true, true
		}
		if zero {
			cfg.D0.Set(false)
		}
		if one {
			cfg.D1.Set(false)
		}
		if !w.pause(cfg.Pulse) {
			return i, w.ctx.Err()
		}
		cfg.D0.Set(true)
		cfg.D1.Set(true)
		if !w.pause(cfg.Interval - cfg.Pulse) {
			return i, w.ctx.Err()
		}
	}
	return len(bits), nil
}

// pause waits, and reports false when ctx ended.
func (w *wiegandWires) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-w.ctx.Done():
		return false
	}
}
