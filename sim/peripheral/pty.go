//go:build linux

package peripheral

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// PTY is a pseudo-terminal: the agent opens Path as its UART, and a simulated
// device serves the PTY itself. It has no baud rate and no parity.
//
// The far side is kept open, so what the agent does with its own descriptor,
// like restarting, never looks like an unplug to the device.
type PTY struct {
	link string

	mu     sync.Mutex
	master *os.File // nil while unplugged
	slave  *os.File
	path   string
}

// OpenPTY makes a pseudo-terminal in raw mode.
func OpenPTY() (*PTY, error) { return OpenPTYAt("") }

// OpenPTYAt makes a pseudo-terminal in raw mode and a symbolic link to its
// device file, replacing a symbolic link of that name. The link's name stays the
// same through Replug.
func OpenPTYAt(link string) (*PTY, error) {
	p := &PTY{link: link}
	if err := p.Replug(); err != nil {
		return nil, err
	}
	return p, nil
}

// Path is what the agent opens: the link, or the device file without one.
func (p *PTY) Path() string {
	if p.link != "" {
		return p.link
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.path
}

// Unplug ends the pair: the agent sees its port hung up and the link gone, and
// the device's Read and Write fail.
func (p *PTY) Unplug() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.master == nil {
		return nil
	}
	var err error
	if p.link != "" {
		err = os.Remove(p.link)
	}
	err = errors.Join(err, p.slave.Close(), p.master.Close())
	p.master, p.slave, p.path = nil, nil, ""
	return err
}

// Replug makes a new pair behind the same link, after Unplug if need be. The
// device is to be served anew.
func (p *PTY) Replug() error {
	if err := p.Unplug(); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	master, slave, err := openPair()
	if err != nil {
		return fmt.Errorf("open pseudo-terminal: %w", err)
	}
	if p.link != "" {
		if err := relink(slave.Name(), p.link); err != nil {
			return errors.Join(err, slave.Close(), master.Close())
		}
	}
	p.master, p.slave, p.path = master, slave, slave.Name()
	return nil
}

// relink puts a symbolic link in place of one, but not of anything else.
func relink(target, link string) error {
	if info, err := os.Lstat(link); err == nil && info.Mode()&os.ModeSymlink == 0 {
		return fmt.Errorf("link %s: there is a file of that name; remove it or choose another name", link)
	}
	next := link + ".new"
	if err := os.Remove(next); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Symlink(target, next); err != nil {
		return err
	}
	return os.Rename(next, link)
}

// Close is Unplug, for io.Closer.
func (p *PTY) Close() error { return p.Unplug() }

// Read reads what the agent sent. Close, Unplug and Replug unblock it with
// os.ErrClosed.
func (p *PTY) Read(b []byte) (int, error) {
	f, err := p.file()
	if err != nil {
		return 0, err
	}
	return f.Read(b)
}

// Write sends to the agent. It waits while the terminal's buffer, 4 KiB, is full.
func (p *PTY) Write(b []byte) (int, error) {
	f, err := p.file()
	if err != nil {
		return 0, err
	}
	return f.Write(b)
}

// SetReadDeadline sets when Read gives up with os.ErrDeadlineExceeded.
func (p *PTY) SetReadDeadline(t time.Time) error {
	f, err := p.file()
	if err != nil {
		return err
	}
	return f.SetReadDeadline(t)
}

// SetWriteDeadline sets when Write gives up with os.ErrDeadlineExceeded.
func (p *PTY) SetWriteDeadline(t time.Time) error {
	f, err := p.file()
	if err != nil {
		return err
	}
	return f.SetWriteDeadline(t)
}

func (p *PTY) file() (*os.File, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.master == nil {
		return nil, os.ErrClosed
	}
	return p.master, nil
}

var _ Port = (*PTY)(nil)

// openPair opens both sides; pty(7). The descriptors do not block, so that the
// runtime waits for them and closing unblocks.
func openPair() (master, slave *os.File, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("open /dev/ptmx: %w", err)
	}
	master = os.NewFile(uintptr(fd), "/dev/ptmx")
	defer func() {
		if err != nil {
			master.Close()
		}
	}()
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, nil, fmt.Errorf("unlock: %w", err)
	}
	n, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
	if err != nil {
		return nil, nil, fmt.Errorf("number: %w", err)
	}
	path := fmt.Sprintf("/dev/pts/%d", n)
	fd, err = unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("open %s: %w", path, err)
	}
	if err := setRaw(fd); err != nil {
		unix.Close(fd)
		return nil, nil, fmt.Errorf("set %s raw: %w", path, err)
	}
	return master, os.NewFile(uintptr(fd), path), nil
}

// setRaw is cfmakeraw of termios(3).
func setRaw(fd int) error {
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return err
	}
	t.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	t.Oflag &^= unix.OPOST
	t.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	t.Cflag = t.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	return unix.IoctlSetTermios(fd, unix.TCSETS, t)
}
