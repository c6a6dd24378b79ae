package video

import (
	"bufio"
	"context"
	"errors"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/longan-edge/longan/drivers"
)

// server answers each connection as answer has it.
type server struct {
	mu     sync.Mutex
	answer func(net.Conn)
	dials  []string
	open   int
	wg     sync.WaitGroup
}

func (s *server) dial(_ context.Context, network, address string) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dials = append(s.dials, network+" "+address)
	if s.answer == nil {
		return nil, errors.New("connection refused")
	}
	near, far := net.Pipe()
	answer := s.answer
	s.open++
	s.wg.Go(func() {
		defer func() {
			far.Close()
			s.mu.Lock()
			s.open--
			s.mu.Unlock()
		}()
		answer(far)
	})
	return near, nil
}

func (s *server) set(answer func(net.Conn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

// drain reads until the driver closes.
func drain(c net.Conn) {
	b := make([]byte, 256)
	for {
		if _, err := c.Read(b); err != nil {
			return
		}
	}
}

// says answers with a text once the request has come.
func says(text string) func(net.Conn) {
	return func(c net.Conn) {
		r := bufio.NewReader(c)
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			if line == "\r\n" {
				break
			}
		}
		if _, err := c.Write([]byte(text)); err == nil {
			drain(c)
		}
	}
}

const sound = "RTSP/1.0 401 Unauthorized\r\nCSeq: 1\r\n\r\n"

type bench struct {
	s      *server
	cancel context.CancelFunc
	done   chan struct{}
	err    error // after done

	mu    sync.Mutex
	order []string
}

func start(t *testing.T, answer func(net.Conn), change func(*Config)) *bench {
	b := &bench{s: &server{answer: answer}, done: make(chan struct{})}
	cfg := Config{Dial: b.s.dial, Address: "192.168.1.64", Point: "camera"}
	if change != nil {
		change(&cfg)
	}
	ctx, cancel := context.WithCancel(t.Context())
	b.cancel = cancel
	go func() {
		defer close(b.done)
		b.err = New(cfg).Run(ctx, func(_ context.Context, r drivers.Reading) error {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.order = append(b.order, r.Point+"="+r.State.String()+" "+r.Detail)
			return nil
		})
	}()
	t.Cleanup(func() { cancel(); <-b.done; b.s.wg.Wait() })
	return b
}

// end waits until Run has ended.
func (b *bench) end(t *testing.T) {
	t.Helper()
	select {
	case <-b.done:
	case <-time.After(time.Hour):
		t.Fatal("Run goes on")
	}
}

func (b *bench) told() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.order...)
}

func TestAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, says(sound), nil)
		time.Sleep(3*defaultPoll + time.Second)
		if got, want := strings.Join(b.told(), ", "), strings.TrimSuffix(strings.Repeat("camera=normal RTSP 401, ", 4), ", "); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		b.s.mu.Lock()
		if got, want := b.s.dials[0], "tcp 192.168.1.64:554"; got != want || b.s.open != 0 {
			t.Errorf("got %s and %d connections open, want %s and none", got, b.s.open, want)
		}
		b.s.mu.Unlock()
		b.s.set(nil) // two failures do not count
		time.Sleep(defaultPoll)
		b.s.set(says(sound))
		time.Sleep(2 * time.Second)
		if got := b.told(); len(got) != 5 || !strings.Contains(got[4], "normal") {
			t.Errorf("got %s", got)
		}
	})
}

func TestDead(t *testing.T) {
	slow := func(c net.Conn) { // one byte a second, for ever
		go drain(c)
		for {
			time.Sleep(time.Second)
			if _, err := c.Write([]byte("R")); err != nil {
				return
			}
		}
	}
	for _, test := range []struct {
		name   string
		answer func(net.Conn)
		silent bool
		want   string
	}{
		{"refused", nil, true, "camera at 192.168.1.64:554: connect: connection refused: peripheral is silent"},
		{"half open", drain, true, "connected, but no answer within 3s: peripheral is silent"},
		{"takes no request", func(c net.Conn) { time.Sleep(time.Minute) }, true, "no answer within 3s"},
		{"slow", slow, true, "no answer within 3s"},
		{"closes at once", func(c net.Conn) {}, false, "send the request"},
		{"closes without an answer", func(c net.Conn) { _, _ = c.Read(make([]byte, 1024)) }, false, "without a whole answer"},
		{"a web server", says("HTTP/1.1 400 Bad Request\r\n\r\n"), false, "no RTSP server"},
		{"out of order", says("RTSP/1.0 503 Service Unavailable\r\n\r\n"), false, "RTSP server answers 503"},
		{"half an answer", says("RTSP/1.0 200 OK\r\nCSeq: 1\r\n"), true, "no answer within 3s"},
	} {
		t.Run(test.name, func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // the race detector and timers in a bubble
			synctest.Test(t, func(t *testing.T) {
				b := start(t, says(sound), nil)
				time.Sleep(time.Second)
				b.s.set(test.answer)
				begin := time.Now()
				b.end(t)
				if took := time.Since(begin); took > 22*time.Second {
					t.Errorf("took %v", took)
				}
				if b.err == nil || !strings.Contains(b.err.Error(), test.want) || errors.Is(b.err, drivers.ErrSilent) != test.silent {
					t.Errorf("got %v, want %s", b.err, test.want)
				}
				if got := b.told(); len(got) != 2 || !strings.HasPrefix(got[1], "camera=unknown") || !strings.Contains(got[1], test.want) {
					t.Errorf("got %s", got)
				}
				b.s.mu.Lock()
				defer b.s.mu.Unlock()
				if len(b.s.dials) != 1+tries {
					t.Errorf("dialled %d times", len(b.s.dials))
				}
			})
		})
	}
}

func TestConnectOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, drain, func(c *Config) { c.ConnectOnly = true; c.Address = "192.168.1.70:5060" })
		time.Sleep(time.Second)
		if got := strings.Join(b.told(), ", "); got != "camera=normal accepts connections" {
			t.Errorf("got %s", got)
		}
	})
}

func TestEnds(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer func(net.Conn)
		change func(*Config)
		stop   bool
		want   string
	}{
		{"stopped between", says(sound), nil, true, "context canceled"},
		{"stopped within", drain, nil, true, "context canceled"},
		{"stopped while it tries", nil, nil, true, "context canceled"},
		{"bad address", nil, func(c *Config) { c.Address = "rtsp://admin:1@x" }, false, "want a host and a port"},
		{"no dialer", nil, func(c *Config) { c.Dial = nil }, false, "want a way to dial"},
		{"no point", nil, func(c *Config) { c.Point = "" }, false, "want a point"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := start(t, test.answer, test.change)
				if test.stop {
					time.Sleep(500 * time.Millisecond)
					b.cancel()
				}
				b.end(t)
				if b.err == nil || !strings.Contains(b.err.Error(), test.want) {
					t.Errorf("got %v, want %s", b.err, test.want)
				}
			})
		})
	}
}
