package link

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// thin is a link at the end of the world.
var thin = Conditions{Bandwidth: 256_000, Latency: 150 * time.Millisecond}

// oneProcessor holds the rest of a test to one processor: the race detector of
// Go 1.26 dies (SIGSEGV in SlotLock) when two run timers of one bubble at once.
func oneProcessor(t *testing.T) {
	n := runtime.GOMAXPROCS(1)
	t.Cleanup(func() { runtime.GOMAXPROCS(n) })
}

func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// send writes b, and fails the test if that fails.
func send(t *testing.T, c net.Conn, b []byte) {
	t.Helper()
	if n, err := c.Write(b); n != len(b) || err != nil {
		t.Errorf("write: got %d, %v, want %d", n, err, len(b))
	}
}

// receive reads n bytes and returns them.
func receive(t *testing.T, c net.Conn, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(c, b); err != nil {
		t.Errorf("read: %v", err)
	}
	return b
}

func TestEverythingArrivesInOrder(t *testing.T) {
	for _, test := range []struct {
		name string
		Conditions
	}{
		{"without limits", Conditions{}},
		{"thin", thin},
		{"late", Conditions{Latency: 80 * time.Millisecond, Jitter: 320 * time.Millisecond}},
		{"lossy", Conditions{Bandwidth: 2_000_000, Latency: 40 * time.Millisecond, Jitter: 100 * time.Millisecond, Loss: 0.05}},
		{"hardly anything passes", Conditions{Loss: 0.6}},
	} {
		t.Run(test.name, func(t *testing.T) {
			oneProcessor(t)
			synctest.Test(t, func(t *testing.T) {
				l := New(1, test.Conditions)
				board, city := l.Pair()
				all := noise(300_000)
				var both sync.WaitGroup
				for _, c := range [][2]net.Conn{{board, city}, {city, board}} {
					both.Go(func() {
						rng := rand.New(rand.NewPCG(1, 1))
						for rest := all; len(rest) > 0; {
							n := min(len(rest), 1+rng.IntN(5000))
							send(t, c[0], rest[:n])
							rest = rest[n:]
						}
					})
					both.Go(func() {
						if got := receive(t, c[1], len(all)); !bytes.Equal(got, all) {
							t.Error("other bytes arrived")
						}
					})
				}
				both.Wait()
				board.Close()
				if _, err := city.Read(make([]byte, 1)); err != io.EOF {
					t.Errorf("after Close: got %v, want EOF", err)
				}
				city.Close()
				if n := len(l.conns); n != 0 {
					t.Errorf("%d connections are left", n)
				}
			})
		})
	}
}

func TestTimesOfAThinLink(t *testing.T) {
	oneProcessor(t)
	synctest.Test(t, func(t *testing.T) {
		board, city := New(1, thin).Pair()
		start := time.Now()
		send(t, board, []byte{1})
		receive(t, city, 1)
		// 53 bytes at 32,000 bytes/s, and the latency.
		if got, want := time.Since(start), 150*time.Millisecond+53*time.Second/32000; got != want {
			t.Errorf("one byte took %v, want %v", got, want)
		}
		start = time.Now()
		const n = 320 * MSS
		var sender sync.WaitGroup
		sender.Go(func() { send(t, board, make([]byte, n)) })
		receive(t, city, n)
		if got, want := time.Since(start), 150*time.Millisecond+320*(MSS+Header)*time.Second/32000; (got - want).Abs() > time.Millisecond {
			t.Errorf("320 full segments took %v, want %v", got, want)
		}
		sender.Wait()
	})
}

func TestConnectionsShareTheBandwidth(t *testing.T) {
	oneProcessor(t)
	synctest.Test(t, func(t *testing.T) {
		l := New(1, Conditions{Bandwidth: 8 * (MSS + Header) * 10}) // ten segments a second
		start := time.Now()
		var all sync.WaitGroup
		for range 2 {
			board, city := l.Pair()
			all.Go(func() { send(t, board, make([]byte, 20*MSS)) })
			all.Go(func() { receive(t, city, 20*MSS) })
		}
		all.Wait()
		if got := time.Since(start); (got - 4*time.Second).Abs() > time.Millisecond {
			t.Errorf("forty segments took %v, want 4s", got)
		}
	})
}

func TestTheSeedDecides(t *testing.T) {
	took := func(seed uint64) (d time.Duration) {
		oneProcessor(t)
		synctest.Test(t, func(t *testing.T) {
			board, city := New(seed, Conditions{Bandwidth: 256_000, Latency: 80 * time.Millisecond, Jitter: 320 * time.Millisecond, Loss: 0.02}).Pair()
			start := time.Now()
			go func() { send(t, board, make([]byte, 200_000)) }()
			receive(t, city, 200_000)
			d = time.Since(start)
			city.Close()
			board.Close()
		})
		return d
	}
	if a, b, c := took(1), took(1), took(2); a != b || a == c {
		t.Errorf("seed 1: %v and %v, seed 2: %v; want equal and not equal", a, b, c)
	}
}

func TestBuffersAreBounded(t *testing.T) {
	oneProcessor(t)
	synctest.Test(t, func(t *testing.T) {
		board, city := New(1, thin).Pair()
		board.SetWriteDeadline(time.Now().Add(time.Hour))
		n, err := board.Write(make([]byte, 1<<20)) // nobody reads
		if !errors.Is(err, os.ErrDeadlineExceeded) || n > sendBuffer+receiveWindow || n < sendBuffer+receiveWindow-MSS {
			t.Errorf("write that nobody reads: got %d, %v", n, err)
		}
		board.SetWriteDeadline(time.Time{})
		var reader sync.WaitGroup
		reader.Go(func() { receive(t, city, n+sendBuffer) })
		send(t, board, make([]byte, sendBuffer))
		reader.Wait()
	})
}

func TestStuck(t *testing.T) {
	oneProcessor(t)
	synctest.Test(t, func(t *testing.T) {
		l := New(1, Conditions{})
		board, city := l.Pair()
		l.SetStuck(true)
		send(t, board, []byte{1}) // the kernel takes it
		start := time.Now()
		time.AfterFunc(time.Hour, func() { l.SetStuck(false) })
		receive(t, city, 1)
		if got := time.Since(start); got != time.Hour {
			t.Errorf("read after %v, want an hour", got)
		}
		send(t, city, []byte{2})
		receive(t, board, 1)
	})
}

func TestDeadlines(t *testing.T) {
	block := func(c net.Conn) error {
		_, err := c.Write(make([]byte, sendBuffer+receiveWindow+1))
		return err
	}
	read := func(c net.Conn) error {
		_, err := c.Read(make([]byte, 1))
		return err
	}
	for _, test := range []struct {
		name string
		set  func(c net.Conn, t time.Time) error
		use  func(c net.Conn) error
	}{
		{"read", net.Conn.SetReadDeadline, read},
		{"write", net.Conn.SetWriteDeadline, block},
		{"both, read", net.Conn.SetDeadline, read},
		{"both, write", net.Conn.SetDeadline, block},
	} {
		t.Run(test.name, func(t *testing.T) {
			oneProcessor(t)
			synctest.Test(t, func(t *testing.T) {
				c, peer := New(1, Conditions{}).Pair()
				want := func(after time.Duration) {
					t.Helper()
					start := time.Now()
					err := test.use(c)
					var timeout net.Error
					if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() || time.Since(start) != after {
						t.Errorf("got %v after %v, want a deadline after %v", err, time.Since(start), after)
					}
				}
				test.set(c, time.Now().Add(time.Second))
				want(time.Second)
				want(0) // it stays
				test.set(c, time.Now().Add(-time.Second))
				want(0)
				test.set(c, time.Now().Add(time.Hour))
				time.AfterFunc(time.Second, func() { test.set(c, time.Now().Add(time.Second)) }) // moved under a waiter
				want(2 * time.Second)
				test.set(c, time.Now().Add(time.Hour))
				time.AfterFunc(time.Second, func() { test.set(c, time.Unix(1, 0)) })
				want(time.Second)
				test.set(c, time.Time{})
				time.AfterFunc(time.Minute, func() { c.Close() })
				if err := test.use(c); !errors.Is(err, net.ErrClosed) {
					t.Errorf("without a deadline: got %v, want closed", err)
				}
				peer.Close()
			})
		})
	}
}

func TestEnds(t *testing.T) {
	oneProcessor(t)
	synctest.Test(t, func(t *testing.T) {
		l := New(1, thin)
		board, city := l.Pair()
		send(t, board, noise(5000))
		board.Close()
		for what, err := range map[string]error{
			"close":    board.Close(),
			"read":     func() error { _, err := board.Read(nil); return err }(),
			"write":    func() error { _, err := board.Write([]byte{1}); return err }(),
			"deadline": board.SetDeadline(time.Now()),
		} {
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s after Close: got %v", what, err)
			}
		}
		if got := receive(t, city, 5000); !bytes.Equal(got, noise(5000)) {
			t.Error("what was written before Close is not what arrived")
		}
		if _, err := city.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("got %v, want EOF", err)
		}
		send(t, city, []byte{1}) // nobody is there any more, which takes a while to be known
		time.Sleep(time.Second)
		if _, err := city.Write([]byte{1}); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("write to a closed end: got %v, want a reset", err)
		}
		city.Close()
	})
}

func TestDial(t *testing.T) {
	const ctxMost = 5 * time.Minute
	for _, test := range []struct {
		name    string
		c       Conditions
		listens bool
		within  time.Duration // of the dialer's context
		want    error
		took    time.Duration
	}{
		{"well", thin, true, ctxMost, nil, 300 * time.Millisecond},
		{"nobody listens", thin, false, ctxMost, syscall.ECONNREFUSED, 300 * time.Millisecond},
		{"down", Conditions{Down: true}, true, ctxMost, ErrDown, 0},
		{"black hole", Conditions{BlackHole: BothWays}, true, 20 * time.Second, context.DeadlineExceeded, 20 * time.Second},
		{"black hole to the city", Conditions{BlackHole: ToCity}, true, ctxMost, syscall.ETIMEDOUT, 127 * time.Second},
		{"black hole to the board", Conditions{BlackHole: ToBoard}, true, ctxMost, syscall.ETIMEDOUT, 127 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			oneProcessor(t)
			synctest.Test(t, func(t *testing.T) {
				var at Exchange
				var accepting sync.WaitGroup
				if test.listens {
					listener, err := at.Listen()
					if err != nil {
						t.Fatal(err)
					}
					defer accepting.Wait()
					defer listener.Close()
					accepting.Go(func() {
						for {
							c, err := listener.Accept()
							if err != nil {
								return
							}
							c.Close()
						}
					})
				}
				ctx, cancel := context.WithTimeout(t.Context(), test.within)
				defer cancel()
				start := time.Now()
				c, err := New(1, test.c).Dial(ctx, &at)
				if !errors.Is(err, test.want) || time.Since(start) != test.took {
					t.Errorf("got %v after %v, want %v after %v", err, time.Since(start), test.want, test.took)
				}
				if c != nil {
					c.Close()
				}
			})
		})
	}
}

func TestExchangeIsListenedAtAgain(t *testing.T) {
	var at Exchange
	for range 2 {
		l, err := at.Listen()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := at.Listen(); !errors.Is(err, errBusy) {
			t.Errorf("listen twice: got %v", err)
		}
		var accepting sync.WaitGroup
		accepting.Go(func() {
			if c, err := l.Accept(); err != nil {
				t.Error(err)
			} else {
				send(t, c, []byte("hi"))
			}
		})
		c, err := at.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := receive(t, c, 2); string(got) != "hi" {
			t.Errorf("got %q", got)
		}
		accepting.Wait()
		l.Close()
		l.Close()
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("accept after Close: got %v", err)
		}
	}
}
