package porttest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// Step is one thing that a scripted device does.
type Step struct {
	kind stepKind
	data []byte
	wait time.Duration
}

type stepKind byte

const (
	expect stepKind = iota
	reply
	delay
	silence
	unplug
)

// Expect waits for exactly these bytes from the driver, in any pieces.
func Expect(b ...byte) Step { return Step{kind: expect, data: b} }

// Reply sends these bytes to the driver, in one piece, once it has the port open.
func Reply(b ...byte) Step { return Step{kind: reply, data: b} }

// Delay does nothing for d; what the driver sends meanwhile is for later steps.
func Delay(d time.Duration) Step { return Step{kind: delay, wait: d} }

// Silence says nothing for d, and fails if the driver sends anything.
func Silence(d time.Duration) Step { return Step{kind: silence, wait: d} }

// Unplug pulls the plug.
func Unplug() Step { return Step{kind: unplug} }

// String returns the step as Transcript writes it.
func (s Step) String() string {
	switch s.kind {
	case expect:
		return fmt.Sprintf("> % x", s.data)
	case reply:
		return fmt.Sprintf("< % x", s.data)
	case delay:
		return "delay " + s.wait.String()
	case silence:
		return "silence " + s.wait.String()
	}
	return "unplug"
}

// Script is a device that goes through steps, one after the other.
type Script struct {
	peer *Peer
	done sync.WaitGroup // the goroutine that plays

	mu   sync.Mutex
	left []Step
	err  error
}

// Script plugs a device that goes through steps into the named UART, replacing
// what was there. Whoever starts it closes it.
func (p *Ports) Script(name string, steps ...Step) *Script {
	s := &Script{peer: p.AddSerial(name), left: steps}
	s.done.Go(s.play)
	return s
}

// Peer returns the device's end, to look at: Mode, Opens.
func (s *Script) Peer() *Peer { return s.peer }

// Left returns how many steps are not done yet.
func (s *Script) Left() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.left)
}

// Close unplugs the device. It fails if the driver sent something else than the
// script expects, or if steps are left.
func (s *Script) Close() error {
	s.peer.Close()
	s.done.Wait()
	if s.err != nil {
		return s.err
	}
	if len(s.left) > 0 {
		return fmt.Errorf("script: %d steps left, next is %q", len(s.left), s.left[0])
	}
	return nil
}

func (s *Script) play() {
	for {
		s.mu.Lock()
		if len(s.left) == 0 {
			s.mu.Unlock()
			return
		}
		step := s.left[0]
		s.mu.Unlock()

		done, err := s.do(step)
		s.mu.Lock()
		if done {
			s.left = s.left[1:]
		}
		s.err = err
		s.mu.Unlock()
		if !done {
			s.peer.Close() // lets the driver see at once that the script broke
			return
		}
	}
}

func (s *Script) do(step Step) (done bool, err error) {
	switch step.kind {
	case expect:
		return s.expect(step)
	case reply:
		return s.reply(step.data), nil
	case unplug:
		s.peer.Close()
		return true, nil
	}
	end := time.Now().Add(step.wait)
	if step.kind == delay {
		return s.pause(end), nil
	}
	s.peer.SetReadDeadline(end)
	defer s.peer.SetReadDeadline(time.Time{})
	b := make([]byte, fifo)
	n, err := s.peer.Read(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return true, nil
	}
	if n > 0 {
		return false, fmt.Errorf("script: step %q: got % x, want nothing", step, b[:n])
	}
	return false, nil // unplugged by Close
}

// pause waits until end, and reports false if the device was unplugged.
func (s *Script) pause(end time.Time) bool {
	err := s.peer.await(&end, func() (bool, error) { return s.peer.gone, nil })
	return errors.Is(err, os.ErrDeadlineExceeded)
}

// reply waits until the driver has the port open, so that a device which speaks
// first is heard.
func (s *Script) reply(data []byte) bool {
	var never time.Time
	p := s.peer
	_ = p.await(&never, func() (bool, error) { return p.gone || p.port != nil, nil })
	_, err := p.Write(data)
	return err == nil
}

func (s *Script) expect(step Step) (done bool, err error) {
	var got []byte
	for len(got) < len(step.data) {
		b := make([]byte, len(step.data)-len(got))
		n, err := s.peer.Read(b)
		got = append(got, b[:n]...)
		if !bytes.HasPrefix(step.data, got) {
			return false, fmt.Errorf("script: got % x, want % x", got, step.data)
		}
		if err != nil {
			if len(got) > 0 {
				return false, fmt.Errorf("script: got only % x, want % x", got, step.data)
			}
			return false, nil
		}
	}
	return true, nil
}
