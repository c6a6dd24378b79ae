package idreader

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
)

// TypePresented is the type of the event that a card was laid on the reader.
const TypePresented = "idcard.presented"

// Config is what a Reader needs to know. Zero values take the defaults.
type Config struct {
	Mode    drivers.SerialMode // Baud is 115200 by default
	Point   string             // name of the point
	Poll    time.Duration      // between two looks for a card, 1 s by default
	Timeout time.Duration      // for an answer, 1 s by default
	// CountCards: ask whether there is a card, too. Without it the module's
	// status is all that is asked for.
	CountCards bool
}

const (
	defaultBaud    = 115200
	defaultPoll    = time.Second
	defaultTimeout = time.Second
	// misses is how many requests without an answer in a row make the module
	// silent.
	misses = 3
)

// Reader is a module for identity cards on a serial port.
type Reader struct {
	ports drivers.Ports
	port  string
	cfg   Config
}

var _ drivers.Driver = (*Reader)(nil)

// New returns the driver of the module on the named port. It opens nothing.
func New(ports drivers.Ports, port string, cfg Config) *Reader {
	if cfg.Mode.Baud <= 0 {
		cfg.Mode.Baud = defaultBaud
	}
	if cfg.Poll <= 0 {
		cfg.Poll = defaultPoll
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	return &Reader{ports: ports, port: port, cfg: cfg}
}

// Run implements drivers.Driver. The point is Normal while the module says that
// it is well, Fault while it says that it is not, and Unknown when it is silent;
// the error then wraps drivers.ErrSilent.
func (r *Reader) Run(ctx context.Context, emit drivers.Emit) error {
	port, err := r.ports.Serial(ctx, r.port, r.cfg.Mode)
	if err != nil {
		return r.fail(ctx, emit, err)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	open, cancel := context.WithCancel(ctx)
	defer cancel()
	wg.Go(func() {
		<-open.Done()
		port.Close() // also unblocks a read or write when ctx ends
	})
	m := module{port: port, timeout: r.cfg.Timeout}
	ticker := time.NewTicker(r.cfg.Poll)
	defer ticker.Stop()
	missed, lying := 0, false
	for {
		reading, present, err := r.poll(&m)
		switch {
		case errors.Is(err, errLost):
			return r.fail(ctx, emit, err)
		case err != nil:
			if missed++; missed >= misses {
				return r.fail(ctx, emit, err)
			}
		default:
			missed = 0
			if present && !lying {
				reading.Happened = &drivers.Occurrence{Type: TypePresented}
			}
			lying = present
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

// poll asks the module how it is, and where that is wanted whether a card lies on
// it.
func (r *Reader) poll(m *module) (reading drivers.Reading, card bool, err error) {
	answer, err := m.ask(askStatus)
	if err != nil {
		return reading, false, err
	}
	reading = drivers.Reading{Point: r.cfg.Point, State: longan.Normal}
	if answer != resultAlive {
		reading.State, reading.Detail = longan.Fault, "status "+answer.String()
		return reading, false, nil
	}
	if !r.cfg.CountCards {
		return reading, false, nil
	}
	answer, err = m.ask(askCard)
	return reading, err == nil && answer == resultFound, err
}

// fail emits the point as Unknown and returns err, unless ctx has ended.
func (r *Reader) fail(ctx context.Context, emit drivers.Emit, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	err = fmt.Errorf("identity card reader on %s: %w", r.port, err)
	detail := err.Error()
	unknown := drivers.Reading{Point: r.cfg.Point, State: longan.Unknown, Detail: detail[:min(len(detail), longan.MaxLabel)]}
	if err := emit(ctx, unknown); err != nil {
		return err
	}
	return err
}

// module is the module on an open port.
type module struct {
	port    drivers.Serial
	timeout time.Duration
}

// errLost means that the port itself failed.
var errLost = errors.New("the serial port failed")

// silence is how long the line is quiet before a request: an answer that comes
// too late must not be taken for the next one.
const silence = 20 * time.Millisecond

// ask sends a request and returns the status bytes of its answer.
func (m *module) ask(r request) (result, error) {
	if err := m.settle(); err != nil {
		return result{}, err
	}
	deadline := time.Now().Add(m.timeout)
	if err := m.port.SetWriteDeadline(deadline); err != nil {
		return result{}, lost(err)
	}
	if _, err := m.port.Write(r.frame()); errors.Is(err, os.ErrDeadlineExceeded) {
		return result{}, errors.New("the serial port takes no data")
	} else if err != nil {
		return result{}, lost(err)
	}
	var received [256]byte // of any card no more than this is ever held, and not for long
	defer clear(received[:])
	n := 0
	for {
		got, err := m.read(received[n:], deadline)
		n += got
		answer, wrong := parse(received[:n])
		if wrong == nil {
			return answer, nil
		}
		if errors.Is(err, os.ErrDeadlineExceeded) || n == len(received) {
			if errors.Is(wrong, errMore) && n == 0 {
				return result{}, drivers.ErrSilent
			}
			if errors.Is(wrong, errMore) {
				wrong = errors.New("no answer among the bytes received: check the baud rate")
			}
			return result{}, wrong
		}
		if err != nil {
			return result{}, err
		}
	}
}

// settle drops what comes until the line is silent.
func (m *module) settle() error {
	var buf [256]byte
	defer clear(buf[:])
	for end := time.Now().Add(m.timeout); time.Now().Before(end); {
		_, err := m.read(buf[:], time.Now().Add(silence))
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return errors.New("the line is never silent: check the baud rate and wiring")
}

// read reads until the deadline. Its errors are os.ErrDeadlineExceeded and those
// that wrap errLost.
func (m *module) read(buf []byte, deadline time.Time) (int, error) {
	if err := m.port.SetReadDeadline(deadline); err != nil {
		return 0, lost(err)
	}
	n, err := m.port.Read(buf)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return n, lost(err)
	}
	return n, err
}

// lost wraps an error of the port. The end of a pipe means unplugged.
func lost(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) {
		err = drivers.ErrUnplugged
	}
	return fmt.Errorf("%w: %w", errLost, err)
}
