package uplink

import (
	"cmp"
	"context"
	"errors"
	"hash/crc32"
	"io"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/longan-edge/longan"
)

// city is a broker and what listens behind it, in memory.
type city struct {
	t      *testing.T
	server *mqtt.Server

	mu       sync.Mutex
	batches  []*longan.Batch
	statuses []*longan.Status
	dials    int
	near     net.Conn // the board's end of the latest
	silent   bool     // acknowledges nothing
	refuse   bool     // refuses connections
	why      error
	credit   uint64
	tooMany  int    // drops the connection that brings a batch of more events; 0 is none
	poison   uint64 // refuses batches with this event
	refusals int
	stored   map[uint64]longan.Event // of the state lane
	at       []string                // brokers dialled
	down     map[string]bool         // brokers that can't be reached
}

// allowAll lets every client do everything.
type allowAll struct{ mqtt.HookBase }

func (*allowAll) ID() string { return "allow-all" }
func (*allowAll) Provides(b byte) bool {
	return b == mqtt.OnConnectAuthenticate || b == mqtt.OnACLCheck
}
func (*allowAll) OnConnectAuthenticate(*mqtt.Client, packets.Packet) bool { return true }
func (*allowAll) OnACLCheck(*mqtt.Client, string, bool) bool              { return true }

func newCity(t *testing.T) *city {
	t.Helper()
	c := &city{t: t, stored: map[uint64]longan.Event{}, down: map[string]bool{}, server: mqtt.New(&mqtt.Options{InlineClient: true, Logger: slog.New(slog.DiscardHandler)})}
	if err := c.server.AddHook(new(allowAll), nil); err != nil {
		t.Fatal(err)
	}
	if err := c.server.Serve(); err != nil {
		t.Fatal(err)
	}
	if err := c.server.Subscribe("longan/v1/#", 1, c.receive); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *city) receive(_ *mqtt.Client, _ packets.Subscription, pk packets.Packet) {
	topic, err := longan.ParseTopic(pk.TopicName)
	if err != nil {
		c.t.Errorf("topic: %v", err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch topic.Kind {
	case longan.TopicUp:
		b, err := longan.DecodeBatch(pk.Payload)
		if err != nil {
			c.t.Errorf("batch: %v", err)
			return
		}
		if c.tooMany > 0 && len(b.Events) > c.tooMany {
			if cl, ok := c.server.Clients.Get(string(testDevice)); ok {
				go cl.Stop(errors.New("too large"))
			}
			return
		}
		c.batches = append(c.batches, b)
		c.store(b, pk.Payload)
	case longan.TopicStatus:
		s, err := longan.DecodeStatus(pk.Payload)
		if err != nil {
			c.t.Errorf("status: %v", err)
			return
		}
		c.statuses = append(c.statuses, s)
	}
}

// store acknowledges a batch or refuses it. Of the state lane it keeps book, and
// acknowledges what is complete.
func (c *city) store(b *longan.Batch, payload []byte) {
	last := b.Events[len(b.Events)-1].Seq
	if b.Lane == longan.State {
		for _, e := range b.Events {
			if e.Seq == c.poison && e.Type != longan.SpoolGap {
				c.refusals++
				go c.say(&longan.Ack{Refused: &longan.Refusal{
					Lane: b.Lane, CRC: crc32.Checksum(payload, castagnoli), Reason: longan.RefusedByStore,
				}})
				return
			}
		}
		for _, e := range b.Events {
			c.stored[e.Seq] = e
		}
		for last = 0; c.stored[last+1].Seq != 0; last++ {
		}
	}
	if !c.silent {
		go c.ack(b.Epoch, b.Lane, last)
	}
}

func (c *city) ack(epoch string, l longan.Lane, seq uint64) {
	c.mu.Lock()
	credit := c.credit
	c.mu.Unlock()
	c.say(&longan.Ack{Epoch: epoch, Lanes: map[longan.Lane]uint64{l: seq}, Credit: credit})
}

func (c *city) say(a *longan.Ack) {
	payload, err := a.Encode()
	if err != nil {
		c.t.Error(err)
	}
	topic := longan.Topic{Device: testDevice, Kind: longan.TopicAck}.String()
	if err := c.server.Publish(topic, payload, false, 0); err != nil {
		c.t.Log(err) // the server is closing
	}
}

func (c *city) dial(_ context.Context, broker *url.URL) (net.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dials++
	c.at = append(c.at, broker.Host)
	if c.refuse || c.down[broker.Host] {
		return nil, cmp.Or(c.why, errors.New("no route"))
	}
	near, far := net.Pipe()
	c.near = near
	go c.server.EstablishConnection("pipe", far)
	return near, nil
}

func (c *city) get(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

// runUplink runs an uplink against the city until the test's steps return.
func runUplink(t *testing.T, c *city, q Queue, changed chan struct{}, steps func(), brokers ...string) {
	t.Helper()
	if len(brokers) == 0 {
		brokers = []string{"mqtt://city"}
	}
	u, err := New(Config{
		Device: testDevice, Brokers: brokers, Dial: c.dial, Queue: q,
		Status:        func() *longan.Status { return &longan.Status{Device: testDevice, Name: "马街镇综治中心"} },
		StatusChanged: changed, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := u.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v", err)
		}
	})
	steps()
	stop()
	running.Wait()
	c.server.Close()
}

func TestEventsAreFreedByTheCityOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, q := newCity(t), newMemQueue()
		c.silent = true // the broker confirms every batch, the city none
		q.add(longan.State, 5)
		runUplink(t, c, q, nil, func() {
			time.Sleep(5 * time.Second)
			if got := q.Lane(longan.State).Acked; got != 0 {
				t.Errorf("%d events freed without an ack", got)
			}
			c.get(func() { c.silent = false })
			time.Sleep(ackTimeout + 2*time.Second)
			if got := q.Lane(longan.State).Acked; got != 5 {
				t.Errorf("%d events freed after a resend, want 5", got)
			}
		})
	})
}

func TestASilentCityMakesANewSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, q := newCity(t), newMemQueue()
		c.silent = true
		q.add(longan.State, 1)
		runUplink(t, c, q, nil, func() {
			time.Sleep(stallTimeout + 20*time.Second)
			c.get(func() {
				if c.dials < 2 {
					t.Errorf("%d connections after a minute without an ack, want another", c.dials)
				}
				c.silent = false
			})
			time.Sleep(30 * time.Second)
			if got := q.Lane(longan.State).Acked; got != 1 {
				t.Error("the event did not arrive in the new session")
			}
		})
	})
}

func TestStatusComesFirstAndGoodbyeLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, q := newCity(t), newMemQueue()
		changed := make(chan struct{}, 1)
		q.add(longan.State, 1)
		runUplink(t, c, q, changed, func() {
			time.Sleep(3 * time.Second)
			changed <- struct{}{}
			time.Sleep(12 * time.Second)
		})
		c.get(func() {
			var got []string
			for _, s := range c.statuses {
				kind := s.State
				if s.Full {
					kind += " full"
				}
				got = append(got, kind)
			}
			want := []string{"online full", "online full", "online", "offline full"}
			if !slices.Equal(got, want) {
				t.Errorf("statuses %q, want %q", got, want)
			}
			session := c.statuses[0].Session
			for _, s := range c.statuses {
				if s.Session != session || (s.Full && s.Epoch != "e1") {
					t.Errorf("status of session %q epoch %q, want %q e1", s.Session, s.Epoch, session)
				}
			}
		})
	})
}

func TestAlarmGoesBeforeBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, q := newCity(t), newMemQueue()
		c.silent = true
		q.add(longan.Sample, 5000)
		q.add(longan.State, 5000)
		q.add(longan.Alarm, 1)
		runUplink(t, c, q, nil, func() { time.Sleep(time.Second) })
		c.get(func() {
			if len(c.batches) == 0 || c.batches[0].Lane != longan.Alarm {
				t.Fatalf("first of %d batches is not the alarm", len(c.batches))
			}
			if n := len(c.batches); n != 1+2*windowMost {
				t.Errorf("%d batches under way, want the alarm and two full windows", n)
			}
		})
	})
}

func TestReconnectingIsSpreadAndBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, q := newCity(t), newMemQueue()
		c.refuse = true
		runUplink(t, c, q, nil, func() {
			time.Sleep(time.Hour)
			c.get(func() {
				// On average a try every 30 s once the bound is reached.
				if c.dials < 60 || c.dials > 240 {
					t.Errorf("%d tries in an hour", c.dials)
				}
				c.refuse = false
			})
			time.Sleep(backoffMost + time.Second)
			c.get(func() {
				if len(c.statuses) == 0 {
					t.Error("not connected within the longest backoff")
				}
			})
		})
	})
}

func TestAnAlarmCutsTheBackoffShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, q := newCity(t), newMemQueue()
		c.refuse = true
		runUplink(t, c, q, nil, func() {
			time.Sleep(time.Hour) // the bound is reached
			tries := func() (n int) {
				c.get(func() { n = c.dials; c.dials = 0 })
				return n
			}
			tries()
			q.add(longan.Alarm, 1)
			time.Sleep(backoffFirst + 10*time.Millisecond)
			if tries() == 0 {
				t.Error("no try within a second of an alarm")
			}
			time.Sleep(10 * time.Minute)
			// On average a try every 2.5 s while the alarm waits.
			if n := tries(); n < 120 || n > 600 {
				t.Errorf("%d tries in ten minutes with an alarm waiting", n)
			}
			q.add(longan.State, 1) // a door is no reason
			time.Sleep(time.Second)
		})
	})
}

func TestAckOfAnotherSpoolIsIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, q := newCity(t), newMemQueue()
		c.silent = true
		q.add(longan.State, 2)
		runUplink(t, c, q, nil, func() {
			time.Sleep(time.Second)
			c.ack("e0", longan.State, 2)
			time.Sleep(time.Second)
			if got := q.Lane(longan.State).Acked; got != 0 {
				t.Errorf("an ack for epoch e0 freed %d events of epoch e1", got)
			}
			c.ack("e1", longan.State, 2)
			time.Sleep(time.Second)
			if got := q.Lane(longan.State).Acked; got != 2 {
				t.Errorf("acked %d, want 2", got)
			}
		})
	})
}
