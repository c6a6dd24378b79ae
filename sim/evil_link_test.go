package sim

import (
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/cloud"
	"github.com/longan-edge/longan/sim/link"
)

// TestSilenceAtEveryStep: the broker falls silent at one step of the protocol, and
// the connection stays open, as with a half-open link. The board notices, and is
// back within a keep-alive and a half and the longest pause.
func TestSilenceAtEveryStep(t *testing.T) {
	const most = 90*time.Second + time.Minute
	for _, tt := range []struct {
		name string
		at   func(w *wrongs, silent func(c *evilClient, d deed) deed)
	}{
		{"CONNECT", func(w *wrongs, silent func(*evilClient, deed) deed) {
			w.evil.misbehave(func(e *evil) { e.connecting = func(c *evilClient) deed { return silent(c, freeze) } })
		}},
		{"SUBSCRIBE", func(w *wrongs, silent func(*evilClient, deed) deed) {
			w.evil.misbehave(func(e *evil) { e.subscribing = func(c *evilClient) deed { return silent(c, freeze) } })
		}},
		{"first status", func(w *wrongs, silent func(*evilClient, deed) deed) {
			w.evil.misbehave(func(e *evil) { e.publishing = nth(longan.TopicStatus, 1, silent) })
		}},
		{"first batch", func(w *wrongs, silent func(*evilClient, deed) deed) {
			w.evil.misbehave(func(e *evil) { e.publishing = nth(longan.TopicUp, 1, silent) })
		}},
		{"tenth batch", func(w *wrongs, silent func(*evilClient, deed) deed) {
			w.evil.misbehave(func(e *evil) { e.publishing = nth(longan.TopicUp, 10, silent) })
		}},
		{"idle", func(w *wrongs, silent func(*evilClient, deed) deed) {
			time.AfterFunc(7*time.Minute+3*time.Second, func() {
				w.evil.misbehave(func(e *evil) {
					for _, c := range e.clients {
						if silent(c, freeze) != 0 {
							c.freezeNow()
						}
					}
				})
			})
		}},
		{"idle, and only to the board", func(w *wrongs, silent func(*evilClient, deed) deed) {
			time.AfterFunc(7*time.Minute+3*time.Second, func() {
				w.evil.misbehave(func(e *evil) {
					for _, c := range e.clients {
						if silent(c, freeze) != 0 {
							c.deaf = true
						}
					}
				})
			})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wrong(t, func(t *testing.T, w *wrongs) {
				w.fill(500)
				w.wait(time.Minute) // the city has its connection
				var since time.Time
				tt.at(w, func(c *evilClient, d deed) deed {
					if !since.IsZero() || c.city() {
						return 0
					}
					since = time.Now()
					return d
				})
				w.board.start()
				w.move(5, 3*time.Minute)
				w.evil.misbehave(func(e *evil) {
					i := slices.IndexFunc(e.connects, func(c connect) bool { return c.at.After(since) })
					if since.IsZero() || i < 0 {
						t.Fatalf("silent since %v, connections %v", since, e.connects)
					}
					if took := e.connects[i].at.Sub(since); took > most {
						t.Errorf("the board came back after %v, want at most %v", took, most)
					} else {
						t.Logf("came back after %v", took)
					}
				})
				if n, accepted := w.stored(), w.tally.Accepted(); n != accepted {
					t.Errorf("%d events stored of %d accepted", n, accepted)
				}
			})
		})
	}
}

// nth falls silent at the nth message of a kind.
func nth(kind longan.TopicKind, n int, silent func(*evilClient, deed) deed) func(*evilClient, longan.Topic, *packets.PublishPacket) deed {
	return func(c *evilClient, topic longan.Topic, _ *packets.PublishPacket) deed {
		if topic.Kind == kind {
			n--
		}
		if topic.Kind == kind && n == 0 {
			return silent(c, freeze)
		}
		return 0
	}
}

// disconnects is how often TestRandomDisconnects cuts the link.
const disconnects = 10000

// TestRandomDisconnects cuts the link after a random number of bytes, thousands of
// times: in CONNECT, in a batch, in an ack. No goroutine stays behind, and memory
// does not grow.
func TestRandomDisconnects(t *testing.T) {
	n := int64(disconnects)
	if testing.Short() || raceDetector {
		n /= 10
	}
	wrong(t, func(t *testing.T, w *wrongs) {
		rng := rand.New(rand.NewPCG(7, 7))
		var cuts atomic.Int64
		var whole atomic.Bool
		w.board.wrap = func(conn net.Conn) net.Conn {
			if whole.Load() {
				return conn
			}
			cuts.Add(1)
			f := &fragile{Conn: conn}
			f.left.Store(1 + rng.Int64N(1500))
			return f
		}
		w.fill(100)
		w.board.start()
		at := func(n int64) resources { // measured on a connection that stays
			whole.Store(false)
			w.evil.kick()
			for cuts.Load() < n {
				w.move(1, time.Hour)
			}
			whole.Store(true)
			return w.measure()
		}
		first, last := at(n/10), at(n)
		t.Logf("%d cuts: %+v; %d: %+v", n/10, first, cuts.Load(), last)
		if last.goroutines > first.goroutines+5 {
			t.Errorf("%d goroutines after a tenth of the cuts, %d at the end", first.goroutines, last.goroutines)
		}
		if last.heap > first.heap+4<<20 {
			t.Errorf("%d bytes of heap after a tenth of the cuts, %d at the end", first.heap, last.heap)
		}
	})
}

// resources are what this process holds.
type resources struct {
	goroutines int
	heap       uint64
}

// measure waits some minutes, in which what is ending ends and the board connects.
func (w *wrongs) measure() resources {
	w.wait(5 * time.Minute)
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return resources{runtime.NumGoroutine(), m.HeapAlloc}
}

// fragile is a connection that ends after a number of bytes, in either direction.
type fragile struct {
	net.Conn
	left atomic.Int64
}

// Read implements net.Conn.
func (f *fragile) Read(b []byte) (int, error) {
	n, err := f.Conn.Read(b)
	return n, f.wear(n, err)
}

// Write implements net.Conn.
func (f *fragile) Write(b []byte) (int, error) {
	if part := int(f.left.Load()); part >= 0 && part < len(b) {
		b = b[:part]
	}
	n, err := f.Conn.Write(b)
	return n, f.wear(n, err)
}

func (f *fragile) wear(n int, err error) error {
	if f.left.Add(-int64(n)) <= 0 {
		f.Conn.Close()
		return net.ErrClosed
	}
	return err
}

// TestABurstOfMessages: hundreds of messages come to the board at once, acks and
// rubbish, while it has something to say itself. Libraries stop for ever when what
// handles a message waits for the connection.
func TestABurstOfMessages(t *testing.T) {
	wrong(t, func(t *testing.T, w *wrongs) {
		w.fill(300)
		w.board.start()
		for range 5 {
			w.move(1, 10*time.Second)
			w.evil.misbehave(func(e *evil) {
				for i := range 500 {
					p := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
					p.TopicName = longan.Topic{Device: evilDevice, Kind: longan.TopicAck}.String()
					switch i % 3 {
					case 0:
						p.Payload = []byte("no ack")
					case 1: // of nothing
						p.Payload = []byte(`{"v":1,"epoch":"0000000000000000","lanes":{"alarm":99999},"time":"2026-11-23T08:15:30.171Z"}`)
					default:
						p.Payload = []byte(`{"v":1,"epoch":"` + e.statuses[evilDevice].Epoch + `","lanes":{},"time":"2026-11-23T08:15:30.171Z"}`)
					}
					e.publish(nil, p)
				}
			})
			w.press()
			w.wait(20 * time.Second)
			if n, accepted := w.stored(), w.tally.Accepted(); n != accepted {
				t.Errorf("%d events stored of %d, 20 s after a burst", n, accepted)
			}
		}
		w.evil.misbehave(func(e *evil) {
			if len(e.connects) != 1 {
				t.Errorf("%d connections, want the first to outlive every burst", len(e.connects))
			}
		})
	})
}

// TestColdBootWithoutNetwork: what happens from the first second on is kept, though
// there is no network for hours, and is in the city soon after there is one.
func TestColdBootWithoutNetwork(t *testing.T) {
	wrong(t, func(t *testing.T, w *wrongs) {
		w.board.link.Set(linkDown)
		w.board.start()
		w.move(1, time.Second)
		w.press()
		w.move(99, 3*time.Minute)
		if n := w.tally.Accepted(); n != 1+100+2 { // with the agent's start
			t.Errorf("%d events accepted without a network, want 103", n)
		}
		w.board.link.Set(link.Conditions{})
		w.wait(2 * time.Minute)
		if n := w.stored(); n != 103 {
			t.Errorf("%d events stored two minutes after the network came, want 103", n)
		}
		st, err := cloud.OpenStore(t.Context(), w.store)
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		page, err := st.Events(t.Context(), cloud.Query{Device: evilDevice, Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		earliest := page[0].Mono
		for _, e := range page {
			earliest = min(earliest, e.Mono)
		}
		if earliest > time.Second {
			t.Errorf("the earliest event is %v after boot, want the agent's start", earliest)
		}
	})
}

// TestALateWillHidesNothing: a connection dies, the board is back at once in a new
// session, and only then the broker notices and publishes the will of the old one.
// The city shows the board as online all the time, and a city that finds that will
// retained, and nothing else, knows better within a minute.
func TestALateWillHidesNothing(t *testing.T) {
	wrong(t, func(t *testing.T, w *wrongs) {
		var old *packets.PublishPacket
		w.evil.misbehave(func(e *evil) {
			e.connecting = func(c *evilClient) deed {
				if !c.city() && old == nil {
					old, c.will = c.will, nil
				} else if !c.city() {
					c.will = nil
				}
				return 0
			}
		})
		w.board.start()
		w.move(5, time.Minute)
		w.evil.kick()
		w.move(5, time.Minute)
		w.log.forget()
		w.evil.misbehave(func(e *evil) {
			if len(e.connects) != 2 || old == nil {
				t.Fatalf("%d connections, will %v", len(e.connects), old)
			}
			e.publish(nil, old)
		})
		w.wait(time.Second)
		if last := w.log.last(evilDevice); last != (shown{}) {
			t.Errorf("a late will changed what is shown to %+v", last)
		}
		w.stop()
		w.startCity()
		w.wait(time.Minute)
		if last := w.log.last(evilDevice); last.state != "online" {
			t.Errorf("a minute after the city found a late will, it shows %+v", last)
		}
	})
}
