// Package scanner counts what bar code and QR code readers with a serial port
// read: at a kiosk, a queue machine, a service window. A code may be a person's,
// so it never leaves the driver: only its keyed hash and its length do, and are
// an event each.
//
// # Wire
//
// There is no standard for the serial side of these readers. What they have in
// common: each code is sent as it is, with CR, LF or both behind it as a suffix,
// or with none. A code thus ends at a CR or LF, or where the line was silent for
// 100 ms; a reader sends one without pauses. 9600 8N1 is the usual setting.
//
// A reader says nothing while nobody holds a code to it, so that its port is open
// is all that can be known: the point is Normal as long as it is.
package scanner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/drivers"
	"github.com/longan-edge/longan/drivers/internal/card"
)

// Config is what a Scanner needs to know. Zero values take the defaults.
type Config struct {
	Mode  drivers.SerialMode // Baud is 9600 by default
	Point string             // name of the point
	Key   []byte             // for the hashes, 16 bytes or more; it stays on the board
	Idle  time.Duration      // the silence that ends a code without a suffix, 100 ms by default
}

const (
	defaultBaud = 9600
	defaultIdle = 100 * time.Millisecond
	// MaxCode is the length of the longest code, in bytes: the largest QR code
	// holds 2,953. What is longer is no code, but another rate or a stuck line.
	MaxCode = 4096
	// aliveEvery is how often the driver says that its port is open.
	aliveEvery = 5 * time.Second
)

// Scanner is a reader on a serial port.
type Scanner struct {
	ports drivers.Ports
	port  string
	cfg   Config
}

var _ drivers.Driver = (*Scanner)(nil)

// New returns the driver of the reader on the named port. It opens nothing; a
// configuration that can't work is reported by Run.
func New(ports drivers.Ports, port string, cfg Config) *Scanner {
	if cfg.Mode.Baud <= 0 {
		cfg.Mode.Baud = defaultBaud
	}
	if cfg.Idle <= 0 {
		cfg.Idle = defaultIdle
	}
	return &Scanner{ports: ports, port: port, cfg: cfg}
}

// Run implements drivers.Driver. A code counts once emit has returned nil; what
// comes meanwhile waits in the UART's buffer.
func (s *Scanner) Run(ctx context.Context, emit drivers.Emit) error {
	hasher, err := card.NewHasher(s.cfg.Key)
	if err != nil {
		return s.fail(ctx, emit, err)
	}
	port, err := s.ports.Serial(ctx, s.port, s.cfg.Mode)
	if err != nil {
		return s.fail(ctx, emit, err)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	open, cancel := context.WithCancel(ctx)
	defer cancel()
	wg.Go(func() {
		<-open.Done()
		port.Close() // also unblocks a read when ctx ends
	})
	return s.serve(ctx, port, hasher, emit)
}

func (s *Scanner) serve(ctx context.Context, port drivers.Serial, hasher *card.Hasher, emit drivers.Emit) error {
	in := &splitter{}
	defer in.forget()
	buf := make([]byte, 512)
	defer clear(buf)
	if err := emit(ctx, s.open("")); err != nil {
		return err
	}
	for {
		wait := aliveEvery
		if in.begun() {
			wait = s.cfg.Idle
		}
		if err := port.SetReadDeadline(time.Now().Add(wait)); err != nil {
			return s.fail(ctx, emit, broken(err))
		}
		n, err := port.Read(buf)
		for _, b := range buf[:n] {
			if in.take(b) {
				if err := s.scanned(ctx, in, hasher, emit); err != nil {
					return err
				}
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded) && in.begun():
			if err := s.scanned(ctx, in, hasher, emit); err != nil {
				return err
			}
		case errors.Is(err, os.ErrDeadlineExceeded):
			if err := emit(ctx, s.open("")); err != nil {
				return err
			}
		default:
			return s.fail(ctx, emit, broken(err))
		}
	}
}

// scanned emits the code that has ended.
func (s *Scanner) scanned(ctx context.Context, in *splitter, hasher *card.Hasher, emit drivers.Emit) error {
	defer in.forget()
	if in.tooLong {
		return emit(ctx, s.open(fmt.Sprintf("more than %d bytes without an end: check the baud rate", MaxCode)))
	}
	r := s.open(fmt.Sprintf("a code of %d bytes", len(in.code)))
	r.Happened = hasher.Code(in.code)
	return emit(ctx, r)
}

func (s *Scanner) open(detail string) drivers.Reading {
	return drivers.Reading{Point: s.cfg.Point, State: longan.Normal, Detail: detail}
}

// fail emits the point as Unknown and returns err, unless ctx has ended.
func (s *Scanner) fail(ctx context.Context, emit drivers.Emit, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	err = fmt.Errorf("scanner on %s: %w", s.port, err)
	detail := err.Error()
	r := drivers.Reading{Point: s.cfg.Point, State: longan.Unknown, Detail: detail[:min(len(detail), longan.MaxLabel)]}
	if err := emit(ctx, r); err != nil {
		return err
	}
	return err
}

// broken wraps an error of the port. The end of a pipe means unplugged.
func broken(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) {
		return fmt.Errorf("serial port: %w", drivers.ErrUnplugged)
	}
	return fmt.Errorf("serial port: %w", err)
}

// splitter divides what comes into codes.
type splitter struct {
	code    []byte
	tooLong bool // until its end
}

// begun reports whether there is the beginning of a code.
func (s *splitter) begun() bool { return len(s.code) > 0 || s.tooLong }

// take takes a byte and reports whether a code has ended with it.
func (s *splitter) take(b byte) (ended bool) {
	switch {
	case b == '\r' || b == '\n':
		return s.begun() // the LF behind a CR ends nothing
	case s.tooLong:
	case len(s.code) == MaxCode:
		clear(s.code)
		s.code, s.tooLong = s.code[:0], true
	default:
		s.code = append(s.code, b)
	}
	return false
}

// forget leaves nothing of the code in memory.
func (s *splitter) forget() {
	clear(s.code[:cap(s.code)])
	s.code, s.tooLong = s.code[:0], false
}
