package ups

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/longan-edge/longan/drivers"
)

// line asks the UPS on a port.
type line struct {
	port    drivers.Serial
	timeout time.Duration
	gap     time.Duration // how long the line is silent before a request
}

const (
	// maxAnswer is more than any answer has.
	maxAnswer = 128
	// gapCharacters is the silence before a request, in characters of ten bits.
	gapCharacters = 5
)

func newLine(port drivers.Serial, baud int, timeout time.Duration) *line {
	gap := gapCharacters * 10 * time.Second / time.Duration(baud)
	return &line{port: port, timeout: timeout, gap: max(gap, 2*time.Millisecond)}
}

// Why there is no answer to one request. Other errors are of the port.
var (
	errTimeout = errors.New("no answer")
	errBabble  = errors.New("the line is never silent; check baud rate and wiring")
	errCut     = errors.New("the answer is cut short")
)

// ask sends a request and returns the answer without its carriage return.
func (l *line) ask(request string) (string, error) {
	if err := l.settle(); err != nil {
		return "", err
	}
	deadline := time.Now().Add(l.timeout)
	if err := l.port.SetWriteDeadline(deadline); err != nil {
		return "", broke(err)
	}
	if _, err := l.port.Write([]byte(request + "\r")); errors.Is(err, os.ErrDeadlineExceeded) {
		return "", errTimeout
	} else if err != nil {
		return "", broke(err)
	}
	var answer []byte
	for {
		b, err := l.read(deadline)
		answer = append(answer, b...)
		if text, _, ok := bytes.Cut(answer, []byte{'\r'}); ok {
			return string(text), nil
		}
		switch {
		case len(answer) > maxAnswer:
			return "", errBabble
		case errors.Is(err, os.ErrDeadlineExceeded):
			if len(answer) > 0 {
				return "", errCut
			}
			return "", errTimeout
		case err != nil:
			return "", err
		}
	}
}

// settle drops what comes until the line is silent. An answer that comes too late
// is dropped here, or taken for the next one's: of Q1 it is as good, and F and I
// have another form.
func (l *line) settle() error {
	end := time.Now().Add(l.timeout)
	for time.Now().Before(end) {
		_, err := l.read(time.Now().Add(l.gap))
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return errBabble
}

// read reads once. Its errors are os.ErrDeadlineExceeded and those of the port.
func (l *line) read(deadline time.Time) ([]byte, error) {
	if err := l.port.SetReadDeadline(deadline); err != nil {
		return nil, broke(err)
	}
	buf := make([]byte, 128)
	n, err := l.port.Read(buf)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		err = broke(err)
	}
	return buf[:n], err
}

// broke wraps an error of the port. The end of a pipe means unplugged.
func broke(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) {
		return fmt.Errorf("serial port: %w", drivers.ErrUnplugged)
	}
	return fmt.Errorf("serial port: %w", err)
}
