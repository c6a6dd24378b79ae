//go:build linux

package peripheral

import (
	"bufio"
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/longan-edge/longan/drivers/video"
)

// filming serves a camera on a listener until the test ends.
func filming(t *testing.T, c *Camera, l net.Listener) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestCameraAnswers(t *testing.T) {
	const options = "OPTIONS rtsp://x/ RTSP/1.0\r\nCSeq: 1\r\n\r\n"
	const sound = "RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: OPTIONS, DESCRIBE, SETUP, TEARDOWN, PLAY, PAUSE\r\n\r\n"
	for _, test := range []struct {
		name    string
		do      func(c *Camera)
		request string
		want    string
	}{
		{"options", func(*Camera) {}, options, sound},
		{"two requests", func(*Camera) {}, options + options, sound + sound},
		{"describe", func(*Camera) {}, "DESCRIBE rtsp://127.0.0.1:16554/none RTSP/1.0\r\nCSeq: 2\r\nAccept: application/sdp\r\n\r\n", "RTSP/1.0 404 Not Found\r\nCSeq: 2\r\n\r\n"},
		{"play", func(*Camera) {}, "PLAY rtsp://x/ RTSP/1.0\r\nCSeq: 3\r\n\r\n", "RTSP/1.0 405 Method Not Allowed\r\nCSeq: 3\r\n\r\n"},
		{"login", func(c *Camera) { c.SetLogin(true) }, options, "RTSP/1.0 401 Unauthorized\r\nCSeq: 1\r\nWWW-Authenticate: Digest realm=\"camera\", nonce=\"6f2a\"\r\n\r\n"},
		{"out of order", func(c *Camera) { c.SetStatus(503) }, options, "RTSP/1.0 503 Out Of Order\r\nCSeq: 1\r\n\r\n"},
		{"no number", func(*Camera) {}, "OPTIONS rtsp://x/ RTSP/1.0\r\n\r\n", "RTSP/1.0 400 Bad Request\r\n\r\n"},
		{"a browser", func(*Camera) {}, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "RTSP/1.0 400 Bad Request\r\n\r\n"},
		{"silent", func(c *Camera) { c.SetFault(Silent) }, options, ""},
		{"half", func(c *Camera) { c.SetFault(HalfFrame) }, options, sound[:len(sound)/2]},
		{"slow", func(c *Camera) { c.SetFault(Late); c.SetDelay(300 * time.Millisecond) }, options, "RTS"},
		{"off", func(c *Camera) { c.SetOff(true) }, options, ""},
		{"not ended", func(*Camera) {}, options[:20], ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // the race detector and timers in a bubble
			synctest.Test(t, func(t *testing.T) {
				c := NewCamera()
				test.do(c)
				l := lan{make(chan net.Conn)}
				listener, err := l.listen(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				filming(t, c, listener)
				conn, err := l.dial(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				go func() { _, _ = io.WriteString(conn, test.request) }()
				_ = conn.SetReadDeadline(time.Now().Add(time.Second)) // where it is off there is none to set
				got, _ := io.ReadAll(conn)                            // ends with the deadline
				if string(got) != test.want {
					t.Errorf("got %q, want %q", got, test.want)
				}
			})
		})
	}
}

func cameraConfig(address string, dial func(context.Context, string, string) (net.Conn, error)) video.Config {
	return video.Config{Dial: dial, Address: address, Point: "camera", Poll: 20 * time.Millisecond, Timeout: 200 * time.Millisecond}
}

// cameraHistory is what driver and camera go through together on any network.
func cameraHistory(t *testing.T, c *Camera, d *video.Camera) {
	w := run(t, d)
	for _, step := range []struct {
		name string
		do   func()
		want string
	}{
		{"start", func() {}, "camera=normal"},
		{"hangs", func() { c.SetFault(Silent) }, "camera=unknown"},
		{"works", func() { c.SetFault(NoFault) }, "camera=normal"},
		{"off", func() { c.SetOff(true) }, "camera=unknown"},
		{"on, and wants a login", func() { c.SetLogin(true); c.SetOff(false) }, "camera=normal"},
		{"noise", func() { c.SetFault(Babbling) }, "camera=unknown"},
		{"no noise", func() { c.SetFault(NoFault) }, "camera=normal"},
		{"half an answer", func() { c.SetFault(HalfFrame) }, "camera=unknown"},
		{"whole", func() { c.SetFault(NoFault) }, "camera=normal"},
		{"slow", func() { c.SetFault(Late) }, "camera=unknown"},
		{"fast", func() { c.SetFault(NoFault) }, "camera=normal"},
		{"out of order", func() { c.SetStatus(500) }, "camera=unknown"},
		{"in order", func() { c.SetStatus(0) }, "camera=normal"},
	} {
		step.do()
		w.await(t, step.name, step.want)
	}
}

func TestCameraAndDriverInMemory(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // the race detector and timers in a bubble
	synctest.Test(t, func(t *testing.T) {
		c := NewCamera()
		l := lan{make(chan net.Conn)}
		listener, err := l.listen(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		filming(t, c, listener)
		cameraHistory(t, c, video.New(cameraConfig("192.168.1.64", func(ctx context.Context, _, _ string) (net.Conn, error) { return l.dial(ctx) })))
	})
}

func TestCameraAndDriverOnLoopback(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := NewCamera()
	filming(t, c, l)
	w := run(t, video.New(cameraConfig(l.Addr().String(), new(net.Dialer).DialContext)))
	w.await(t, "start", "camera=normal")
	c.SetOff(true)
	w.await(t, "off", "camera=unknown")
	c.SetOff(false)
	w.await(t, "on", "camera=normal")
}

// rtspStreamingServer starts the one of npm, and returns its address and what ends
// it. What it needs stands in the user's cache, where cross/test.sh tools put it.
// Without npm it is left out, in CI too: answers recorded from it are in drivers/video.
func rtspStreamingServer(t *testing.T) (address string, stop func()) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not here: apt-get install nodejs npm, then cross/test.sh tools")
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	modules := filepath.Join(cache, "longan", "rtsp", "node_modules")
	if _, err := os.Stat(filepath.Join(modules, "rtsp-streaming-server")); err != nil {
		t.Skip("npm's rtsp-streaming-server is not here: cross/test.sh tools")
	}
	c := exec.Command(node, "testdata/rtsp/server.js")
	c.Env = append(os.Environ(), "NODE_PATH="+modules)
	c.Stderr = os.Stderr
	stdin, err := c.StdinPipe() // its end ends the server
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		stdin.Close()
		late := time.AfterFunc(10*time.Second, func() { _ = c.Process.Kill() })
		defer late.Stop()
		_ = c.Wait() // says that it was ended
	})
	t.Cleanup(stop)
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("rtsp-streaming-server: got %q, %v", line, err)
	}
	return strings.TrimSpace(line), stop
}

// TestOurDriverWatchesAnRTSPServer that nobody here wrote, alive and dead.
func TestOurDriverWatchesAnRTSPServer(t *testing.T) {
	t.Parallel()
	address, stop := rtspStreamingServer(t)
	cfg := cameraConfig(address, new(net.Dialer).DialContext)
	cfg.Timeout = 10 * time.Second
	w := run(t, video.New(cfg))
	w.await(t, "started", "camera=normal")
	stop()
	w.await(t, "ended", "camera=unknown")
}

// FuzzCamera gives any request an answer that ends.
func FuzzCamera(f *testing.F) {
	for _, seed := range []string{
		"OPTIONS rtsp://x/ RTSP/1.0\r\nCSeq: 1", "DESCRIBE rtsp://x/none RTSP/1.0\r\ncseq: 2\r\nAccept: application/sdp",
		"OPTIONS * RTSP/1.0\r\nCSeq: x", "GET / HTTP/1.1\r\nHost: x", "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, request string) {
		answer := NewCamera().answer(request)
		if !strings.HasPrefix(answer, "RTSP/1.0 ") || strings.Index(answer, "\r\n\r\n") != len(answer)-4 {
			t.Errorf("%q: got %q", request, answer)
		}
	})
}
