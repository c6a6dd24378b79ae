package web

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/cloud/internal/live"
)

// wire is a client's side of a stream. While it is shut, writes wait, as with a
// client that reads nothing.
type wire struct {
	header http.Header
	open   chan struct{} // a write takes from it; closed is always open

	mu   sync.Mutex
	code int
	data bytes.Buffer
}

func (w *wire) Header() http.Header { return w.header }

func (w *wire) WriteHeader(code int) { w.code = code }

func (w *wire) Write(p []byte) (int, error) {
	<-w.open
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.data.Write(p)
}

func (w *wire) Flush() {}

// sse is one event of a stream.
type sse struct{ id, name, data string }

// take returns the events that have come since the last take.
func (w *wire) take() (events []sse) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for block := range strings.SplitSeq(w.data.String(), "\n\n") {
		var e sse
		for line := range strings.SplitSeq(block, "\n") {
			switch key, val, _ := strings.Cut(line, ": "); key {
			case "id":
				e.id = val
			case "event":
				e.name = val
			case "data":
				e.data = val
			}
		}
		if e.name != "" {
			events = append(events, e)
		}
	}
	w.data.Reset()
	return events
}

func names(events []sse) string {
	var out []string
	for _, e := range events {
		out = append(out, e.name)
	}
	return strings.Join(out, " ")
}

// listen opens a stream that ends with the test's bubble.
func listen(t *testing.T, s *Server, url string, lastID string) (*wire, context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &wire{header: http.Header{}, open: make(chan struct{})}
	close(w.open)
	start(s, w, ctx, url, lastID)
	synctest.Wait()
	return w, cancel
}

func start(s *Server, w *wire, ctx context.Context, url, lastID string) {
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if lastID != "" {
		r.Header.Set("Last-Event-ID", lastID)
	}
	go s.Handler().ServeHTTP(w, r)
}

// liveServer is newServer in virtual time.
func liveServer() (*Server, *city) {
	view := live.New(live.Config{Log: quiet(), Instance: "test"})
	c := newCity(view, time.Now, 3)
	return New(Config{View: view, Log: quiet()}), c
}

func TestStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := liveServer()
		w, cancel := listen(t, s, "/api/v1/stream", "")
		defer cancel()
		if got := w.header.Get("Content-Type"); !strings.HasPrefix(got, "text/event-stream") {
			t.Errorf("Content-Type: got %q", got)
		}
		first := w.take()
		if names(first) != "resync beat" {
			t.Fatalf("at first: got %q, want resync and beat", names(first))
		}
		var snap live.Snapshot
		if err := json.Unmarshal([]byte(first[0].data), &snap); err != nil || len(snap.Centers) != 3 {
			t.Errorf("resync: %d centers, %v; want 3", len(snap.Centers), err)
		}

		at := time.Now()
		c.alarm(0, 1, longan.AlarmRaised, "panic-button", "panic", at)
		synctest.Wait()
		events := w.take()
		if names(events) != "alarm center" {
			t.Fatalf("after an alarm: got %q, want alarm and center at once", names(events))
		}
		var a live.Alarm
		if err := json.Unmarshal([]byte(events[0].data), &a); err != nil {
			t.Fatal(err)
		}
		if a.Device != c.ids[0] || a.Lane != longan.Alarm || a.Seq != 1 || a.Type != longan.AlarmRaised || a.Point != "panic-button" || !a.Received.Equal(at) || !a.Open {
			t.Errorf("alarm: got %+v", a)
		}

		c.view.ApplyStatus(c.status(1, c.ids[1]), false)
		synctest.Wait()
		if got := w.take(); len(got) != 0 {
			t.Errorf("a heartbeat was sent at once: %q", names(got))
		}
		time.Sleep(beatEvery)
		synctest.Wait()
		events = w.take()
		if names(events) != "beat" || !strings.Contains(events[0].data, `"heard":{"621202002-01":`) {
			t.Errorf("after %v: got %+v, want a beat that names the center heard", beatEvery, events)
		}
	})
}

func TestStreamResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := liveServer()
		w, cancel := listen(t, s, "/api/v1/stream", "")
		events := w.take()
		last := events[len(events)-1].id
		cancel()
		synctest.Wait()

		now := time.Now()
		c.alarm(0, 1, longan.AlarmRaised, "panic-button", "panic", now)
		c.alarm(0, 2, longan.AlarmRestored, "panic-button", "panic", now)
		c.alarm(1, 1, longan.AlarmRaised, "smoke", "fire", now)
		for name, id := range map[string]string{"by header": last, "by query": ""} {
			url := "/api/v1/stream"
			if id == "" {
				url += "?after=" + last
			}
			w, cancel := listen(t, s, url, id)
			events := w.take()
			if names(events) != "alarm alarm alarm center center beat" {
				t.Errorf("%s: got %q, want the three alarms and two centers missed", name, names(events))
			}
			cancel()
			synctest.Wait()
		}
		for _, id := range []string{"other-1", "test-999999", "test-", "rubbish", "-"} {
			w, cancel := listen(t, s, "/api/v1/stream", id)
			if got := names(w.take()); got != "resync beat" {
				t.Errorf("after %q: got %q, want a resync", id, got)
			}
			cancel()
			synctest.Wait()
		}
	})
}

// TestNoIDSkipsWhatFollows cuts the stream behind each of its events and
// resumes there: every alarm must come, before or after the cut.
func TestNoIDSkipsWhatFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := liveServer()
		w, cancel := listen(t, s, "/api/v1/stream", "")
		defer cancel()
		for i := range 3 {
			c.alarm(i, 1, longan.AlarmRaised, "panic-button", "panic", time.Now())
		}
		time.Sleep(beatEvery)
		synctest.Wait()
		all := w.take()
		for cut := 1; cut <= len(all); cut++ {
			w, cancel := listen(t, s, "/api/v1/stream", all[cut-1].id)
			got := map[longan.DeviceID]bool{}
			for _, e := range append(all[:cut:cut], w.take()...) {
				var a live.Alarm
				if e.name == eventAlarm && json.Unmarshal([]byte(e.data), &a) == nil {
					got[a.Device] = true
				}
			}
			if len(got) != 3 {
				t.Errorf("cut behind event %d (%s): got the alarms of %d centers, want 3", cut, all[cut-1].name, len(got))
			}
			cancel()
			synctest.Wait()
		}
	})
}

func TestStreamForAPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := liveServer()
		w, cancel := listen(t, s, "/api/v1/stream?html=en", "")
		defer cancel()
		if e := w.take(); names(e) != "resync beat" || e[0].data != "{}" {
			t.Errorf("at first: got %+v", e)
		}
		for seq := range uint64(20) { // one at once, the others together
			c.alarm(0, seq+1, longan.AlarmRaised, "panic-button", "panic", time.Now())
			synctest.Wait()
		}
		time.Sleep(alarmsEvery)
		synctest.Wait()
		got := w.take()
		lists, centers := 0, 0
		for _, e := range got {
			switch {
			case e.name == eventAlarms && strings.Contains(e.data, "Panic button"):
				lists++
			case e.name == eventCenter && strings.Contains(e.data, "pressed"):
				centers++
			}
		}
		if lists != 2 || centers == 0 {
			t.Errorf("20 alarms: got the lists %d times and %d cards in English; want 2 and some", lists, centers)
		}
	})
}

func TestSlowClientIsNeverWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := liveServer()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		slow := &wire{header: http.Header{}, open: make(chan struct{})}
		start(s, slow, ctx, "/api/v1/stream", "")
		fast, stop := listen(t, s, "/api/v1/stream", "")
		defer stop()
		const many = 3 * live.DefaultQueue
		for seq := range uint64(many) {
			c.alarm(0, seq+1, longan.AlarmRaised, "panic-button", "panic", time.Now())
			if seq%100 == 0 {
				synctest.Wait()
			}
		}
		synctest.Wait()
		alarms := 0
		for _, e := range fast.take() {
			if e.name == eventAlarm {
				alarms++
			}
		}
		if alarms != many {
			t.Errorf("the fast client got %d alarms, want %d", alarms, many)
		}
		close(slow.open) // it reads again
		synctest.Wait()
		if got := names(slow.take()); got != "resync beat resync" {
			t.Errorf("the slow client: got %q, want a second resync", got)
		}
	})
}

func TestStreamsAreBoundedAndEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		view := live.New(live.Config{Log: quiet()})
		s := New(Config{View: view, Log: quiet(), MaxStreams: 1})
		_, cancel := listen(t, s, "/api/v1/stream", "")
		defer cancel()
		second, cancel2 := listen(t, s, "/api/v1/stream", "")
		defer cancel2()
		if second.code != http.StatusServiceUnavailable {
			t.Errorf("one stream too many: got %d, want 503", second.code)
		}
		s.Close()
		s.Close()
		synctest.Wait()
		if len(s.slots) != 0 {
			t.Errorf("after Close: %d streams, want 0", len(s.slots))
		}
	})
}
