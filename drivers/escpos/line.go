package escpos

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/longan-edge/longan/drivers"
)

// line asks the printer on a port. Status bytes do not say which n they answer,
// so an answer that comes too late must not be taken for the next one.
type line struct {
	port    drivers.Serial
	timeout time.Duration
	gap     time.Duration // how long the line is silent before a request
	classes classifier
	owed    time.Time // until then the answer to a request that timed out may come

	noise      int // bytes of the exchange that a printer has no reason to send
	stray, asb uint64
}

// tolerable is how many bytes of noise an answer survives.
const tolerable = 2

// gapCharacters is the silence before a request, in characters of ten bits: an
// automatic status that has begun is over.
const gapCharacters = 5

func newLine(port drivers.Serial, baud int, timeout time.Duration) *line {
	gap := gapCharacters * 10 * time.Second / time.Duration(baud)
	return &line{port: port, timeout: timeout, gap: max(gap, 2*time.Millisecond)}
}

// Why there is no answer to one request. Other errors are of the port.
var (
	errTimeout = errors.New("no answer")
	errBabble  = errors.New("the line is never silent; check baud rate and wiring")
	errNoise   = errors.New("the answers drown in noise; check baud rate and wiring")
)

// ask sends DLE EOT n and returns the answer. One byte of noise in sixteen looks
// like an answer, so where there was noise the printer has to say it twice.
func (l *line) ask(n int) (byte, error) {
	b, noisy, err := l.once(n)
	if err != nil || !noisy {
		return b, err
	}
	again, _, err := l.once(n)
	if err == nil && again != b {
		err = errNoise
	}
	return again, err
}

// once asks one time. The answer is noisy if anything came with it that a
// printer has no reason to send, and errNoise if that was a lot.
func (l *line) once(n int) (b byte, noisy bool, err error) {
	l.noise = 0
	if err := l.settle(); err != nil {
		return 0, false, err
	}
	deadline := time.Now().Add(l.timeout)
	if err := l.port.SetWriteDeadline(deadline); err != nil {
		return 0, false, broken(err)
	}
	if _, err := l.port.Write([]byte{dle, eot, byte(n)}); errors.Is(err, os.ErrDeadlineExceeded) {
		return 0, false, errTimeout
	} else if err != nil {
		return 0, false, broken(err)
	}
	b, err = l.listen(deadline)
	if err != nil {
		return 0, false, err
	}
	surplus, err := l.read(time.Now().Add(l.gap))
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return 0, false, err
	}
	l.noise += len(surplus)
	if l.noise > tolerable {
		return 0, false, errNoise
	}
	return b, l.noise > 0, nil
}

// settle drops what comes until the line is silent and no answer is owed.
func (l *line) settle() error {
	now := time.Now()
	earliest := now
	if l.owed.After(now) {
		earliest = l.owed
	}
	for end := earliest.Add(l.timeout); now.Before(end); now = time.Now() {
		until := now.Add(l.gap)
		if until.Before(earliest) {
			until = earliest
		}
		if _, err := l.read(until); errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return errBabble
}

// listen reads until a status byte or the deadline.
func (l *line) listen(deadline time.Time) (byte, error) {
	for {
		answers, err := l.read(deadline)
		switch {
		case len(answers) > 0:
			l.noise += len(answers) - 1
			return answers[0], nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			l.owed = time.Now().Add(l.timeout)
			return 0, errTimeout
		case err != nil:
			return 0, err
		}
	}
}

// read reads once and returns the status bytes among what came. Its errors are
// os.ErrDeadlineExceeded and those of the port.
func (l *line) read(deadline time.Time) (answers []byte, err error) {
	if err := l.port.SetReadDeadline(deadline); err != nil {
		return nil, broken(err)
	}
	buf := make([]byte, 256)
	n, err := l.port.Read(buf)
	for _, b := range buf[:n] {
		switch l.classes.classify(b) {
		case status:
			answers = append(answers, b)
		case asb:
			l.asb++
		default:
			l.stray++
			if b != xon && b != xoff {
				l.noise++
			}
		}
	}
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		err = broken(err)
	}
	return answers, err
}

// broken wraps an error of the port. The end of a pipe means unplugged.
func broken(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) {
		return fmt.Errorf("serial port: %w", drivers.ErrUnplugged)
	}
	return fmt.Errorf("serial port: %w", err)
}
