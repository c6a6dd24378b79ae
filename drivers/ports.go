package drivers

import (
	"context"
	"io"
	"time"

	"periph.io/x/conn/v3/gpio"
)

// Ports gives drivers their way to the hardware: the board's real ports
// (drivers/hw), pseudo-terminals, or fakes in memory (drivers/porttest).
// Terminal labels were resolved before: name is what the board profile says, a
// device path for a UART and "chip-label:offset" or a line's name for GPIO.
type Ports interface {
	// Serial opens a UART for this driver alone. Errors wrap ErrNoPort or
	// ErrBusy where that is the cause.
	Serial(ctx context.Context, name string, mode SerialMode) (Serial, error)
	// Line requests a GPIO line for this driver alone.
	Line(ctx context.Context, name string, mode LineMode) (Line, error)
}

// Serial is an open UART. Its deadlines work as those of net.Conn, so either
// end of net.Pipe is one: a Read or Write past its deadline fails with
// os.ErrDeadlineExceeded, and nothing else does. A Read or Write on a device
// that is gone fails at once with an error that wraps ErrUnplugged (io.EOF and
// io.ErrClosedPipe mean the same). Close unblocks both.
type Serial interface {
	io.ReadWriteCloser
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// Parity of a UART.
type Parity byte

// The parities that tarm/serial knows.
const (
	NoParity   Parity = 'N'
	OddParity  Parity = 'O'
	EvenParity Parity = 'E'
)

// SerialMode is how a UART is opened. Eight data bits, no flow control.
type SerialMode struct {
	Baud     int    // bits per second
	Parity   Parity // zero is NoParity
	StopBits int    // 1 or 2; zero is 1
	RS485    bool   // let the kernel switch the direction where the UART can
}

// LineMode is how a GPIO line is requested.
type LineMode struct {
	Output  bool
	Initial gpio.Level // of an output, set together with the direction: no pulse
	// Keep: a line that is an output already keeps its level, whoever set it, and
	// Initial is for one that is none. A relay holds through a restart so.
	Keep bool
	Pull gpio.Pull // of an input
	// Debounce asks the kernel to suppress shorter changes; zero leaves it to
	// the driver, who must not count on it.
	Debounce time.Duration
}

// Line is a requested GPIO line: a periph pin, plus what periph's interface
// can't say. For an input, Sense is the truth and an edge only a hint to look.
type Line interface {
	gpio.PinIO
	// Sense reads the level; unlike Read it can fail, and a failed read is
	// Unknown, never Low. On an output it returns what was last set.
	Sense() (gpio.Level, error)
	// Lost returns how many edges the kernel had to drop since the request.
	Lost() uint64
	// Close gives the line back. It unblocks WaitForEdge.
	Close() error
}
