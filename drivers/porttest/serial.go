package porttest

import (
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/longan-edge/longan/drivers"
)

// fifo is how many bytes each direction of a fake UART holds, as a Linux tty
// does. A Write past it waits for the reader.
const fifo = 4096

// Peer is the device's end of a UART. It outlives the driver's openings of the
// port: what the device sends while nobody has the port open is lost, as on a
// board, and what the driver sent is there to be read. Its deadlines work as
// those of net.Conn.
type Peer struct {
	name string

	mu      sync.Mutex
	changed chan struct{} // closed and replaced at every change of what follows
	port    *serialPort   // nil while the board has the port closed
	toBoard []byte
	toPeer  []byte
	gone    bool // unplugged
	held    bool // another process has the port open
	mode    drivers.SerialMode
	opens   int
	read    time.Time // the peer's deadlines
	write   time.Time
}

var _ drivers.Serial = (*Peer)(nil)

func newPeer(name string) *Peer {
	return &Peer{name: name, changed: make(chan struct{})}
}

// Hold lets another process have the port, or give it back: while it is held,
// opening it fails with ErrBusy.
func (p *Peer) Hold(held bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = held
}

// Mode returns how the port was opened last.
func (p *Peer) Mode() drivers.SerialMode {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mode
}

// Opens returns how often the port was opened, and whether it is open now.
func (p *Peer) Opens() (times int, open bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.opens, p.port != nil
}

// Read reads what the driver wrote. It waits until there is something, its
// deadline passes or the device is unplugged.
func (p *Peer) Read(b []byte) (n int, err error) {
	err = p.await(&p.read, func() (bool, error) {
		switch {
		case p.gone:
			return true, p.unplugged("read")
		case len(b) == 0:
			return true, nil
		case len(p.toPeer) == 0:
			return false, nil
		}
		n = p.take(&p.toPeer, b)
		return true, nil
	})
	return n, err
}

// Write sends b to the driver. While the port is closed it is lost; while the
// driver does not read, Write waits.
func (p *Peer) Write(b []byte) (n int, err error) {
	err = p.await(&p.write, func() (bool, error) {
		switch {
		case p.gone:
			return true, p.unplugged("write")
		case p.port == nil:
			n = len(b)
			return true, nil
		}
		n += p.put(&p.toBoard, b[n:])
		return n == len(b), nil
	})
	return n, err
}

// Close unplugs the device. The driver's Read and Write fail at once with
// ErrUnplugged, and opening the port with ErrNoPort until AddSerial.
func (p *Peer) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone = true
	p.wake()
	return nil
}

// SetReadDeadline sets when Read gives up; the zero time is never.
func (p *Peer) SetReadDeadline(t time.Time) error { return p.setDeadline(&p.read, t) }

// SetWriteDeadline sets when Write gives up; the zero time is never.
func (p *Peer) SetWriteDeadline(t time.Time) error { return p.setDeadline(&p.write, t) }

func (p *Peer) open(mode drivers.SerialMode) (drivers.Serial, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.gone:
		return nil, fmt.Errorf("open %s: %w", p.name, drivers.ErrNoPort)
	case p.held || p.port != nil:
		return nil, fmt.Errorf("open %s: %w", p.name, drivers.ErrBusy)
	}
	p.port = &serialPort{peer: p}
	p.mode, p.toBoard = mode, nil
	p.opens++
	p.wake()
	return p.port, nil
}

// await calls try with p.mu held, again after each change, until it reports
// that it is done. Like the runtime's poller it looks at the deadline first.
func (p *Peer) await(deadline *time.Time, try func() (done bool, err error)) error {
	for {
		p.mu.Lock()
		at, changed := *deadline, p.changed
		if !at.IsZero() && !time.Now().Before(at) {
			p.mu.Unlock()
			return os.ErrDeadlineExceeded
		}
		done, err := try()
		p.mu.Unlock()
		if done {
			return err
		}
		if at.IsZero() {
			<-changed
			continue
		}
		timer := time.NewTimer(time.Until(at))
		select {
		case <-changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

func (p *Peer) setDeadline(deadline *time.Time, t time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	*deadline = t
	p.wake()
	return nil
}

func (p *Peer) wake() {
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *Peer) take(from *[]byte, b []byte) int {
	n := copy(b, *from)
	*from = (*from)[n:]
	p.wake()
	return n
}

func (p *Peer) put(to *[]byte, b []byte) int {
	n := min(len(b), fifo-len(*to))
	if n > 0 {
		*to = append(*to, b[:n]...)
		p.wake()
	}
	return n
}

func (p *Peer) unplugged(verb string) error {
	return fmt.Errorf("%s %s: %w", verb, p.name, drivers.ErrUnplugged)
}

// serialPort is the board's end, one for each opening. Its fields are guarded
// by peer.mu.
type serialPort struct {
	peer   *Peer
	closed bool
	read   time.Time
	write  time.Time
}

func (s *serialPort) Read(b []byte) (n int, err error) {
	p := s.peer
	err = p.await(&s.read, func() (bool, error) {
		switch {
		case s.closed:
			return true, fmt.Errorf("read %s: %w", p.name, os.ErrClosed)
		case len(b) == 0:
			return true, nil
		case len(p.toBoard) > 0:
			n = p.take(&p.toBoard, b)
			return true, nil
		case p.gone:
			return true, p.unplugged("read")
		}
		return false, nil
	})
	return n, err
}

func (s *serialPort) Write(b []byte) (n int, err error) {
	p := s.peer
	err = p.await(&s.write, func() (bool, error) {
		switch {
		case s.closed:
			return true, fmt.Errorf("write %s: %w", p.name, os.ErrClosed)
		case p.gone:
			return true, p.unplugged("write")
		}
		n += p.put(&p.toPeer, b[n:])
		return n == len(b), nil
	})
	return n, err
}

func (s *serialPort) Close() error {
	p := s.peer
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.closed {
		return fmt.Errorf("close %s: %w", p.name, os.ErrClosed)
	}
	s.closed = true
	p.port, p.toBoard = nil, nil
	p.wake()
	return nil
}

func (s *serialPort) SetReadDeadline(t time.Time) error  { return s.peer.setDeadline(&s.read, t) }
func (s *serialPort) SetWriteDeadline(t time.Time) error { return s.peer.setDeadline(&s.write, t) }
