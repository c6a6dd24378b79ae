package modbus

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/longan-edge/longan/drivers"
)

// bus is the master on one open port. Only one goroutine uses it at a time.
type bus struct {
	port drivers.Serial
	char time.Duration // the time of one character on the line

	echo bool      // the line returns what is sent
	owed time.Time // until then the answer to last may still come
	last []byte    // the request frame before
}

// errLost means that the port itself failed, so nothing more can be exchanged.
var errLost = errors.New("the serial port failed")

func newBus(port drivers.Serial, mode drivers.SerialMode) *bus {
	bits := 10 // start, eight data bits, one stop bit
	if mode.Parity == drivers.OddParity || mode.Parity == drivers.EvenParity {
		bits++
	}
	if mode.StopBits == 2 {
		bits++
	}
	char := time.Duration(bits) * time.Second / time.Duration(mode.Baud)
	return &bus{port: port, char: char}
}

// silence is what separates two frames: 3.5 characters, and 1.75 ms at the
// rates above 19200; "Modbus over serial line" 2.5.1.1.
func (b *bus) silence() time.Duration { return max(b.char*7/2, 1750*time.Microsecond) }

// try sends r once and returns the PDU of its answer. timeout is for the answer,
// without the time of its characters.
func (b *bus) try(r request, timeout time.Duration) ([]byte, error) {
	sent := r.frame()
	if err := b.settle(sent, timeout); err != nil {
		return nil, err
	}
	transmission := time.Duration(len(sent)+r.frameLength()) * b.char
	if b.echo {
		transmission += time.Duration(len(sent)) * b.char
	}
	deadline := time.Now().Add(timeout + transmission)
	b.last = sent
	if err := b.port.SetWriteDeadline(deadline); err != nil {
		return nil, lost(err)
	}
	if _, err := b.port.Write(sent); errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, errors.New("the serial port takes no data")
	} else if err != nil {
		return nil, lost(err)
	}
	return b.receive(r, deadline, timeout)
}

// settle waits until the line is silent, dropping what comes. After a timeout
// the late answer must not be taken for that of a different request, so then it
// listens until none can come any more.
func (b *bus) settle(sent []byte, timeout time.Duration) error {
	earliest := time.Now()
	if b.owed.After(earliest) && !bytes.Equal(sent, b.last) {
		earliest = b.owed
	}
	end := earliest.Add(timeout)
	buf := make([]byte, MaxFrame)
	for {
		now := time.Now()
		if now.After(end) {
			return errors.New("the line is never silent: a slave babbles, or two masters share it")
		}
		until := now.Add(b.silence())
		if until.Before(earliest) {
			until = earliest
		}
		if _, err := b.read(buf, until); errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// receive collects bytes until they hold the answer or the deadline passes.
func (b *bus) receive(r request, deadline time.Time, timeout time.Duration) ([]byte, error) {
	var received []byte
	buf := make([]byte, MaxFrame)
	for {
		n, err := b.read(buf, deadline)
		if received = append(received, buf[:n]...); len(received) > 4*MaxFrame {
			received = received[len(received)-2*MaxFrame:] // a babbling slave
		}
		if n > 0 {
			pdu, sawEcho, found := r.scan(received, n, b.echo)
			if !errors.Is(found, errMore) {
				b.echo = sawEcho || b.echo && r.echoLike()
				return pdu, found
			}
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			b.owed = time.Now().Add(timeout)
			return nil, r.diagnose(received)
		}
		if err != nil {
			return nil, err
		}
	}
}

// read reads until the deadline. Its errors are os.ErrDeadlineExceeded and
// those that wrap errLost.
func (b *bus) read(buf []byte, deadline time.Time) (int, error) {
	if err := b.port.SetReadDeadline(deadline); err != nil {
		return 0, lost(err)
	}
	n, err := b.port.Read(buf)
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
