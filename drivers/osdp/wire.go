package osdp

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/longan-edge/longan/drivers"
)

// wire is the panel's end of an RS-485 line. Only one goroutine uses it at a time.
type wire struct {
	port drivers.Serial
	char time.Duration // the time of one character

	cause error // why the port failed; guarded by Line.mu
}

// errLost means that the port itself failed, so nothing more can be exchanged.
var errLost = errors.New("the serial port failed")

var (
	errEcho   = fmt.Errorf("only the echo of the command came back: %w", drivers.ErrSilent)
	errBabble = errors.New("the line is never silent: a reader babbles, or two panels share it")
)

// longest is the frame that a reader is given time for, in characters; those
// that answer what this panel asks are shorter.
const longest = 256

func newWire(port drivers.Serial, mode drivers.SerialMode) *wire {
	const bits = 10 // start, eight data bits, one stop bit
	return &wire{port: port, char: bits * time.Second / time.Duration(mode.Baud)}
}

// silence is what a sender waits for before it sends: two characters; 5.7. A
// read needs a millisecond to find that there is nothing.
func (w *wire) silence() time.Duration { return max(2*w.char, time.Millisecond) }

// exchange sends a frame to the reader at address and returns the first answer
// that wants takes. The reader may take timeout to begin it.
func (w *wire) exchange(sent []byte, address byte, timeout time.Duration, wants func(*frame) bool) (*frame, error) {
	if err := w.settle(timeout); err != nil {
		return nil, err
	}
	marked := append([]byte{mark}, sent...)
	deadline := time.Now().Add(timeout + time.Duration(len(marked))*w.char)
	if err := w.port.SetWriteDeadline(deadline); err != nil {
		return nil, lost(err)
	}
	if _, err := w.port.Write(marked); errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, errors.New("the serial port takes no data")
	} else if err != nil {
		return nil, lost(err)
	}
	return w.receive(sent, address, deadline, wants)
}

// settle drops what comes until the line is silent.
func (w *wire) settle(patience time.Duration) error {
	end := time.Now().Add(patience)
	buf := make([]byte, longest)
	for {
		now := time.Now()
		if now.After(end) {
			return errBabble
		}
		if _, err := w.read(buf, now.Add(w.silence())); errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// receive collects bytes until they hold the answer or the deadline passes. Once
// something has come, what follows is given the time that it takes.
func (w *wire) receive(sent []byte, address byte, deadline time.Time, wants func(*frame) bool) (*frame, error) {
	last := deadline.Add(longest * w.char)
	var received []byte
	buf := make([]byte, longest)
	for {
		n, err := w.read(buf, deadline)
		if received = append(received, buf[:n]...); len(received) > 4*MaxFrame {
			received = received[len(received)-2*MaxFrame:] // a babbling reader
		}
		if n > 0 {
			if f, _ := scan(received, address, true, wants); f != nil {
				return f, nil
			}
			// A character may be 20 ms late (5.7), and an adaptor hands them on in lumps.
			if more := time.Now().Add(max(20*time.Millisecond, 32*w.char)); more.After(deadline) && more.Before(last) {
				deadline = more
			}
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			f, bad := scan(received, address, false, wants)
			if f != nil {
				return f, nil
			}
			return nil, diagnose(sent, received, bad)
		}
		if err != nil {
			return nil, err
		}
	}
}

// diagnose says what was received instead of the answer. It doesn't show it: it
// may hold a card's number.
func diagnose(sent, received []byte, bad error) error {
	rest := received
	for len(rest) > 0 && rest[0] == mark {
		rest = rest[1:]
	}
	switch {
	case len(received) == 0:
		return drivers.ErrSilent
	case string(rest) == string(sent):
		return errEcho
	case errors.Is(bad, errChecksum):
		return fmt.Errorf("%w: interference, or two readers with one address", bad)
	case !errors.Is(bad, errMore):
		return bad
	}
	return fmt.Errorf("no answer in %d bytes: noise, or a wrong baud rate", len(received))
}

// read reads until the deadline. Its errors are os.ErrDeadlineExceeded and
// those that wrap errLost.
func (w *wire) read(buf []byte, deadline time.Time) (int, error) {
	if err := w.port.SetReadDeadline(deadline); err != nil {
		return 0, lost(err)
	}
	n, err := w.port.Read(buf)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return n, lost(err)
	}
	return n, err
}

// lost wraps an error of the port. The end of a pipe means an unplugged device.
func lost(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) {
		err = drivers.ErrUnplugged
	}
	return fmt.Errorf("%w: %w", errLost, err)
}
