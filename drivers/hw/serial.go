package hw

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"syscall"
	"time"
	"unsafe"

	"github.com/tarm/serial"
	"golang.org/x/sys/unix"

	"github.com/longan-edge/longan/drivers"
)

// bauds are the rates that tarm/serial knows.
var bauds = [...]int{50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 9600, 19200, 38400,
	57600, 115200, 230400, 460800, 500000, 576000, 921600, 1000000, 1152000, 1500000,
	2000000, 2500000, 3000000, 3500000, 4000000}

// Serial opens the UART at the device path name, for this process alone, and
// drops what came in before. Its errors wrap ErrNoPort or ErrBusy where that is
// the cause.
//
// Close of the port waits for the UART to send what was written, bounded by the
// kernel's closing_wait (30 s); a pending Read or Write fails at once.
func (p *Ports) Serial(ctx context.Context, name string, mode drivers.SerialMode) (drivers.Serial, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	config, err := serialConfig(name, mode)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	f, err := os.OpenFile(name, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, openError(err))
	}
	port := &serialPort{file: f, name: name}
	if err := port.setUp(config); err != nil {
		f.Close()
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	if mode.RS485 {
		err := port.control(switchDirection)
		// Once is enough: a port whose module fails is opened every few seconds.
		if _, said := p.direction.LoadOrStore(name, true); err != nil && !said {
			p.log.Info("kernel does not switch the RS-485 direction, the transceiver has to", "port", name, "err", err)
		}
	}
	return port, nil
}

func serialConfig(name string, mode drivers.SerialMode) (*serial.Config, error) {
	if !slices.Contains(bauds[:], mode.Baud) {
		return nil, fmt.Errorf("baud %d: want one of %v", mode.Baud, bauds)
	}
	c := &serial.Config{Name: name, Baud: mode.Baud, ReadTimeout: 100 * time.Millisecond}
	switch mode.Parity {
	case 0, drivers.NoParity:
		c.Parity = serial.ParityNone
	case drivers.OddParity:
		c.Parity = serial.ParityOdd
	case drivers.EvenParity:
		c.Parity = serial.ParityEven
	default:
		return nil, fmt.Errorf("parity %q: want N, O or E", mode.Parity)
	}
	switch mode.StopBits {
	case 0, 1:
		c.StopBits = serial.Stop1
	case 2:
		c.StopBits = serial.Stop2
	default:
		return nil, fmt.Errorf("%d stop bits: want 1 or 2", mode.StopBits)
	}
	return c, nil
}

func openError(err error) error {
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENOTDIR):
		return fmt.Errorf("%w: %w", drivers.ErrNoPort, bare(err))
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("%w: %w", drivers.ErrBusy, bare(err))
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("%w: the user must be in the group that owns it, dialout for serial ports, gpio for lines", bare(err))
	}
	return bare(err)
}

// bare returns the error number in err: callers name the path themselves.
func bare(err error) error {
	if no, ok := errors.AsType[syscall.Errno](err); ok {
		return no
	}
	return err
}

// serialPort is an open UART.
type serialPort struct {
	file *os.File
	name string
}

// setUp locks the port, makes its line settings and drops stale input.
func (s *serialPort) setUp(config *serial.Config) error {
	if err := s.file.SetDeadline(time.Time{}); err != nil {
		return fmt.Errorf("%w: not a serial port", drivers.ErrNoPort)
	}
	err := s.control(func(fd int) error {
		if _, err := unix.IoctlGetTermios(fd, unix.TCGETS); err != nil {
			return fmt.Errorf("%w: not a serial port: %w", drivers.ErrNoPort, err)
		}
		if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
			return fmt.Errorf("%w: lock: %w", drivers.ErrBusy, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	settings, err := serial.OpenPort(config)
	if err != nil {
		return fmt.Errorf("line settings: %w", openError(err))
	}
	if err := settings.Close(); err != nil {
		return fmt.Errorf("line settings: %w", bare(err))
	}
	return s.control(func(fd int) error {
		if err := unix.IoctlSetInt(fd, unix.TIOCEXCL, 0); err != nil {
			return fmt.Errorf("lock: %w", err)
		}
		if err := unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCIFLUSH); err != nil {
			return fmt.Errorf("drop old input: %w", err)
		}
		return nil
	})
}

// control calls do with the descriptor. It leaves it non-blocking, which
// os.File.Fd might not.
func (s *serialPort) control(do func(fd int) error) error {
	raw, err := s.file.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = do(int(fd)) }); err != nil {
		return err
	}
	return inner
}

func (s *serialPort) Read(b []byte) (int, error) {
	n, err := s.file.Read(b)
	return n, s.explain("read", err)
}

func (s *serialPort) Write(b []byte) (int, error) {
	n, err := s.file.Write(b)
	return n, s.explain("write", err)
}

func (s *serialPort) SetReadDeadline(t time.Time) error  { return s.file.SetReadDeadline(t) }
func (s *serialPort) SetWriteDeadline(t time.Time) error { return s.file.SetWriteDeadline(t) }

func (s *serialPort) Close() error {
	// The flag belongs to the tty, which a pseudo-terminal's master keeps alive.
	_ = s.control(func(fd int) error { return unix.IoctlSetInt(fd, unix.TIOCNXCL, 0) })
	return s.file.Close()
}

// explain finds the unplugged device in err. With the settings of setUp a tty
// has no other end of file.
func (s *serialPort) explain(verb string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF), errors.Is(err, unix.EIO), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV):
		return fmt.Errorf("%s %s: %w", verb, s.name, drivers.ErrUnplugged)
	}
	return err
}

// rs485 is struct serial_rs485 of linux/serial.h.
type rs485 struct {
	flags       uint32
	delayBefore uint32 // of RTS, milliseconds
	delayAfter  uint32
	_           [5]uint32
}

const (
	rs485Enabled      = 1 << 0
	rs485RTSOnSend    = 1 << 1
	rs485RTSAfterSend = 1 << 2
)

// switchDirection lets the kernel drive the transceiver through RTS. What the
// device tree has enabled, polarity included, stays as it is.
func switchDirection(fd int) error {
	var r rs485
	if err := ioctl(uintptr(fd), unix.TIOCGRS485, unsafe.Pointer(&r)); err != nil {
		return err
	}
	if r.flags&rs485Enabled != 0 {
		return nil
	}
	r.flags |= rs485Enabled
	if r.flags&rs485RTSAfterSend == 0 {
		r.flags |= rs485RTSOnSend
	}
	return ioctl(uintptr(fd), unix.TIOCSRS485, unsafe.Pointer(&r))
}

// ioctl is ioctl(2) with a pointer. It retries when a signal came in between.
func ioctl(fd uintptr, request uintptr, arg unsafe.Pointer) error {
	for {
		_, _, no := unix.Syscall(unix.SYS_IOCTL, fd, request, uintptr(arg))
		if no == 0 {
			return nil
		}
		if no != unix.EINTR {
			return no
		}
	}
}
