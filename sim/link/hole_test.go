package link

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// arrival returns how long after now the next byte arrives at c; most if not by
// then.
func arrival(t *testing.T, c net.Conn, most time.Duration) time.Duration {
	t.Helper()
	start := time.Now()
	c.SetReadDeadline(start.Add(most))
	if _, err := c.Read(make([]byte, 1)); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read: %v", err)
	}
	c.SetReadDeadline(time.Time{})
	return time.Since(start)
}

func TestAConnectionOutlivesAShortBlackHole(t *testing.T) {
	for _, test := range []struct {
		hole   Way
		silent time.Duration // after which the byte arrives
	}{
		// Retransmissions after 0.3, 0.9, 2.1 and 4.5 s; the hole is 4 s long.
		{BothWays, 4650 * time.Millisecond},
		{ToCity, 4650 * time.Millisecond},
		{ToBoard, 150 * time.Millisecond},
	} {
		t.Run(test.hole.String(), func(t *testing.T) {
			oneProcessor(t)
			synctest.Test(t, func(t *testing.T) {
				c := Conditions{Latency: 150 * time.Millisecond}
				l := New(1, c)
				board, city := l.Pair()
				holed := c
				holed.BlackHole = test.hole
				l.Set(holed)
				time.AfterFunc(4*time.Second, func() { l.Set(c) })
				send(t, board, []byte{1})
				if got := arrival(t, city, time.Minute); got != test.silent {
					t.Errorf("arrived after %v, want %v", got, test.silent)
				}
				time.Sleep(10 * time.Second)
				send(t, board, []byte{2})
				if got := arrival(t, city, time.Minute); got != c.Latency {
					t.Errorf("later one arrived after %v, want %v", got, c.Latency)
				}
			})
		})
	}
}

// TestWithoutAcknowledgementNothingNewIsSent: what was written before the sender
// missed an acknowledgement arrives, what was written after does not.
func TestWithoutAcknowledgementNothingNewIsSent(t *testing.T) {
	oneProcessor(t)
	synctest.Test(t, func(t *testing.T) {
		c := Conditions{Latency: 150 * time.Millisecond, BlackHole: ToBoard}
		l := New(1, c)
		board, city := l.Pair()
		send(t, board, []byte{1})
		time.Sleep(100 * time.Millisecond)
		send(t, board, []byte{2})
		time.Sleep(time.Second)
		send(t, board, []byte{3})
		receive(t, city, 2)
		if got := arrival(t, city, time.Minute); got != time.Minute {
			t.Errorf("the third byte arrived after %v", got)
		}
		c.BlackHole = 0
		l.Set(c)
		receive(t, city, 1)
	})
}

func TestWhoWritesIntoABlackHoleIsToldInTheEnd(t *testing.T) {
	for _, hole := range []Way{BothWays, ToCity, ToBoard} {
		t.Run(hole.String(), func(t *testing.T) {
			oneProcessor(t)
			synctest.Test(t, func(t *testing.T) {
				c := thin
				c.BlackHole = hole
				l := New(1, c)
				board, city := l.Pair()
				start := time.Now()
				send(t, board, make([]byte, 10))
				if _, err := board.Read(make([]byte, 1)); !errors.Is(err, syscall.ETIMEDOUT) || (time.Since(start)-giveUp).Abs() > time.Second {
					t.Errorf("the writer: got %v after %v, want a timeout after %v", err, time.Since(start), giveUp)
				}
				if hole == ToBoard {
					receive(t, city, 10)
				}
				if got := arrival(t, city, 24*time.Hour); got != 24*time.Hour {
					t.Errorf("the other end was told after %v", got)
				}
				l.Set(thin)
				send(t, city, []byte{1})
				if _, err := city.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("it writes after the hole: got %v, want a reset", err)
				}
			})
		})
	}
}

func TestTune(t *testing.T) {
	for _, test := range []struct {
		name string
		TCP
		hole   time.Duration
		silent time.Duration // until the byte arrives; 0 is never
	}{
		// At 0.3, 0.9, 2.1, 4.5 and 9.3 s.
		{"as it is", TCP{}, 5 * time.Second, 9450 * time.Millisecond},
		// At 0.3, 0.6, 0.9, 1.2, 1.5, 1.8, 2.1, 2.7, 3.9 and 6.3 s.
		{"thin, short", TCP{Thin: true}, 2 * time.Second, 2250 * time.Millisecond},
		{"thin", TCP{Thin: true}, 5 * time.Second, 6450 * time.Millisecond},
		{"user timeout not reached", TCP{UserTimeout: 20 * time.Second}, 5 * time.Second, 9450 * time.Millisecond},
		{"user timeout", TCP{UserTimeout: 4 * time.Second}, 5 * time.Second, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			oneProcessor(t)
			synctest.Test(t, func(t *testing.T) {
				c := Conditions{Latency: 150 * time.Millisecond}
				l := New(1, Conditions{Latency: c.Latency, BlackHole: BothWays})
				l.Tune(ToCity, test.TCP)
				board, city := l.Pair()
				time.AfterFunc(test.hole, func() { l.Set(c) })
				send(t, board, []byte{1})
				want := test.silent
				if want == 0 {
					want = time.Minute
				}
				if got := arrival(t, city, time.Minute); got != want {
					t.Errorf("arrived after %v, want %v", got, want)
				}
				if _, err := board.Write([]byte{2}); errors.Is(err, syscall.ETIMEDOUT) != (test.silent == 0) {
					t.Errorf("the sender got %v", err)
				}
			})
		})
	}
}

func TestForget(t *testing.T) {
	oneProcessor(t)
	synctest.Test(t, func(t *testing.T) {
		l := New(1, thin)
		board, city := l.Pair()
		send(t, board, []byte{1})
		receive(t, city, 1)
		l.Forget()
		send(t, board, []byte{2})
		board.Close()
		if got := arrival(t, city, 24*time.Hour); got != 24*time.Hour {
			t.Errorf("something arrived after %v", got)
		}
		board, _ = l.Pair()
		send(t, board, []byte{3}) // a new connection is a new connection
		start := time.Now()
		send(t, city, []byte{4})
		if _, err := city.Read(make([]byte, 1)); !errors.Is(err, syscall.ETIMEDOUT) || (time.Since(start)-giveUp).Abs() > time.Second {
			t.Errorf("got %v after %v, want a timeout after %v", err, time.Since(start), giveUp)
		}
	})
}

func TestDown(t *testing.T) {
	oneProcessor(t)
	synctest.Test(t, func(t *testing.T) {
		l := New(1, thin)
		board, city := l.Pair()
		time.AfterFunc(time.Second, func() { l.Set(Conditions{Down: true}) })
		for what, c := range map[string]net.Conn{"board": board, "city": city} {
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, ErrDown) {
				t.Errorf("%s: read: got %v, want %v", what, err, ErrDown)
			}
			if _, err := c.Write([]byte{1}); !errors.Is(err, ErrDown) {
				t.Errorf("%s: write: got %v, want %v", what, err, ErrDown)
			}
			if err := c.Close(); err != nil {
				t.Errorf("%s: close: %v", what, err)
			}
		}
		board, _ = l.Pair()
		if _, err := board.Write([]byte{1}); !errors.Is(err, ErrDown) {
			t.Errorf("a pair of a link that is down: got %v, want %v", err, ErrDown)
		}
		l.Set(Conditions{Down: true})
		if l.Drops() != 1 || len(l.conns) != 0 || l.Connections() != 2 {
			t.Errorf("%d drops, %d connections left of %d, want 1, 0 of 2", l.Drops(), len(l.conns), l.Connections())
		}
		l.Set(thin)
		board, city = l.Pair()
		board.Close()
		if _, err := city.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("up again: got %v", err)
		}
	})
}

func TestCounts(t *testing.T) {
	oneProcessor(t)
	synctest.Test(t, func(t *testing.T) {
		var at Exchange
		listener, err := at.Listen()
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		accepted := make(chan net.Conn, 1)
		go func() {
			c, _ := listener.Accept()
			accepted <- c
		}()
		l := New(1, Conditions{Latency: 10 * time.Millisecond})
		board, err := l.Dial(t.Context(), &at)
		if err != nil {
			t.Fatal(err)
		}
		city := <-accepted
		want := func(what string, toCity, toBoard Count) {
			t.Helper()
			if c, b := l.Counts(); c != toCity || b != toBoard {
				t.Errorf("%s: got %+v and %+v, want %+v and %+v", what, c, b, toCity, toBoard)
			}
		}
		want("handshake", Count{Bare: 2}, Count{Bare: 1})
		send(t, board, make([]byte, MSS+1))
		receive(t, city, MSS+1)
		want("two segments, one ACK", Count{Bytes: MSS + 1, Segments: 2, Bare: 2}, Count{Bare: 2})
		send(t, board, []byte{1})
		receive(t, city, 1)
		send(t, city, []byte{2}) // the ACK goes with it
		receive(t, board, 1)
		time.Sleep(time.Second) // and its own goes alone
		toCity, toBoard := Count{Bytes: MSS + 2, Segments: 3, Bare: 3}, Count{Bytes: 1, Segments: 1, Bare: 2}
		want("question and answer", toCity, toBoard)
		if toCity.IP() != MSS+2+3*Header || toCity.BareIP() != 3*Header || toCity.Add(toBoard).Sub(toBoard) != toCity {
			t.Errorf("%+v: IP %d, bare %d", toCity, toCity.IP(), toCity.BareIP())
		}
		holed := Conditions{Latency: 10 * time.Millisecond, BlackHole: BothWays}
		l.Set(holed)
		time.AfterFunc(time.Second, func() { l.Set(Conditions{Latency: 10 * time.Millisecond}) })
		send(t, board, []byte{3})
		receive(t, city, 1)
		toCity.Bytes, toCity.Segments, toCity.Resent, toCity.ResentBytes = MSS+3, 4, 3, 3 // after 0.2, 0.6 and 1.4 s
		want("through a hole", toCity, toBoard)
	})
}
