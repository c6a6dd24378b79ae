package broker

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/longan-edge/longan"
)

const (
	mawei = longan.DeviceID("621202104-01")
	other = longan.DeviceID("621222101-01")
)

// oneWord is an Authenticator to whom every device has the same password.
type oneWord string

func (w oneWord) Authenticate(_ longan.DeviceID, password []byte) bool {
	return string(password) == string(w)
}

// start runs a broker with a listener outside; both end with the test.
func start(t *testing.T, cfg Config) (*Broker, *pipeListener) {
	t.Helper()
	cfg.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	b, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	outside := newPipeListener()
	served := make(chan error, 1)
	go func() { served <- b.Serve(outside) }()
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return b, outside
}

type client struct {
	mqtt.Client
	got  chan mqtt.Message
	lost chan error
}

func options(id, user, password string) *mqtt.ClientOptions {
	return mqtt.NewClientOptions().SetClientID(id).SetUsername(user).SetPassword(password)
}

// connect returns a client, or the error that the broker answered.
func connect(t *testing.T, dial func(context.Context) (net.Conn, error), o *mqtt.ClientOptions) (*client, error) {
	t.Helper()
	c := &client{got: make(chan mqtt.Message, 100), lost: make(chan error, 1)}
	o.AddBroker("tcp://b").SetProtocolVersion(4).SetAutoReconnect(false).SetWriteTimeout(5 * time.Second).SetOrderMatters(false)
	o.SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) { return dial(context.Background()) })
	o.SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { c.got <- m })
	o.SetConnectionLostHandler(func(_ mqtt.Client, err error) { c.lost <- err })
	c.Client = mqtt.NewClient(o)
	t.Cleanup(func() { c.Disconnect(100) })
	token := c.Connect()
	if !token.WaitTimeout(time.Minute) {
		t.Fatal("no answer to connect")
	}
	return c, token.Error()
}

func mustConnect(t *testing.T, dial func(context.Context) (net.Conn, error), o *mqtt.ClientOptions) *client {
	t.Helper()
	c, err := connect(t, dial, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *client) subscribe(t *testing.T, filter string) (code byte) {
	t.Helper()
	token := c.Subscribe(filter, 1, nil).(*mqtt.SubscribeToken)
	if !token.WaitTimeout(time.Minute) || token.Error() != nil {
		t.Fatalf("subscribe: %v", token.Error())
	}
	for _, code = range token.Result() { // one; paho takes $share/group/ off its key
	}
	return code
}

func statusTopic(d longan.DeviceID) string {
	return longan.Topic{Device: d, Kind: longan.TopicStatus}.String()
}

func TestWhoMayConnect(t *testing.T) {
	will := func(o *mqtt.ClientOptions, topic string) *mqtt.ClientOptions { return o.SetWill(topic, "{}", 1, true) }
	id := string(mawei)
	for _, test := range []struct {
		name    string
		cfg     Config
		options *mqtt.ClientOptions
		want    bool
	}{
		{"device", Config{Auth: oneWord("x")}, options(id, id, "x"), true},
		{"wrong password", Config{Auth: oneWord("x")}, options(id, id, "y"), false},
		{"no password", Config{Auth: oneWord("x")}, options(id, "", ""), false},
		{"other user", Config{Auth: oneWord("x")}, options(id, string(other), "x"), false},
		{"no device", Config{Auth: oneWord("x")}, options("board", "board", "x"), false},
		{"no authenticator", Config{}, options(id, id, "x"), false},
		{"own will", Config{Auth: oneWord("x")}, will(options(id, id, "x"), statusTopic(mawei)), true},
		{"will of another", Config{Auth: oneWord("x")}, will(options(id, id, "x"), statusTopic(other)), false},
		{"will on a command", Config{Anonymous: true}, will(options(id, "", ""), "longan/v1/621202/621202104-01/cmd"), false},
		{"demo device", Config{Anonymous: true}, options(id, "", ""), true},
		{"demo spectator", Config{Anonymous: true}, options("me", "", ""), true},
		{"demo spectator's will", Config{Anonymous: true}, will(options("me", "", ""), statusTopic(mawei)), false},
		{"the city's id", Config{Anonymous: true}, options("longan-ingest-1", "", ""), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, outside := start(t, test.cfg)
				_, err := connect(t, outside.dial, test.options)
				if (err == nil) != test.want {
					t.Errorf("got %v, want it let in: %v", err, test.want)
				}
				if (b.Refused() == 0) != test.want {
					t.Errorf("%d refusals counted", b.Refused())
				}
			})
		})
	}
}

func TestWhoMaySubscribe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, outside := start(t, Config{Anonymous: true})
		device := mustConnect(t, outside.dial, options(string(mawei), "", ""))
		spectator := mustConnect(t, outside.dial, options("me", "", ""))
		city := mustConnect(t, b.Dial, options("longan-ingest-1", "", ""))
		for _, test := range []struct {
			name   string
			client *client
			filter string
			want   bool
		}{
			{"own ack", device, "longan/v1/621202/621202104-01/ack", true},
			{"own commands", device, "longan/v1/621202/621202104-01/cmd", true},
			{"own configuration", device, "longan/v1/621202/621202104-01/config", true},
			{"own status", device, "longan/v1/621202/621202104-01/status", false},
			{"ack of another", device, "longan/v1/621222/621222101-01/ack", false},
			{"all acks", device, "longan/v1/+/+/ack", false},
			{"all of own", device, "longan/v1/621202/621202104-01/#", false},
			{"everything", device, "#", false},
			{"shared", device, "$share/g/longan/v1/621202/621202104-01/ack", false},
			{"spectator", spectator, "longan/v1/#", true},
			{"spectator of the broker", spectator, "$SYS/#", false},
			{"city", city, longan.UpFilter(""), true},
		} {
			if code := test.client.subscribe(t, test.filter); (code <= 2) != test.want {
				t.Errorf("%s: subscribe to %s: code %#x, want it granted: %v", test.name, test.filter, code, test.want)
			}
		}
	})
}

func TestWhoMayPublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, outside := start(t, Config{Anonymous: true})
		city := mustConnect(t, b.Dial, options("longan-ingest-1", "", ""))
		city.subscribe(t, "#")
		for _, test := range []struct {
			name, id, topic string
			want            bool
		}{
			{"own events", string(mawei), "longan/v1/621202/621202104-01/up/state", true},
			{"own status", string(mawei), statusTopic(mawei), true},
			{"own result", string(mawei), "longan/v1/621202/621202104-01/result", true},
			{"own ack", string(mawei), "longan/v1/621202/621202104-01/ack", false},
			{"own command", string(mawei), "longan/v1/621202/621202104-01/cmd", false},
			{"events of another", string(mawei), "longan/v1/621222/621222101-01/up/state", false},
			{"wrong county", string(mawei), "longan/v1/621222/621202104-01/up/state", false},
			{"elsewhere", string(mawei), "x", false},
			{"spectator", "me", statusTopic(mawei), false},
		} {
			c := mustConnect(t, outside.dial, options(test.id, "", ""))
			c.Publish(test.topic, 0, false, "{}").WaitTimeout(time.Minute)
			synctest.Wait()
			select {
			case m := <-city.got:
				if !test.want {
					t.Errorf("%s: %s arrived", test.name, m.Topic())
				}
			default:
				if test.want {
					t.Errorf("%s: did not arrive", test.name)
				}
			}
			c.Disconnect(100)
		}
	})
}

// TestRetains: a status is kept for later subscribers, nothing else is.
func TestRetains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, outside := start(t, Config{Anonymous: true})
		device := mustConnect(t, outside.dial, options(string(mawei), "", ""))
		device.Publish(statusTopic(mawei), 1, true, "{}").WaitTimeout(time.Minute)
		device.Publish("longan/v1/621202/621202104-01/up/alarm", 1, true, "{}").WaitTimeout(time.Minute)
		synctest.Wait() // the server confirms a message before it passes it on
		city := mustConnect(t, b.Dial, options("longan-ingest-1", "", ""))
		city.subscribe(t, "#")
		synctest.Wait()
		if len(city.got) != 1 {
			t.Fatalf("%d retained messages, want 1", len(city.got))
		}
		if m := <-city.got; m.Topic() != statusTopic(mawei) || !m.Retained() {
			t.Errorf("retained: %s", m.Topic())
		}
	})
}

// TestSilentClients: who does not speak MQTT, or stops to, does not stay.
func TestSilentClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, outside := start(t, Config{Anonymous: true})
		conn, err := outside.dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Error("the broker said something")
		}
		if took := time.Since(begin); took > connectWithin+time.Second {
			t.Errorf("silent connection ended after %v, want %v", took, connectWithin)
		}

		// CONNECT with keep-alive 0, and then nothing.
		if conn, err = outside.dial(t.Context()); err != nil {
			t.Fatal(err)
		}
		connectPacket := append([]byte{0x10, 24, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0, 12}, mawei...)
		if _, err := conn.Write(connectPacket); err != nil {
			t.Fatal(err)
		}
		begin = time.Now()
		for err == nil {
			_, err = conn.Read(make([]byte, 100))
		}
		if took := time.Since(begin); took < time.Minute || took > 2*maxKeepAlive*time.Second {
			t.Errorf("client without keep-alive ended after %v", took)
		}
	})
}

func TestTooLargePacket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, outside := start(t, Config{Anonymous: true})
		c := mustConnect(t, outside.dial, options(string(mawei), "", ""))
		c.Publish(statusTopic(mawei), 0, false, strings.Repeat("x", maxPacket))
		select {
		case <-c.lost:
		case <-time.After(time.Minute):
			t.Error("the connection stands after a packet that is too large")
		}
	})
}

// TestCloseWithClients: closing ends what is connected, half connected and
// listening, and leaves no goroutine: synctest would see it.
func TestCloseWithClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, outside := start(t, Config{Anonymous: true})
		c := mustConnect(t, outside.dial, options(string(mawei), "", ""))
		silent, err := outside.dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("close took %v", took)
		}
		<-c.lost
		if _, err := silent.Read(make([]byte, 1)); err == nil {
			t.Error("the half connected client was not closed")
		}
		if _, err := b.Dial(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("dial: %v, want %v", err, ErrClosed)
		}
		if err := b.Serve(newPipeListener()); !errors.Is(err, ErrClosed) {
			t.Errorf("serve: %v, want %v", err, ErrClosed)
		}
	})
}

// failing is a listener that fails as told.
type failing struct {
	*pipeListener
	errs chan error
}

func (f failing) Accept() (net.Conn, error) {
	select {
	case err := <-f.errs:
		return nil, err
	default:
		return f.pipeListener.Accept()
	}
}

func TestListenerErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := start(t, Config{Anonymous: true})
		l := failing{newPipeListener(), make(chan error, 2)}
		l.errs <- passing{errors.New("too many open files")}
		served := make(chan error, 1)
		go func() { served <- b.Serve(l) }()
		c := mustConnect(t, l.dial, options(string(mawei), "", "")) // it went on
		c.Disconnect(100)
		l.Close()
		if err := <-served; !errors.Is(err, net.ErrClosed) {
			t.Errorf("serve: %v, want the listener's error", err)
		}
	})
}

// TestRefusalsAreQuiet: a client that is refused all the time is logged once.
func TestRefusalsAreQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		r := refusals{log: slog.New(slog.NewTextHandler(&out, nil)), said: map[string]time.Time{}}
		for range 100 {
			r.note("a", "connect", "wrong password")
		}
		r.note("b", "connect", "wrong password")
		if n := strings.Count(out.String(), "refused"); n != 2 || r.count.Load() != 101 {
			t.Errorf("%d lines, %d counted; want 2, 101", n, r.count.Load())
		}
		time.Sleep(sayEvery)
		r.note("a", "connect", "wrong password")
		if n := strings.Count(out.String(), "refused"); n != 3 {
			t.Errorf("%d lines after a while, want 3", n)
		}
	})
}
