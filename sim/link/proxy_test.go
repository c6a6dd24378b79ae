package link

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

// echo listens on loopback and sends back what comes, until the test ends.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				io.Copy(c, c)
				c.Close()
			})
		}
	})
	t.Cleanup(running.Wait)
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

// refused reports whether a dial, or the connection that it made, ends at once.
func refused(t *testing.T, addr string) bool {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return true // the proxy's reset can be quicker than the dialer
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	_, err = c.Read(make([]byte, 1))
	return err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
}

// proxied returns a link whose proxy runs until the test ends, its address, and a
// dialer.
func proxied(t *testing.T, c Conditions, target string) (*Link, string, func() net.Conn) {
	t.Helper()
	l := New(1, c)
	p, err := NewProxy(l, target)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { p.Run(ctx) })
	t.Cleanup(running.Wait)
	t.Cleanup(cancel)
	return l, p.Addr(), func() net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", p.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(30 * time.Second))
		return c
	}
}

// until polls for 30 s.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	late := time.After(30 * time.Second)
	for !done() {
		select {
		case <-poll.C:
		case <-late:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func TestProxyCarries(t *testing.T) {
	l, _, dial := proxied(t, Conditions{Latency: time.Millisecond, Loss: 0.01}, echo(t))
	c := dial()
	all := noise(200_000)
	var sender sync.WaitGroup
	defer sender.Wait()
	sender.Go(func() { send(t, c, all) })
	if got := receive(t, c, len(all)); !bytes.Equal(got, all) {
		t.Error("other bytes came back")
	}
	toCity, toBoard := l.Counts()
	for way, n := range map[Way]Count{ToCity: toCity, ToBoard: toBoard} {
		if n.Bytes != int64(len(all)) || n.Segments < n.Bytes/MSS || n.Bare == 0 {
			t.Errorf("%v: %+v", way, n)
		}
	}
	c.Close()
	until(t, "the connection ends at both sides", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.conns) == 0
	})
}

func TestProxyDown(t *testing.T) {
	l, addr, dial := proxied(t, Conditions{}, echo(t))
	c := dial()
	send(t, c, []byte("x"))
	receive(t, c, 1)
	l.Set(Conditions{Down: true})
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a connection when the link goes down: got %v", err)
	}
	if !refused(t, addr) {
		t.Error("a dial while the link is down is not refused")
	}
	l.Set(Conditions{})
	c = dial()
	send(t, c, []byte("y"))
	receive(t, c, 1)
}

func TestProxyBlackHole(t *testing.T) {
	l, _, dial := proxied(t, Conditions{}, echo(t))
	c := dial()
	send(t, c, []byte("x"))
	receive(t, c, 1)
	l.Set(Conditions{BlackHole: BothWays})
	send(t, c, []byte("y")) // nobody is told
	late := dial()          // the kernel answers
	send(t, late, []byte("z"))
	until(t, "a retransmission", func() bool { n, _ := l.Counts(); return n.Resent > 0 })
	if n, _ := l.Counts(); n.Bytes != 2 {
		t.Errorf("%d bytes sent, want 2", n.Bytes)
	}
	l.Set(Conditions{})
	receive(t, c, 1)
	receive(t, late, 1)
}

func TestProxyWithoutTarget(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, addr, _ := proxied(t, Conditions{}, l.Addr().String()); !refused(t, addr) {
		t.Error("a dial is not refused")
	}
}
