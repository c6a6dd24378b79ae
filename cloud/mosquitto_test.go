package cloud

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/longan-edge/longan"
)

// mosquitto is a real broker process on a port of this machine.
type mosquitto struct {
	t       *testing.T
	path    string
	config  string
	address string
	process *exec.Cmd
}

// newMosquitto starts Debian's mosquitto. Without it the test is skipped, but
// not where LONGAN_CI says that everything must be there.
func newMosquitto(t *testing.T) *mosquitto {
	t.Helper()
	path, err := exec.LookPath("mosquitto")
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/mosquitto") // not on the path of users
	}
	if err != nil && os.Getenv("LONGAN_CI") == "" {
		t.Skip("mosquitto is not installed: apt-get install mosquitto")
	}
	if err != nil {
		t.Fatalf("LONGAN_CI is set, so mosquitto must be installed: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") // finds a free port
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	config := filepath.Join(t.TempDir(), "mosquitto.conf")
	// As root mosquitto would become another user; "user root" keeps it as it is.
	content := fmt.Sprintf("listener %d 127.0.0.1\nallow_anonymous true\npersistence false\nuser root\n", port)
	if err := os.WriteFile(config, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	m := &mosquitto{t: t, path: path, config: config, address: address}
	t.Cleanup(m.kill)
	m.start()
	return m
}

func (m *mosquitto) start() {
	m.t.Helper()
	m.process = exec.Command(m.path, "-c", m.config)
	m.process.Stdout, m.process.Stderr = m.t.Output(), m.t.Output()
	if err := m.process.Start(); err != nil {
		m.t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		conn, err := net.DialTimeout("tcp", m.address, time.Second)
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			m.t.Fatalf("mosquitto does not listen: %v", err)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// kill ends the broker as a power cut would.
func (m *mosquitto) kill() {
	if m.process != nil {
		m.process.Process.Kill()
		m.process.Wait()
		m.process = nil
	}
}

func (m *mosquitto) Dial(ctx context.Context) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "tcp", m.address)
}

// TestMosquitto: the city works with a broker that is not ours, also one that
// is killed and comes back with nothing.
func TestMosquitto(t *testing.T) {
	m := newMosquitto(t)
	path := storePath(t)
	c := startCity(t, path, func(cfg *Config) {
		cfg.MQTT, cfg.InsecureDemo, cfg.Broker = nil, false, "tcp://"+m.address
	})
	for round := range uint64(3) {
		if round > 0 {
			sessions := c.Metrics().Sessions
			m.kill()
			m.start()
			poll(t, "the city is back", func() bool { return c.Metrics().Sessions > sessions })
		}
		b := dialBoard(t, mawei, m.Dial)
		b.send(epoch, longan.Sample, 1, 1, (round+1)*300) // everything again, and more
		b.send(epoch, longan.Alarm, 1, round+1, round+1)
		b.acked(epoch, longan.Alarm, round+1)
		b.acked(epoch, longan.Sample, (round+1)*300)
		b.client.Disconnect(100)
	}
	if got := c.Metrics(); got.Events != 903 || got.Duplicates != 300+600 {
		t.Errorf("metrics %+v: want 903 events and 900 duplicates", got)
	}
	c.stop()
	if n := checkComplete(t, path); n != 903 {
		t.Errorf("%d events stored, want 903", n)
	}
}

// TestWaitsForBroker: a city whose broker is not there yet starts, and takes
// messages when it comes.
func TestWaitsForBroker(t *testing.T) {
	m := newMosquitto(t)
	m.kill()
	var tries atomic.Int32
	city, err := New(Config{StorePath: storePath(t), Dial: func(ctx context.Context) (net.Conn, error) {
		defer tries.Add(1)
		return m.Dial(ctx)
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- city.Run(ctx) }()
	poll(t, "the city tries", func() bool { return tries.Load() > 1 })
	m.start()
	poll(t, "the city is ready", func() bool {
		select {
		case <-city.Ready():
			return true
		default:
			return false
		}
	})
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func poll(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(40 * time.Second); !done(); <-time.After(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("in 40 s not yet: %s", what)
		}
	}
}
