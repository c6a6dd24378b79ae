//go:build linux

package peripheral

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// PTY is a pseudo-terminal: the simulated device has the master, the agent
// opens the slave by its path as it would a UART. A PTY ignores baud rate and
// parity.
type PTY struct {
	mu     sync.Mutex
	closed bool
	master *os.File
	slave  *os.File // kept open, or the master fails with EIO between two agents
	path   string
}

// OpenPTY makes a pseudo-terminal in raw mode.
func OpenPTY() (*PTY, error) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open pseudo-terminal: %w", err)
	}
	path, err := unlock(master)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open pseudo-terminal: %w", err), master.Close())
	}
	slave, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open pseudo-terminal: %w", err), master.Close())
	}
	if err := makeRaw(slave); err != nil {
		return nil, errors.Join(fmt.Errorf("set pseudo-terminal raw: %w", err), slave.Close(), master.Close())
	}
	return &PTY{master: master, slave: slave, path: path}, nil
}

// control runs f on the file's descriptor without making it blocking, as
// File.Fd would.
func control(file *os.File, f func(fd int) error) error {
	conn, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := conn.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// unlock makes the slave usable and returns its path.
func unlock(master *os.File) (path string, err error) {
	err = control(master, func(fd int) error {
		if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
			return err
		}
		n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
		path = "/dev/pts/" + strconv.Itoa(n)
		return err
	})
	return path, err
}

// makeRaw stops the terminal from changing any byte.
func makeRaw(slave *os.File) error {
	return control(slave, func(fd int) error {
		t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err != nil {
			return err
		}
		t.Iflag, t.Oflag, t.Lflag = 0, 0, 0
		t.Cflag = t.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8 | unix.CREAD | unix.CLOCAL
		t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
		return unix.IoctlSetTermios(fd, unix.TCSETS, t)
	})
}

// Path returns the slave's path, what a site file names as the UART.
func (p *PTY) Path() string { return p.path }

// Close unplugs the device: whoever has the slave open sees it at once.
func (p *PTY) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	return errors.Join(p.slave.Close(), p.master.Close())
}

// Read reads what the agent wrote.
func (p *PTY) Read(b []byte) (int, error) { return p.master.Read(b) }

// Write writes what the agent reads.
func (p *PTY) Write(b []byte) (int, error) { return p.master.Write(b) }

// SetReadDeadline bounds Read.
func (p *PTY) SetReadDeadline(t time.Time) error { return p.master.SetReadDeadline(t) }
