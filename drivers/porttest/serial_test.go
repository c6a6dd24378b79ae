package porttest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/longan-edge/longan/drivers"
)

const uart = "/dev/ttyS1"

func open(t *testing.T, ports drivers.Ports, mode drivers.SerialMode) drivers.Serial {
	t.Helper()
	s, err := ports.Serial(t.Context(), uart, mode)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSerialCarriesAllBytesBothWays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ports Ports
		peer := ports.AddSerial(uart)
		mode := drivers.SerialMode{Baud: 9600, Parity: drivers.EvenParity}
		s := open(t, &ports, mode)
		if peer.Mode() != mode {
			t.Errorf("mode: got %v, want %v", peer.Mode(), mode)
		}
		all := make([]byte, 256)
		for i := range all {
			all[i] = byte(i)
		}
		for _, way := range []struct {
			name     string
			from, to io.ReadWriter
		}{{"to the device", s, peer}, {"to the board", peer, s}} {
			if n, err := way.from.Write(all); n != len(all) || err != nil {
				t.Errorf("%s: Write: got %d, %v", way.name, n, err)
			}
			got := make([]byte, 256)
			if _, err := io.ReadFull(way.to, got); err != nil || !bytes.Equal(got, all) {
				t.Errorf("%s: got % x, %v", way.name, got, err)
			}
		}
	})
}

func TestSerialOpenErrors(t *testing.T) {
	var ports Ports
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	steps := []struct {
		name string
		do   func()
		ctx  context.Context
		want error
	}{
		{"never added", func() {}, t.Context(), drivers.ErrNoPort},
		{"context ended", func() { ports.AddSerial(uart) }, gone, context.Canceled},
		{"open", func() {}, t.Context(), nil},
		{"open twice", func() {}, t.Context(), drivers.ErrBusy},
		{"replugged", func() { ports.AddSerial(uart) }, t.Context(), nil},
		{"held by another process", func() { ports.AddSerial(uart).Hold(true) }, t.Context(), drivers.ErrBusy},
		{"unplugged", func() { ports.AddSerial(uart).Close() }, t.Context(), drivers.ErrNoPort},
	}
	for _, step := range steps {
		step.do()
		if _, err := ports.Serial(step.ctx, uart, drivers.SerialMode{}); !errors.Is(err, step.want) {
			t.Errorf("%s: got %v, want %v", step.name, err, step.want)
		}
	}
}

func TestSerialDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ports Ports
		ports.AddSerial(uart)
		s := open(t, &ports, drivers.SerialMode{})
		start := time.Now()
		s.SetReadDeadline(start.Add(25 * time.Millisecond))
		if _, err := s.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 25*time.Millisecond {
			t.Errorf("Read: got %v after %v", err, time.Since(start))
		}
		start = time.Now()
		s.SetWriteDeadline(start.Add(time.Second))
		n, err := s.Write(make([]byte, 3*fifo))
		if n != fifo || !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("Write to a device that does not read: got %d, %v after %v", n, err, time.Since(start))
		}
	})
}

func TestSerialDeadlineMovesUnderARead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ports Ports
		ports.AddSerial(uart)
		s := open(t, &ports, drivers.SerialMode{})
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := s.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("got %v, want a deadline", err)
			}
		})
		synctest.Wait()
		s.SetReadDeadline(time.Now())
		wg.Wait()
	})
}

func TestSerialWaitersAreUnblocked(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(s drivers.Serial, p *Peer)
		want error
	}{
		{"unplug", func(_ drivers.Serial, p *Peer) { p.Close() }, drivers.ErrUnplugged},
		{"close", func(s drivers.Serial, _ *Peer) { s.Close() }, os.ErrClosed},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var ports Ports
				peer := ports.AddSerial(uart)
				s := open(t, &ports, drivers.SerialMode{})
				var wg sync.WaitGroup
				wg.Go(func() {
					if _, err := s.Read(make([]byte, 1)); !errors.Is(err, test.want) {
						t.Errorf("Read: got %v, want %v", err, test.want)
					}
				})
				wg.Go(func() {
					if _, err := s.Write(make([]byte, fifo+1)); !errors.Is(err, test.want) {
						t.Errorf("Write: got %v, want %v", err, test.want)
					}
				})
				synctest.Wait()
				test.end(s, peer)
				wg.Wait()
			})
		})
	}
}

func TestBytesSentToAClosedPortAreLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ports Ports
		peer := ports.AddSerial(uart)
		peer.Write([]byte("stale"))
		s := open(t, &ports, drivers.SerialMode{})
		peer.Write([]byte("unread"))
		s.Close()
		s = open(t, &ports, drivers.SerialMode{})
		peer.Write([]byte("new"))
		b := make([]byte, 10)
		if n, err := s.Read(b); string(b[:n]) != "new" || err != nil {
			t.Errorf("got %q, %v, want %q", b[:n], err, "new")
		}
		if times, isOpen := peer.Opens(); times != 2 || !isOpen {
			t.Errorf("opens: got %d, %v", times, isOpen)
		}
	})
}
