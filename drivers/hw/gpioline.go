package hw

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/physic"

	"github.com/longan-edge/longan/drivers"
)

// gpioLine is a requested line. WaitForEdge is for one goroutine at a time,
// everything else for any.
type gpioLine struct {
	kernel kernel
	file   *os.File // of the request: values and events
	raw    syscall.RawConn
	name   string
	offset int

	mu      sync.Mutex
	mode    drivers.LineMode
	out     gpio.Level // as last set
	events  events
	pending int           // edges read and not yet delivered
	halted  chan struct{} // closed and replaced by Halt, closed for good by Close
	closed  bool
	dead    bool // events can't be read: the chip is gone
}

var _ drivers.Line = (*gpioLine)(nil)

// newLine takes over the descriptor of a request.
func newLine(k kernel, fd int, name string, offset int, mode drivers.LineMode) (*gpioLine, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("make it non-blocking: %w", err)
	}
	f := os.NewFile(uintptr(fd), name)
	raw, err := f.SyscallConn()
	if err == nil {
		err = f.SetReadDeadline(time.Time{})
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("wait for its events: %w", err)
	}
	return &gpioLine{
		kernel: k, file: f, raw: raw, name: name, offset: offset,
		mode: mode, out: mode.Initial,
		events: events{known: true}, halted: make(chan struct{}),
	}, nil
}

// String returns the name that the line was requested by, as does Name.
func (l *gpioLine) String() string { return l.name }

func (l *gpioLine) Name() string { return l.name }

// Number returns the line's offset within its chip.
func (l *gpioLine) Number() int { return l.offset }

// Function is deprecated in periph, and empty.
func (l *gpioLine) Function() string { return "" }

// In makes the line an input and forgets the edges so far.
func (l *gpioLine) In(pull gpio.Pull, edge gpio.Edge) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	mode := l.mode
	mode.Output, mode.Pull = false, pull
	if err := l.configure(mode, edge); err != nil {
		return err
	}
	l.mode = mode
	for !l.dead && l.fill(false) {
	}
	l.pending, l.events.known = 0, false
	return nil
}

// Out sets the level of an output, or makes the line one, without a pulse.
func (l *gpioLine) Out(level gpio.Level) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.mode.Output {
		mode := l.mode
		mode.Output, mode.Initial = true, level
		if err := l.configure(mode, gpio.NoEdge); err != nil {
			return err
		}
		l.mode, l.out = mode, level
		return nil
	}
	v := lineValues{mask: 1}
	if level {
		v.bits = 1
	}
	if err := l.kernel.control(l.file, setValues, unsafe.Pointer(&v)); err != nil {
		return l.explain("set", err)
	}
	l.out = level
	return nil
}

func (l *gpioLine) configure(mode drivers.LineMode, edge gpio.Edge) error {
	c := configFor(mode, edge)
	err := l.kernel.control(l.file, setConfig, unsafe.Pointer(&c))
	if mode.Debounce > 0 && refused(err) {
		mode.Debounce = 0
		c = configFor(mode, edge)
		err = l.kernel.control(l.file, setConfig, unsafe.Pointer(&c))
	}
	if err != nil {
		return l.explain("configure", err)
	}
	return nil
}

// Read is Sense with Low for an error; periph's interface has no better.
func (l *gpioLine) Read() gpio.Level {
	level, _ := l.Sense()
	return level
}

// Sense implements [drivers.Line]. It fails with ErrUnplugged when the line's
// chip is gone.
func (l *gpioLine) Sense() (gpio.Level, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mode.Output {
		return l.out, nil
	}
	v := lineValues{mask: 1}
	if err := l.kernel.control(l.file, getValues, unsafe.Pointer(&v)); err != nil {
		return gpio.Low, l.explain("read", err)
	}
	return v.bits&1 != 0, nil
}

// WaitForEdge returns true at once when an edge is pending. Otherwise it waits
// for timeout, not at all if that is zero, and until Halt or Close if it is
// negative. On a line whose chip is gone it sleeps, and never spins.
func (l *gpioLine) WaitForEdge(timeout time.Duration) bool {
	var end time.Time
	if timeout > 0 {
		end = time.Now().Add(timeout)
	}
	l.mu.Lock()
	halted := l.halted
	for l.pending == 0 && !l.closed {
		if l.dead || l.mode.Output {
			l.mu.Unlock()
			sleep(end, timeout, halted)
			return false
		}
		// Halt and Close end the wait through this deadline.
		if timeout != 0 && (l.halted != halted || l.file.SetReadDeadline(end) != nil) {
			break
		}
		if !l.fill(timeout != 0) {
			break
		}
	}
	defer l.mu.Unlock()
	if l.pending == 0 || l.closed {
		return false
	}
	l.pending--
	return true
}

// fill reads events, waiting for one until the file's deadline if wait is set,
// and reports whether another look is worth it. It unlocks l.mu while it waits.
func (l *gpioLine) fill(wait bool) (again bool) {
	var b [16 * eventSize]byte
	var n int
	var readErr, err error
	read := func(fd uintptr) (done bool) {
		n, readErr = unix.Read(int(fd), b[:])
		return !errors.Is(readErr, unix.EAGAIN)
	}
	if wait {
		l.mu.Unlock()
		err = l.raw.Read(read)
		l.mu.Lock()
	} else { // Control knows no deadline; a Read past it would not look
		err = l.raw.Control(func(fd uintptr) { read(fd) })
	}
	switch {
	case err != nil, errors.Is(readErr, unix.EAGAIN): // the deadline, Close, or nothing there
		return false
	case errors.Is(readErr, unix.EINTR):
		return true
	case readErr == nil && n >= eventSize:
		l.pending += l.events.count(b[:n])
		return true
	}
	l.dead = true // ENODEV, or an end of file that lines don't have
	return true
}

// sleep sleeps out the rest of a wait.
func sleep(end time.Time, timeout time.Duration, halted <-chan struct{}) {
	if timeout < 0 {
		<-halted
		return
	}
	timer := time.NewTimer(time.Until(end))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-halted:
	}
}

// Lost implements [drivers.Line].
func (l *gpioLine) Lost() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.events.lost
}

// Halt ends a WaitForEdge that is waiting now.
func (l *gpioLine) Halt() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	close(l.halted)
	l.halted = make(chan struct{})
	return l.file.SetReadDeadline(time.Unix(1, 0))
}

// Close implements [drivers.Line].
func (l *gpioLine) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return fmt.Errorf("close line %s: %w", l.name, os.ErrClosed)
	}
	l.closed = true
	close(l.halted)
	return l.file.Close()
}

// Pull returns the pull that was asked for.
func (l *gpioLine) Pull() gpio.Pull {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mode.Pull
}

// DefaultPull returns PullNoChange: the kernel doesn't say.
func (l *gpioLine) DefaultPull() gpio.Pull { return gpio.PullNoChange }

// PWM is not part of the GPIO ABI.
func (l *gpioLine) PWM(gpio.Duty, physic.Frequency) error {
	return fmt.Errorf("line %s: PWM: %w", l.name, errors.ErrUnsupported)
}

func (l *gpioLine) explain(verb string, err error) error {
	if errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("%s line %s: %w: %w", verb, l.name, drivers.ErrUnplugged, err)
	}
	return fmt.Errorf("%s line %s: %w", verb, l.name, err)
}
