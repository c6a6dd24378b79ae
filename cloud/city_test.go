package cloud

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/longan-edge/longan"
)

// pipes is a listener whose connections are net.Pipes, so that a city and its
// boards live in one synctest bubble.
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
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

func (p *pipes) Dial(ctx context.Context) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// city is a running city of a test.
type city struct {
	*Cloud
	t      *testing.T
	mqtt   *pipes
	http   *pipes
	cancel context.CancelFunc
	ended  chan error
}

// startCity runs a city on the store at path and waits until it takes messages.
func startCity(t *testing.T, path string, change func(*Config)) *city {
	t.Helper()
	c := &city{t: t, mqtt: newPipes(), http: newPipes(), ended: make(chan error, 1)}
	cfg := Config{StorePath: path, MQTT: c.mqtt, HTTP: c.http, InsecureDemo: true,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	if change != nil {
		change(&cfg)
	}
	var err error
	if c.Cloud, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background()) // the test's own ends before its cleanup
	c.cancel = cancel
	go func() { c.ended <- c.Run(ctx); close(c.ended) }()
	t.Cleanup(func() { c.cancel(); <-c.ended })
	select {
	case <-c.Ready():
	case err := <-c.ended:
		t.Fatalf("city ended: %v", err)
	case <-time.After(30 * time.Second):
		t.Fatal("city is not ready in 30 s")
	}
	return c
}

// stop ends the city and fails the test unless it ends soon and well.
func (c *city) stop() {
	c.t.Helper()
	start := time.Now()
	c.cancel()
	if err := <-c.ended; err != nil {
		c.t.Errorf("city: %v", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		c.t.Errorf("city took %v to stop", took)
	}
}

// board is the device side of the contract, written by hand: what an agent must
// do, and what it must not.
type board struct {
	t      *testing.T
	device longan.DeviceID
	client mqtt.Client
	acks   chan *longan.Ack
	last   map[string]*longan.Ack // by epoch
}

func dialBoard(t *testing.T, device longan.DeviceID, dial func(context.Context) (net.Conn, error)) *board {
	t.Helper()
	b := &board{t: t, device: device, acks: make(chan *longan.Ack, 100), last: map[string]*longan.Ack{}}
	o := mqtt.NewClientOptions().AddBroker("tcp://city").SetClientID(string(device)).SetProtocolVersion(4).
		SetAutoReconnect(false).SetWriteTimeout(10 * time.Second).SetKeepAlive(10 * time.Second).SetOrderMatters(false)
	o.SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		return dial(ctx)
	})
	b.client = mqtt.NewClient(o)
	t.Cleanup(func() { b.client.Disconnect(100) })
	b.wait(b.client.Connect())
	b.wait(b.client.Subscribe(longan.Topic{Device: device, Kind: longan.TopicAck}.String(), 0, func(_ mqtt.Client, m mqtt.Message) {
		a, err := longan.DecodeAck(m.Payload())
		if err != nil {
			t.Errorf("ack: %v", err)
			return
		}
		b.acks <- a
	}))
	return b
}

func (b *board) wait(token mqtt.Token) {
	b.t.Helper()
	if !token.WaitTimeout(20 * time.Second) {
		b.t.Fatal("no answer from the broker in 20 s")
	}
	if err := token.Error(); err != nil {
		b.t.Fatal(err)
	}
}

// send publishes a batch; its events are numbered from..to.
func (b *board) send(epoch string, lane longan.Lane, oldest, from, to uint64) {
	b.t.Helper()
	payload, err := events(b.device, epoch, lane, oldest, from, to).Encode()
	if err != nil {
		b.t.Fatal(err)
	}
	b.publish(longan.Topic{Device: b.device, Kind: longan.TopicUp, Lane: lane}, payload)
}

func (b *board) publish(topic longan.Topic, payload []byte) {
	b.t.Helper()
	b.wait(b.client.Publish(topic.String(), 1, topic.Kind == longan.TopicStatus, payload))
}

func events(device longan.DeviceID, epoch string, lane longan.Lane, oldest, from, to uint64) *longan.Batch {
	batch := &longan.Batch{Device: device, Epoch: epoch, Lane: lane, Oldest: oldest}
	typ := longan.DoorOpened
	if lane == longan.Alarm {
		typ = longan.AlarmRaised
	}
	for seq := from; seq <= to; seq++ {
		batch.Events = append(batch.Events, longan.Event{Seq: seq, Type: typ, Point: fmt.Sprintf("point-%d", seq%7),
			Time: time.Date(2026, 11, 23, 8, 0, int(seq), 0, time.UTC), Clock: longan.ClockNTP, Boot: "b1",
			Mono: time.Duration(seq) * time.Second, Data: []byte(`{"cause":"panic"}`)})
	}
	return batch
}

// acked waits until the last ack of the epoch says n for the lane.
func (b *board) acked(epoch string, lane longan.Lane, n uint64) {
	b.t.Helper()
	timeout := time.After(20 * time.Second)
	for a := b.last[epoch]; a == nil || a.Lanes[lane] != n; a = b.last[epoch] {
		select {
		case a := <-b.acks:
			b.last[a.Epoch] = a
		case <-timeout:
			b.t.Fatalf("no ack of %s %d in 20 s; last one %+v", lane, n, a)
		}
	}
}

// nextAck waits for an ack that was not waited for yet.
func (b *board) nextAck() *longan.Ack {
	b.t.Helper()
	select {
	case a := <-b.acks:
		b.last[a.Epoch] = a
		return a
	case <-time.After(20 * time.Second):
		b.t.Fatal("no ack in 20 s")
		return nil
	}
}

// checkComplete fails the test unless every stream of the store is 1..Max,
// each once, all acknowledged, and returns the number of events.
func checkComplete(t *testing.T, path string) uint64 {
	t.Helper()
	s, err := OpenStore(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	checks, err := s.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	total := uint64(0)
	for _, c := range checks {
		if !c.Contiguous || c.Acked != c.Max || c.Lost != 0 {
			t.Errorf("stream %+v: want complete", c)
		}
		total += c.Count
	}
	if err := s.Integrity(t.Context()); err != nil {
		t.Error(err)
	}
	return total
}

func storePath(t *testing.T) string { return filepath.Join(t.TempDir(), "city.db") }
