package web

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/longan-edge/longan/cloud/internal/live"
)

// TestStreamOutlivesTheServersTimeouts holds a stream open on a real server
// whose timeouts are shorter than a heartbeat, and then shuts the server down.
func TestStreamOutlivesTheServersTimeouts(t *testing.T) {
	view := live.New(live.Config{Log: quiet()})
	s := New(Config{View: view, Log: quiet()})
	server := httptest.NewUnstartedServer(s.Handler())
	server.Config.ReadTimeout = beatEvery / 10
	server.Config.WriteTimeout = beatEvery / 10
	server.Config.RegisterOnShutdown(s.Close)
	server.Start()
	defer server.Close()
	client := &http.Client{Timeout: 30 * time.Second}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/api/v1/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 1<<20)
	for beats := 0; beats < 2; { // the first comes at once, the next after beatEvery
		if !lines.Scan() {
			t.Fatalf("the stream ended after %d beats: %v", beats, lines.Err())
		}
		if strings.HasPrefix(lines.Text(), "event: "+eventBeat) {
			beats++
		}
	}
	if err := server.Config.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown with an open stream: %v", err)
	}
	for lines.Scan() { // to its end: the server has closed it
	}
}
