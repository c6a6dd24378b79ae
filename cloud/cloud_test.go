package cloud

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/longan-edge/longan"
)

const (
	mawei = longan.DeviceID("621202104-01")
	epoch = "9f86d081884c7d65"
)

func TestEventsArriveOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := storePath(t)
		c := startCity(t, path, nil)
		b := dialBoard(t, mawei, c.mqtt.Dial)
		b.send(epoch, longan.State, 1, 1, 50)
		b.acked(epoch, longan.State, 50)
		b.send(epoch, longan.State, 1, 61, 70) // ahead of what is missing
		if a := b.nextAck(); a.Lanes[longan.State] != 50 {
			t.Errorf("acked %v behind a gap, want state 50", a.Lanes)
		}
		b.send(epoch, longan.Alarm, 1, 1, 1)
		b.acked(epoch, longan.Alarm, 1)
		b.send(epoch, longan.State, 1, 51, 60)
		b.acked(epoch, longan.State, 70)
		b.send(epoch, longan.State, 1, 1, 70) // its ack was lost: everything again
		if a := b.nextAck(); a.Lanes[longan.State] != 70 || a.Lanes[longan.Alarm] != 1 {
			t.Errorf("acked %v, want state 70, alarm 1", a.Lanes)
		}
		b.send("e2", longan.State, 1, 1, 3) // a new spool
		b.acked("e2", longan.State, 3)
		synctest.Wait()
		if got := c.Metrics(); got.Events != 74 || got.Duplicates != 70 || got.Batches != 6 || got.Acks != 6 {
			t.Errorf("metrics %+v: want 74 events, 70 duplicates, 6 batches", got)
		}
		b.client.Disconnect(100)
		c.stop()
		if n := checkComplete(t, path); n != 74 {
			t.Errorf("%d events stored, want 74", n)
		}
	})
}

// TestRestart: a city that ends in the middle goes on where it was, and a board
// that knows nothing of it sends what was not acknowledged.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := storePath(t)
		for round := range uint64(5) {
			c := startCity(t, path, nil)
			b := dialBoard(t, mawei, c.mqtt.Dial)
			b.send(epoch, longan.State, 1, max(5, round*10)-4, round*10+5) // from behind the last ack
			b.acked(epoch, longan.State, round*10+5)
			b.send(epoch, longan.State, 1, round*10+6, round*10+10) // may be stored or not when the city ends
			c.stop()
			b.client.Disconnect(100)
		}
		c := startCity(t, path, nil)
		b := dialBoard(t, mawei, c.mqtt.Dial)
		b.send(epoch, longan.State, 41, 41, 50)
		b.acked(epoch, longan.State, 50)
		b.client.Disconnect(100)
		c.stop()
		if n := checkComplete(t, path); n != 50 {
			t.Errorf("%d events stored, want 50", n)
		}
	})
}

// TestManyBoards: two hundred boards with a backlog each, all at once.
func TestManyBoards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := storePath(t)
		c := startCity(t, path, nil)
		ended := make(chan bool)
		townships := longan.Townships()
		for _, town := range townships {
			go func() {
				defer func() { ended <- true }()
				b := dialBoard(t, longan.DeviceID(town.Code+"-01"), c.mqtt.Dial)
				defer b.client.Disconnect(100)
				for i := range uint64(4) {
					b.send(epoch, longan.State, 1, i*10+1, i*10+10)
				}
				b.send(epoch, longan.Alarm, 1, 1, 1)
				b.acked(epoch, longan.Alarm, 1)
				b.acked(epoch, longan.State, 40)
			}()
		}
		for range townships {
			<-ended
		}
		if m := c.Metrics(); m.Dropped+m.BrokerDropped+m.Duplicates > 0 {
			t.Errorf("metrics %+v: want nothing dropped and nothing twice", m)
		}
		c.stop()
		if n, want := checkComplete(t, path), uint64(41*len(townships)); n != want {
			t.Errorf("%d events stored, want %d", n, want)
		}
	})
}

func TestRefusesWhatIsNotTheTopics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := storePath(t)
		c := startCity(t, path, nil)
		b := dialBoard(t, mawei, c.mqtt.Dial)
		up := longan.Topic{Device: mawei, Kind: longan.TopicUp, Lane: longan.State}
		other, err := events("621222101-01", epoch, longan.State, 1, 1, 1).Encode()
		if err != nil {
			t.Fatal(err)
		}
		alarm, err := events(mawei, epoch, longan.Alarm, 1, 1, 1).Encode()
		if err != nil {
			t.Fatal(err)
		}
		for _, payload := range [][]byte{other, alarm, []byte("{}"), []byte("\x01bomb"), nil} {
			b.publish(up, payload)
		}
		b.send(epoch, longan.State, 1, 1, 1) // the good one behind them
		b.acked(epoch, longan.State, 1)
		got := c.Metrics().Refused
		if got["wrong-device"] != 1 || got["wrong-lane"] != 1 || got["bad-message"] != 3 {
			t.Errorf("refused %v: want 1 wrong-device, 1 wrong-lane, 3 bad-message", got)
		}
		b.client.Disconnect(100)
		c.stop()
		if n := checkComplete(t, path); n != 1 {
			t.Errorf("%d events stored, want 1", n)
		}
	})
}

// TestShows: what a board says is on the page's API, and after a restart the
// center is unknown, not what it was.
func TestShows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := storePath(t)
		c := startCity(t, path, nil)
		b := dialBoard(t, mawei, c.mqtt.Dial)
		st := &longan.Status{Device: mawei, Session: "s1", N: 1, Epoch: epoch, State: longan.Online, Full: true, Name: "马街镇综治中心",
			Points: map[string]longan.PointStatus{"front-door": {State: longan.Active, Kind: "door"}}}
		payload, err := st.Encode()
		if err != nil {
			t.Fatal(err)
		}
		b.publish(longan.Topic{Device: mawei, Kind: longan.TopicStatus}, payload)
		b.send(epoch, longan.Alarm, 1, 1, 1)
		b.acked(epoch, longan.Alarm, 1)
		synctest.Wait()
		if got := get(t, c, "/api/v1/centers/"+string(mawei)); !strings.Contains(got, `"online"`) || !strings.Contains(got, "front-door") {
			t.Errorf("center: %s\nwant it online with its front door", got)
		}
		if got := get(t, c, "/api/v1/events?lane=alarm"); !strings.Contains(got, longan.AlarmRaised) {
			t.Errorf("events: %s\nwant the alarm", got)
		}
		time.Sleep(5 * time.Second) // until the status is saved
		c.stop()
		b.client.Disconnect(100)
		c = startCity(t, path, nil)
		if got := get(t, c, "/api/v1/centers/"+string(mawei)); !strings.Contains(got, `"unknown"`) || !strings.Contains(got, "马街镇") {
			t.Errorf("center after restart: %s\nwant it unknown with its name", got)
		}
		if got := get(t, c, "/api/v1/alarms"); !strings.Contains(got, `"point-1"`) {
			t.Errorf("alarms after restart: %s\nwant the alarm", got)
		}
		c.stop()
	})
}

func get(t *testing.T, c *city, path string) string {
	t.Helper()
	conn, err := c.http.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: city\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("get %s: %s %s %v", path, res.Status, body, err)
	}
	return string(body)
}

func TestConfigErrors(t *testing.T) {
	l := newPipes()
	for _, test := range []struct {
		name string
		cfg  Config
		want error // nil is any
	}{
		{"no store", Config{MQTT: l, InsecureDemo: true}, nil},
		{"nothing to listen to", Config{StorePath: "x", InsecureDemo: true}, ErrNoBroker},
		{"no passwords", Config{StorePath: "x", MQTT: l}, ErrNoPasswords},
		{"two brokers", Config{StorePath: "x", MQTT: l, Broker: "tcp://b"}, ErrTwoBrokers},
		{"two brokers, one with TLS", Config{StorePath: "x", MQTTS: l, Broker: "tcp://b"}, ErrTwoBrokers},
		{"TLS without a certificate", Config{StorePath: "x", MQTTS: l, InsecureDemo: true}, ErrCertificate},
		{"TLS without files", Config{StorePath: "x", MQTTS: l, TLSCert: "none.pem", TLSKey: "none.key", InsecureDemo: true}, ErrCertificate},
		{"county", Config{StorePath: "x", Broker: "tcp://b", Counties: []string{"62120"}}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := New(test.cfg); err == nil || (test.want != nil && !errors.Is(err, test.want)) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

// TestRunErrors: what cannot start says so and leaves no listener open.
func TestRunErrors(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "passwords")
	if err := os.WriteFile(bad, []byte("nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Config){
		"store folder":  func(c *Config) { c.StorePath = filepath.Join(dir, "missing", "city.db") },
		"password file": func(c *Config) { c.PasswordFile = bad },
		"broker url":    func(c *Config) { c.MQTT, c.Broker = nil, "http://host" },
		"mqtt listener": func(c *Config) { c.MQTT.Close() },
		"http listener": func(c *Config) { c.HTTP.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := Config{StorePath: filepath.Join(dir, "city.db"), MQTT: newPipes(), HTTP: newPipes(), InsecureDemo: true}
				change(&cfg)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if err := Run(ctx, cfg); err == nil {
					t.Error("no error")
				}
				for _, l := range []net.Listener{cfg.MQTT, cfg.HTTP} {
					if p, ok := l.(*pipes); ok {
						<-p.closed
					}
				}
			})
		})
	}
}
