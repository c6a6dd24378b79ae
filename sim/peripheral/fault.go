package peripheral

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"
)

// Port is the device's end of a serial line: a PTY, a porttest.Peer or an end of
// net.Pipe. Its deadlines work as those of net.Conn.
type Port interface {
	io.ReadWriteCloser
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// Fault is a way in which a simulated device misbehaves.
type Fault uint8

// The faults.
const (
	NoFault   Fault = iota
	Silent          // does not answer
	Babbling        // sends noise all the time, and does not answer
	HalfFrame       // answers with the first half only
	WrongCRC        // answers with one bit wrong
	Late            // answers after the delay of SetDelay
)

// babbleEvery is how often a babbling device sends a lump of noise, in
// milliseconds short of every silence that a receiver could wait for.
const babbleEvery = time.Millisecond

// faults is the failing part of a device.
type faults struct {
	mu    sync.Mutex
	fault Fault
	left  int // answers until the fault is over; 0 is until SetFault
	delay time.Duration
	noise *rand.Rand

	changed chan struct{} // closed when the fault is set
}

// defaultDelay is later than any driver waits.
const defaultDelay = time.Second

// SetFault makes the device fail from now on, or heals it.
func (f *faults) SetFault(fault Fault) { f.set(fault, 0) }

// FailNext makes the device fail for the next n requests only.
func (f *faults) FailNext(n int, fault Fault) {
	if n > 0 {
		f.set(fault, n)
	}
}

func (f *faults) set(fault Fault, left int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault, f.left = fault, left
	if f.changed != nil {
		close(f.changed)
		f.changed = nil
	}
}

// SetDelay says how late the answers of a Late device are; a second by default.
func (f *faults) SetDelay(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.delay = d
}

// next returns the fault for one answer, and its delay.
func (f *faults) next() (Fault, time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fault, delay := f.fault, f.delay
	if delay <= 0 {
		delay = defaultDelay
	}
	if f.left > 0 {
		if f.left--; f.left == 0 {
			f.fault = NoFault
		}
	}
	return fault, delay
}

// reply sends an answer as the fault has it.
func (f *faults) reply(ctx context.Context, w io.Writer, answer []byte) error {
	fault, delay := f.next()
	switch fault {
	case Silent, Babbling:
		return nil
	case HalfFrame:
		answer = answer[:len(answer)/2]
	case WrongCRC:
		answer = append([]byte(nil), answer...)
		answer[len(answer)/2] ^= 1
	case Late:
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	_, err := w.Write(answer)
	return err
}

// babble sends noise while the device babbles, until ctx ends. Otherwise it
// sleeps: a tick that finds nothing to do would cost a simulated day its speed.
func (f *faults) babble(ctx context.Context, w io.Writer) {
	for {
		babbling, changed := f.babbling()
		if !babbling {
			select {
			case <-ctx.Done():
				return
			case <-changed:
			}
			continue
		}
		timer := time.NewTimer(babbleEvery)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		if _, err := w.Write(f.lump()); err != nil {
			return
		}
	}
}

// babbling reports whether the device babbles, and what is closed when it may
// begin to.
func (f *faults) babbling() (bool, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.changed == nil {
		f.changed = make(chan struct{})
	}
	return f.fault == Babbling, f.changed
}

// lump returns some noise, the same in every run of a program, or nothing.
func (f *faults) lump() []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fault != Babbling {
		return nil
	}
	if f.noise == nil {
		f.noise = rand.New(rand.NewPCG(1, 2))
	}
	b := make([]byte, 1+f.noise.IntN(4))
	for i := range b {
		b[i] = byte(f.noise.Uint32())
	}
	return b
}

// serve is the function of that name for one device.
func (f *faults) serve(ctx context.Context, port Port, receive func(context.Context, io.Writer, []byte) error) error {
	return serve(ctx, port, []*faults{f}, receive)
}

// serve is the loop that devices share: it hands what was read to receive until
// ctx ends, when it returns nil, or the port fails. Meanwhile those babble that
// do.
func serve(ctx context.Context, port Port, devices []*faults, receive func(context.Context, io.Writer, []byte) error) error {
	if err := errors.Join(port.SetReadDeadline(time.Time{}), port.SetWriteDeadline(time.Time{})); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	serving, cancel := context.WithCancel(ctx)
	w := &lockedWriter{w: port}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for _, f := range devices {
		wg.Go(func() { f.babble(serving, w) })
	}
	wg.Go(func() {
		<-serving.Done()
		past := time.Unix(1, 0) // unblocks reads and writes; a port that is gone has none
		_, _ = port.SetReadDeadline(past), port.SetWriteDeadline(past)
	})
	buf := make([]byte, 512)
	for {
		n, err := port.Read(buf)
		if n > 0 {
			err = errors.Join(receive(serving, w, buf[:n]), err)
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("serve: %w", err)
		}
	}
}

// lockedWriter lets several goroutines write whole messages.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}
