package wiegand

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"periph.io/x/conn/v3/gpio"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/drivers"
	"github.com/longan-edge/longan/drivers/internal/card"
)

// TypeMisread is what happens when a reader sent something that is no card, at
// most once every misreadEvery.
const TypeMisread = "access.misread"

// misreadEvery bounds how often misreads are told: interference makes many.
const misreadEvery = time.Minute

// Defaults for what is left zero.
const (
	DefaultPoll = time.Second
	DefaultGap  = 30 * time.Millisecond
)

// Config is what a Reader needs to know. Zero values take the defaults.
type Config struct {
	Point  string // the reader's own point, where its cards and keys happen
	D0, D1 string // names of the lines for [drivers.EdgePorts]
	// Pull is the bias of both lines: PullUp where the interface has no resistors
	// of its own.
	Pull gpio.Pull
	// CardKey is the key that card numbers are hashed with, of 16 bytes or more.
	// It is the board's own and never leaves it.
	CardKey []byte
	// Keypad: the reader has keys, sent as frames of 4 or 8 bits.
	Keypad bool
	// Gap is the rest that ends a frame; it is longer than the longest interval
	// between two bits (20 ms).
	Gap time.Duration
	// Poll is the time between two looks at the levels, and between two readings.
	Poll time.Duration
}

// Reader is one reader on two lines.
type Reader struct {
	ports drivers.Ports
	cfg   Config
	cards *card.Hasher
}

var _ drivers.Driver = (*Reader)(nil)

// New returns the driver of a reader, or what is wrong with the configuration.
// It opens nothing.
func New(ports drivers.Ports, cfg Config) (*Reader, error) {
	cards, err := card.NewHasher(cfg.CardKey)
	switch {
	case err != nil:
		return nil, fmt.Errorf("wiegand: %w", err)
	case cfg.Point == "":
		return nil, errors.New("wiegand: the reader's point has no name")
	case cfg.D0 == "" || cfg.D1 == "" || cfg.D0 == cfg.D1:
		return nil, fmt.Errorf("wiegand reader %s: want two lines, D0 and D1", cfg.Point)
	}
	if cfg.Gap <= 0 {
		cfg.Gap = DefaultGap
	}
	if cfg.Poll <= 0 {
		cfg.Poll = DefaultPoll
	}
	cfg.CardKey = nil // cards has it
	return &Reader{ports: ports, cfg: cfg, cards: cards}, nil
}

// Run implements drivers.Driver. It fails with an error that wraps
// errors.ErrUnsupported where the ports can't put the edges of both lines in one
// order. A line that can't be had or read is emitted as Unknown and ends Run.
func (r *Reader) Run(ctx context.Context, emit drivers.Emit) error {
	lines, err := r.request(ctx)
	if err != nil {
		return r.unknown(ctx, emit, err)
	}
	defer lines.Close()
	// Closing the lines is what ends a wait for an edge. A second Close only fails.
	defer context.AfterFunc(ctx, func() { lines.Close() })()
	w := &watch{Reader: r, lines: lines, decoder: decoder{gap: r.cfg.Gap}, emit: emit}
	return r.unknown(ctx, emit, w.run(ctx))
}

func (r *Reader) request(ctx context.Context) (drivers.Edges, error) {
	ports, ok := r.ports.(drivers.EdgePorts)
	if !ok {
		return nil, fmt.Errorf("%w: these ports can't say in which order two lines change", errors.ErrUnsupported)
	}
	return ports.Edges(ctx, []string{r.cfg.D0, r.cfg.D1}, drivers.EdgeMode{Pull: r.cfg.Pull, Edge: gpio.FallingEdge})
}

// emitError marks an error of emit, after which nothing is emitted any more.
type emitError struct{ error }

func (e emitError) Unwrap() error { return e.error }

// unknown emits that nothing is known because of cause, and returns cause.
func (r *Reader) unknown(ctx context.Context, emit drivers.Emit, cause error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if e, ok := errors.AsType[emitError](cause); ok {
		return e.error
	}
	cause = fmt.Errorf("wiegand reader %s: %w", r.cfg.Point, cause)
	detail := cause.Error()
	detail = detail[:min(len(detail), longan.MaxLabel)]
	if err := emit(ctx, drivers.Reading{Point: r.cfg.Point, Detail: detail}); err != nil {
		return err
	}
	return cause
}

// watch is one Run.
type watch struct {
	*Reader
	lines drivers.Edges
	decoder
	emit drivers.Emit

	due      time.Time // of the next look at the levels
	state    longan.PointState
	held     card.Held
	low      string // the wire that is low at rest
	noisy    bool   // pulses without end since the last look
	misreads uint64
	last     reason
	lastBits int
	told     uint64    // misreads that TypeMisread has told
	toldAt   time.Time // when it did
	lost     uint64    // edges, as of the last look
}

// run follows the lines until they fail, or are closed.
func (w *watch) run(ctx context.Context) error {
	edges := make([]drivers.Edge, 64)
	for again := false; ; {
		if late := time.Since(w.due); late >= 0 && !w.open() || late >= w.cfg.Poll {
			if err := w.look(ctx); err != nil {
				return err
			}
		}
		deadline := w.due
		switch {
		case w.open() && again:
			deadline = time.Now().Add(min(w.gap, DefaultGap))
		case w.open():
			deadline = time.Now().Add(w.gap)
		}
		if err := w.lines.SetReadDeadline(deadline); err != nil {
			return err
		}
		n, err := w.lines.Read(edges)
		if err := w.take(ctx, edges[:n]); err != nil {
			return err
		}
		switch {
		case err == nil:
			again = false
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return err
		case w.open() && !again:
			again = true // a stalled program finds the deadline passed and edges waiting
		case w.open():
			again = false
			if f, ok := w.end(); ok {
				if err := w.frame(ctx, f); err != nil {
					return err
				}
			}
		}
	}
}

// take takes edges and what they end.
func (w *watch) take(ctx context.Context, edges []drivers.Edge) error {
	lost := w.lines.Lost()
	missing := lost != w.lost
	w.lost = lost
	for _, e := range edges {
		f, ok := w.pulse(e.Line, e.At)
		if missing { // before this edge, in the frame before or in this one
			f.reason = lostEdges
			w.blame(lostEdges)
			missing = false
		}
		if !ok {
			continue
		}
		if err := w.frame(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// frame emits what a frame is.
func (w *watch) frame(ctx context.Context, f frame) error {
	key, right := f.key()
	switch {
	case f.reason != noReason:
		return w.misread(ctx, f, f.reason)
	case f.n == 26 || f.n == 34:
		held := w.cards.Card(f.data, f.n, card.Check(f.data, f.n))
		clear(f.data)
		return w.presented(ctx, held)
	case w.cfg.Keypad && key && right:
		clear(f.data)
		return w.tell(ctx, card.Keys(1))
	case w.cfg.Keypad && key:
		return w.misread(ctx, f, badKey)
	}
	return w.misread(ctx, f, badBits)
}

// presented emits a card, once for as long as it is held to the reader.
func (w *watch) presented(ctx context.Context, o *drivers.Occurrence) error {
	if w.held.Still(o, time.Now()) {
		return nil
	}
	if err := w.tell(ctx, o); err != nil {
		return err
	}
	w.held.Told(o, time.Now())
	return nil
}

// misread counts what is no card, and tells of it now and then.
func (w *watch) misread(ctx context.Context, f frame, why reason) error {
	clear(f.data)
	w.misreads++
	w.last, w.lastBits, w.noisy = why, f.n, w.noisy || why == babbling
	now := time.Now()
	if !w.toldAt.IsZero() && now.Sub(w.toldAt) < misreadEvery {
		return nil
	}
	h := &drivers.Occurrence{
		Type: TypeMisread,
		Data: fmt.Appendf(nil, `{"reason":"%s","bits":%d,"count":%d}`, why, f.n, w.misreads-w.told),
	}
	w.told, w.toldAt = w.misreads, now
	return w.tell(ctx, h)
}

// tell emits the reader's point, and what happened there.
func (w *watch) tell(ctx context.Context, h *drivers.Occurrence) error {
	state := w.state
	if state == longan.Unknown {
		state = longan.Normal // it sends
	}
	if err := w.emit(ctx, drivers.Reading{Point: w.cfg.Point, State: state, Detail: w.detail(), Happened: h}); err != nil {
		return emitError{err}
	}
	return nil
}

// look reads the levels between two frames and emits the reader's point. Both
// wires are high at rest; one that is low twice in a row is shorted, or the
// reader pulls it down.
func (w *watch) look(ctx context.Context) error {
	levels, err := w.lines.Sense()
	if err != nil {
		return err
	}
	w.due = time.Now().Add(w.cfg.Poll)
	low := ""
	switch d0, d1 := levels[0] == gpio.Low, levels[1] == gpio.Low; {
	case w.noisy: // a pulse tells nothing
	case d0 && d1:
		low = "D0, D1"
	case d0:
		low = "D0"
	case d1:
		low = "D1"
	}
	if low != "" && low != w.low {
		w.low = low // it may be a pulse
		w.due = time.Now().Add(w.cfg.Poll / 4)
		return nil
	}
	w.low, w.state = low, longan.Normal
	if low != "" || w.noisy {
		w.state = longan.Fault
	}
	err = w.tell(ctx, nil)
	w.noisy = false
	return err
}

// detail says what people should know who look for a bad cable.
func (w *watch) detail() string {
	switch {
	case w.state == longan.Fault && w.low == "":
		return "脉冲不停：干扰，或接线不良 · pulses without end: interference, or bad wiring"
	case w.state == longan.Fault:
		return fmt.Sprintf("%s 一直为低：短路，或读卡器没电 · %s stays low: a short, or the reader has no power", w.low, w.low)
	case w.misreads > 0:
		return fmt.Sprintf("误读 %d（最近：%s，%d 位）· misreads %d (last: %s, %d bits)",
			w.misreads, w.last, w.lastBits, w.misreads, w.last, w.lastBits)
	}
	return ""
}
