package kioskpc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/drivers"
)

const token = "a token of the board"

// pipes is a listener in memory.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.conns <- far:
		return near, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// hall is a receiver under a test, with a client in front of it.
type hall struct {
	t      *testing.T
	client *http.Client
	cancel context.CancelFunc
	done   chan struct{}
	err    error

	mu    sync.Mutex
	last  map[string]drivers.Reading
	happy []string // what happened, in order
	full  error    // what emit returns
}

func open(t *testing.T, cfg Config) *hall {
	l := newPipes()
	transport := &http.Transport{DialContext: l.dial}
	h := &hall{t: t, client: &http.Client{Transport: transport}, done: make(chan struct{}), last: map[string]drivers.Reading{}}
	cfg.Listen = func(context.Context) (net.Listener, error) { return l, nil }
	if cfg.Token == "" {
		cfg.Token = token
	}
	cfg.Points = map[string]string{"kiosk-1": "kiosk", "queue-1": "queue"}
	ctx, cancel := context.WithCancel(t.Context())
	h.cancel = cancel
	go func() {
		defer close(h.done)
		h.err = New(cfg).Run(ctx, h.emit)
	}()
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		cancel()
		<-h.done
		time.Sleep(time.Second) // net/http lingers over a body that was too long
	})
	return h
}

func (h *hall) emit(_ context.Context, r drivers.Reading) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.full != nil {
		return h.full
	}
	h.last[r.Point] = r
	if r.Happened != nil {
		h.happy = append(h.happy, fmt.Sprintf("%s %s %s sample %v", r.Point, r.Happened.Type, r.Happened.Data, r.Happened.Sample))
	}
	return nil
}

func (h *hall) state(point string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.last[point]
	return strings.TrimSpace(r.State.String() + " " + r.Detail)
}

// post returns the answer's status and body, or 0 and the error.
func (h *hall) post(path, auth, body string) (int, string) {
	q, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, "http://board"+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	q.Header.Set("Authorization", auth)
	answer, err := h.client.Do(q)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err.Error()
	}
	return answer.StatusCode, string(text)
}

const bearer = "Bearer " + token

func TestHistoryOfAKiosk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, Config{})
		for _, step := range []struct {
			name, path, body string
			wait             time.Duration
			kiosk            string
			happened         int
		}{
			{"it runs", "/v1/heartbeat", `{"id":"kiosk-1","seq":1,"uptime":60,"status":"ok"}`, 0, "normal", 0},
			{"its reader fails", "/v1/heartbeat", `{"id":"kiosk-1","seq":2,"uptime":70,"status":"fault","code":"card-reader"}`, 0, "active card-reader", 0},
			{"what it did", "/v1/counters", `{"id":"kiosk-1","seq":9,"day":"2026-11-23","counters":{"services":3,"tickets":12}}`, 0, "active card-reader", 1},
			{"the same again", "/v1/counters", `{"id":"kiosk-1","seq":9,"day":"2026-11-23","counters":{"services":3,"tickets":12}}`, 0, "active card-reader", 1},
			{"some more", "/v1/counters", `{"id":"kiosk-1","seq":10,"day":"2026-11-23","counters":{"services":4}}`, 0, "active card-reader", 2},
			{"it is silent, not for long", "", "", 100 * time.Second, "active card-reader", 2},
			{"it is silent", "", "", time.Minute, "unknown no heartbeat for 2m0s", 2},
			{"it runs again", "/v1/heartbeat", `{"id":"kiosk-1","seq":1,"uptime":1,"status":"ok"}`, 0, "normal", 2},
		} {
			if step.path != "" {
				if status, body := h.post(step.path, bearer, step.body); status != http.StatusNoContent {
					t.Errorf("%s: %d %s", step.name, status, body)
				}
			}
			time.Sleep(step.wait)
			h.mu.Lock()
			n := len(h.happy)
			h.mu.Unlock()
			if got := h.state("kiosk"); got != step.kiosk || n != step.happened {
				t.Errorf("%s: %q and %d happened, want %q and %d", step.name, got, n, step.kiosk, step.happened)
			}
		}
		if got := h.state("queue"); got != "unknown no heartbeat for 2m0s" {
			t.Errorf("the one that never spoke: %q", got)
		}
		if want := `kiosk kiosk.counters {"day":"2026-11-23","counters":{"services":3,"tickets":12}} sample true`; h.happy[0] != want {
			t.Errorf("got %s, want %s", h.happy[0], want)
		}
	})
}

func TestWhatIsNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, Config{})
		const good = `{"id":"kiosk-1","seq":1,"uptime":60,"status":"ok"}`
		for _, tt := range []struct {
			name, path, auth, body string
			status                 int
			say                    string
		}{
			{"no token", "/v1/heartbeat", "", good, 401, "token"},
			{"another token", "/v1/heartbeat", "Bearer x", good, 401, "token"},
			{"another path", "/v1/names", bearer, good, 404, ""},
			{"no such kiosk", "/v1/heartbeat", bearer, `{"id":"kiosk-9","seq":1,"status":"ok"}`, 404, "kiosk-9"},
			{"a name in it", "/v1/heartbeat", bearer, `{"id":"kiosk-1","seq":1,"status":"ok","user":"张三"}`, 400, "unknown field"},
			{"no status", "/v1/heartbeat", bearer, `{"id":"kiosk-1","seq":1}`, 400, "status"},
			{"a code in Chinese", "/v1/heartbeat", bearer, `{"id":"kiosk-1","seq":1,"status":"fault","code":"坏了"}`, 400, "code"},
			{"ok with a code", "/v1/heartbeat", bearer, `{"id":"kiosk-1","seq":1,"status":"ok","code":"x"}`, 400, "code"},
			{"no seq", "/v1/heartbeat", bearer, `{"id":"kiosk-1","status":"ok"}`, 400, "seq"},
			{"no JSON", "/v1/heartbeat", bearer, `hello`, 400, "body"},
			{"two objects", "/v1/heartbeat", bearer, good + good, 400, "one JSON object"},
			{"nothing", "/v1/heartbeat", bearer, ``, 400, "body"},
			{"too long", "/v1/heartbeat", bearer, strings.Repeat(" ", maxBody+1), 413, "too long"},
			{"no counters", "/v1/counters", bearer, `{"id":"kiosk-1","seq":1,"day":"2026-11-23","counters":{}}`, 400, "counters"},
			{"no day", "/v1/counters", bearer, `{"id":"kiosk-1","seq":1,"counters":{"a":1}}`, 400, "day"},
			{"a negative count", "/v1/counters", bearer, `{"id":"kiosk-1","seq":1,"day":"2026-11-23","counters":{"a":-1}}`, 400, "body"},
			{"a huge count", "/v1/counters", bearer, `{"id":"kiosk-1","seq":1,"day":"2026-11-23","counters":{"a":9000000000000}}`, 400, "too large"},
		} {
			if status, body := h.post(tt.path, tt.auth, tt.body); status != tt.status || !strings.Contains(body, tt.say) {
				t.Errorf("%s: %d %s, want %d %s", tt.name, status, body, tt.status, tt.say)
			}
		}
		if h.state("kiosk") != "unknown" || len(h.happy) > 0 {
			t.Errorf("something was taken: %q %q", h.state("kiosk"), h.happy)
		}
	})
}

// TestNothingIsConfirmedThatIsNotOnDisk: while emit fails a program hears no 2xx,
// and what it sends again afterwards counts.
func TestNothingIsConfirmedThatIsNotOnDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, Config{})
		h.mu.Lock()
		h.full = errors.New("disk full")
		h.mu.Unlock()
		if status, _ := h.post("/v1/counters", bearer, `{"id":"kiosk-1","seq":1,"day":"2026-11-23","counters":{"a":1}}`); status/100 == 2 {
			t.Errorf("confirmed with %d what is on no disk", status)
		}
		<-h.done
		if !errors.Is(h.err, h.full) {
			t.Errorf("Run: %v", h.err)
		}
	})
}

func TestConnectionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, Config{})
		dial := h.client.Transport.(*http.Transport).DialContext
		var idle []net.Conn
		for range maxConns {
			c, err := dial(t.Context(), "", "")
			if err != nil {
				t.Fatal(err)
			}
			idle = append(idle, c)
		}
		time.Sleep(2 * readTimeout) // who says nothing is hung up on
		if status, body := h.post("/v1/heartbeat", bearer, `{"id":"kiosk-1","seq":1,"status":"ok"}`); status != http.StatusNoContent {
			t.Errorf("after %d idle connections: %d %s", maxConns, status, body)
		}
		for _, c := range idle {
			c.Close()
		}
	})
}

func TestWhatRunRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, Config{Token: "short"})
		<-h.done
		if h.err == nil || !strings.Contains(h.err.Error(), "token") || h.state("kiosk") == "" {
			t.Errorf("a short token: %v", h.err)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"id":"kiosk-1","seq":1,"uptime":60,"status":"fault","code":"x"}`))
	f.Add([]byte(`{"id":"queue-1","seq":1,"day":"2026-11-23","counters":{"tickets":12}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := parseHeartbeat(b); err == nil && (!longan.ValidName(h.ID) || h.Seq == 0) {
			t.Errorf("%q is taken as %+v", b, h)
		}
		if c, err := parseCounters(b); err == nil {
			data, err := c.data()
			if err != nil || len(data) > longan.MaxData || bytes.ContainsAny(data, "\n") {
				t.Errorf("%q becomes %s, %v", b, data, err)
			}
		}
	})
}
