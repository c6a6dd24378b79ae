package sim

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
	"periph.io/x/conn/v3/gpio"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/agent"
	"github.com/longan-edge/longan/cloud"
	"github.com/longan-edge/longan/drivers/porttest"
	"github.com/longan-edge/longan/sim/link"
)

// wrongs is a board, an evil broker and the city, in one bubble.
type wrongs struct {
	*virtualCity
	evil  *evil
	board *virtualBoard
	door  *porttest.Line
	panic *porttest.Line
	open  bool
	pages link.Exchange // where the city's API is
	// oneBoard: only one has written what is in the store, so that its books and
	// the store's must agree; holes may be in it.
	oneBoard, holes bool
}

// wrong plays steps with an evil broker. The board is off, and the city runs, when
// they begin. When they end the broker behaves, what is left has its time, and every
// event that the board accepted must be in the city's store exactly once, without
// a hole, and freed at the board.
func wrong(t *testing.T, steps func(t *testing.T, w *wrongs)) {
	t.Helper()
	dir := memoryDir(t)
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // hours make much garbage, and little of it at a time
	oneProcessor(t)
	synctest.Test(t, func(t *testing.T) {
		w := &wrongs{evil: newEvil(), oneBoard: true, virtualCity: &virtualCity{
			t: t, dir: dir, store: filepath.Join(dir, cloud.StoreName), tally: NewTally(), log: &cityLog{},
		}}
		l, err := w.port.Listen()
		if err != nil {
			t.Fatal(err)
		}
		go w.evil.serve(l)
		w.startCity()
		w.board = w.addBoard(doorSite(evilDevice, 10*time.Second), 1, link.Conditions{})
		w.door, w.panic = w.board.ports.AddLine("chip:1"), w.board.ports.AddLine("chip:2")
		w.door.Set(gpio.Low)
		w.panic.Set(gpio.High)
		steps(t, w)
		w.settle()
		l.Close()
		w.evil.close()
	})
}

const evilDevice = "621202107-01"

func (w *wrongs) startCity() {
	w.t.Helper()
	pages, err := w.pages.Listen()
	if err != nil {
		w.t.Fatal(err)
	}
	city, err := cloud.New(cloud.Config{StorePath: w.store, Dial: w.evil.dial, HTTP: pages, Now: virtualNow, Log: slog.New(w.log)})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	w.done.Go(func() {
		if err := city.Run(ctx); err != nil && ctx.Err() == nil {
			w.t.Errorf("city: %v", err)
		}
	})
}

// dir of the board's spool.
func (w *wrongs) spoolDir() string { return filepath.Join(w.virtualCity.dir, evilDevice) }

// fill accepts n events in every lane while the board is off.
func (w *wrongs) fill(n int) {
	w.t.Helper()
	for _, l := range longan.Lanes {
		w.spool(agent.SpoolOptions{}, entries(l, n, ""))
	}
}

// move opens or closes the door n times, and waits after each.
func (w *wrongs) move(n int, wait time.Duration) {
	for range n {
		w.open = !w.open
		w.door.Set(gpio.Level(w.open))
		time.Sleep(wait)
	}
}

// press presses the panic button for some seconds.
func (w *wrongs) press() {
	w.panic.Set(gpio.Low)
	time.Sleep(3 * time.Second)
	w.panic.Set(gpio.High)
	time.Sleep(time.Second)
}

// get asks the city's API.
func (w *wrongs) get(path string, into any) {
	w.t.Helper()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return link.New(1, link.Conditions{}).Dial(ctx, &w.pages)
	}}
	answer, err := (&http.Client{Transport: transport}).Get("http://city" + path)
	if err != nil {
		w.t.Fatal(err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(into); err != nil || answer.StatusCode != http.StatusOK {
		w.t.Fatalf("%s: %s, %v", path, answer.Status, err)
	}
}

// wait waits, in virtual time.
func (w *wrongs) wait(d time.Duration) { time.Sleep(d) }

// waiting returns how many events the board has not freed, as its status says, or -1
// without any. The status is as old as the last heartbeat.
func (w *wrongs) waiting() (n int) {
	s := w.evil.status(evilDevice)
	if s == nil {
		return -1 // none came
	}
	for _, backlog := range s.Backlog {
		n += int(backlog)
	}
	return n
}

// stored returns how many events the city has.
func (w *wrongs) stored() int {
	w.t.Helper()
	st, err := cloud.OpenStore(w.t.Context(), w.store)
	if err != nil {
		w.t.Fatal(err)
	}
	defer st.Close()
	counts, err := st.Counts(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return int(counts.Events)
}

// settle ends a test: see wrong.
func (w *wrongs) settle() {
	w.t.Helper()
	w.evil.behave()
	time.Sleep(5 * time.Minute)
	w.board.stop()
	w.stop()
	streams, err := cloud.Audit(w.t.Context(), w.store)
	if err != nil {
		w.t.Fatal(err)
	}
	r := &Report{}
	w.tally.Close(r, streams)
	if w.oneBoard && !w.holes && (r.Accepted == 0 || r.Stored != r.Accepted || r.Lost != 0 || r.Duplicated != 0 || r.Holes != 0) {
		w.t.Errorf("books do not balance: %+v", *r)
	}
	spool, err := agent.OpenSpool(w.spoolDir(), agent.SpoolOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	defer spool.Close()
	for _, l := range longan.Lanes {
		if s := spool.Lane(l); s.Acked != s.Last {
			w.t.Errorf("%s: the board has freed %d of %d", l, s.Acked, s.Last)
		}
	}
	for _, a := range streams {
		if !a.Contiguous && !w.holes || a.Count+a.Lost < a.Max || a.Acked != a.Max {
			w.t.Errorf("not complete: %+v", a)
		}
		if !a.InOrder {
			w.t.Logf("came out of order: %+v", a)
		}
	}
}

// forget drops what was shown so far.
func (l *cityLog) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shown = nil
}

// last returns how a board is shown now.
func (l *cityLog) last(device longan.DeviceID) shown {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.shown[device]); n > 0 {
		return l.shown[device][n-1]
	}
	return shown{}
}

// up is a misdeed towards the batches of boards alone.
func up(d deed) func(*evilClient, longan.Topic, *packets.PublishPacket) deed {
	return func(c *evilClient, topic longan.Topic, _ *packets.PublishPacket) deed {
		if topic.Kind == longan.TopicUp {
			return d
		}
		return 0
	}
}

// TestPubackWithoutDeliveryFreesNothing: a broker confirms every batch and throws
// it away, for half an hour. Programs that take its word delete what nobody has.
func TestPubackWithoutDeliveryFreesNothing(t *testing.T) {
	wrong(t, func(t *testing.T, w *wrongs) {
		w.fill(100)
		w.evil.misbehave(func(e *evil) { e.publishing = up(forget) })
		w.board.start()
		w.move(10, time.Minute)
		w.press()
		time.Sleep(20 * time.Minute)
		if accepted := w.tally.Accepted(); w.waiting() != accepted {
			t.Errorf("%d events wait at the board of %d that it accepted: want all", w.waiting(), accepted)
		}
		if n := w.stored(); n != 0 {
			t.Errorf("%d events stored that were not delivered", n)
		}
	})
}

// every returns a misdeed that is done to one in n of the boards' batches, and to
// the others another.
func every(n int, d, others deed) func(*evilClient, longan.Topic, *packets.PublishPacket) deed {
	count := 0
	return func(_ *evilClient, topic longan.Topic, _ *packets.PublishPacket) deed {
		if topic.Kind != longan.TopicUp {
			return 0
		}
		if count++; count%n == 0 {
			return d
		}
		return others
	}
}

// TestWrongsWithBatches: whatever a broker does to batches, each event is
// stored once. Where batches arrive at all, before it is done.
func TestWrongsWithBatches(t *testing.T) {
	for _, tt := range []struct {
		name    string
		wrong   func(*evilClient, longan.Topic, *packets.PublishPacket) deed
		arrives bool
	}{
		{"no PUBACK", up(mute), true},
		{"no PUBACK and no delivery", up(mute | forget), false},
		{"hangs up after each", up(mute | forget | hangUp), false},
		{"delivers and hangs up after each", up(hangUp), false},
		{"loses one in three", every(3, forget, 0), true},
		{"loses two in three", every(3, 0, forget), true},
		{"delivers twice", up(twice), true},
		{"turns the order round", every(2, 0, hold), true},
		{"turns the order round, twice", every(3, twice, hold|twice), true},
		{"freezes after one in five", every(5, freeze, 0), true},
		{"hangs up after one in ten, unseen", every(10, mute|forget|hangUp, 0), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wrong(t, func(t *testing.T, w *wrongs) {
				w.fill(150)
				w.evil.misbehave(func(e *evil) { e.publishing = tt.wrong })
				w.board.start()
				w.move(20, 15*time.Second)
				w.press()
				time.Sleep(10 * time.Minute)
				if n, accepted := w.stored(), w.tally.Accepted(); tt.arrives && n != accepted {
					t.Errorf("%d events stored in a quarter of an hour of %d accepted", n, accepted)
				}
			})
		})
	}
}

// TestLostAcksStoreNothingTwice: the city has stored everything, and
// every one of its acks is lost. Each batch comes again many times.
func TestLostAcksStoreNothingTwice(t *testing.T) {
	wrong(t, func(t *testing.T, w *wrongs) {
		w.fill(100)
		lost := 0
		w.evil.misbehave(func(e *evil) {
			e.publishing = func(_ *evilClient, topic longan.Topic, _ *packets.PublishPacket) deed {
				if topic.Kind != longan.TopicAck {
					return 0
				}
				lost++
				return forget
			}
		})
		w.board.start()
		w.move(2, time.Second)
		time.Sleep(20 * time.Minute)
		if n, accepted := w.stored(), w.tally.Accepted(); n != accepted {
			t.Errorf("%d events stored of %d accepted", n, accepted)
		}
		if accepted := w.tally.Accepted(); w.waiting() != accepted {
			t.Errorf("%d events wait of %d: the board freed some without an ack", w.waiting(), accepted)
		}
		w.evil.misbehave(func(*evil) {
			if lost < 30 {
				t.Errorf("only %d acks were lost: the board hardly sends again", lost)
			}
		})
	})
}

// TestBacklogDrainsWithoutNewEvents: after an outage nothing happens in the center
// that would make the board send. The backlog goes all the same.
func TestBacklogDrainsWithoutNewEvents(t *testing.T) {
	wrong(t, func(t *testing.T, w *wrongs) {
		w.fill(300)
		w.board.link.Set(linkDown)
		w.board.start()
		w.move(10, time.Minute)
		time.Sleep(time.Hour)
		w.board.link.Set(link.Conditions{})
		time.Sleep(2 * time.Minute) // one for the backoff
		if n, accepted := w.stored(), w.tally.Accepted(); n != accepted {
			t.Errorf("%d events stored two minutes after the link came back, of %d", n, accepted)
		}
		if n := w.waiting(); n != 0 {
			t.Errorf("%d events wait, want 0", n)
		}
	})
}

// TestBrokerSessionsAreNotReliedOn: a broker that has told a client that it kept
// its session, and has lost all but the last of it, must not matter. So nobody
// asks for one; and here the broker forgets what was under way whenever a
// connection ends, which it often does.
func TestBrokerSessionsAreNotReliedOn(t *testing.T) {
	wrong(t, func(t *testing.T, w *wrongs) {
		w.fill(200)
		w.board.start()
		for i := range 60 {
			w.move(1, time.Minute)
			w.evil.misbehave(func(e *evil) {
				clear(e.retained)
				for _, c := range e.clients { // every third time the city's as well
					if !c.city() || i%3 == 0 {
						c.will = nil
						c.conn.Close()
					}
				}
			})
		}
		w.evil.misbehave(func(e *evil) {
			if e.unclean > 0 {
				t.Errorf("%d times a client wanted the broker to keep its session", e.unclean)
			}
			if len(e.connects) < 30 {
				t.Errorf("only %d connections of the board", len(e.connects))
			}
		})
	})
}

// TestRefusedSubscriptions: a broker refuses the board its acks, or the city the
// batches. Libraries call that a success. Nobody may act as if it were one.
func TestRefusedSubscriptions(t *testing.T) {
	for name, d := range map[string]deed{"refused": refuse, "not answered": mute, "granted, and nothing comes": forget} {
		for _, city := range []bool{false, true} {
			who := map[bool]string{false: "board", true: "city"}[city]
			t.Run(who+" "+name, func(t *testing.T) {
				wrong(t, func(t *testing.T, w *wrongs) {
					w.fill(20)
					w.evil.misbehave(func(e *evil) {
						e.subscribing = func(c *evilClient) deed {
							if c.city() == city {
								return d
							}
							return 0
						}
						for _, c := range e.clients { // it subscribed before
							c.conn.Close()
						}
					})
					w.board.start()
					w.move(6, 2*time.Minute)
					if n, accepted := w.waiting(), w.tally.Accepted(); !(n == -1 && !city) && n != accepted {
						t.Errorf("%d events wait of %d: want all", n, accepted)
					}
					w.evil.behave()
					w.wait(20 * time.Minute) // a city that hears nothing believes the broker longer and longer
				})
			})
		}
	}
}

// TestWipedRetained: the broker has lost all that it retained, and the city starts
// anew. It knows within a minute who is there.
func TestWipedRetained(t *testing.T) {
	wrong(t, func(t *testing.T, w *wrongs) {
		w.board.start()
		w.move(5, time.Minute)
		w.stop()
		w.evil.misbehave(func(e *evil) { clear(e.retained) })
		time.Sleep(time.Minute)
		w.log.forget()
		w.startCity()
		time.Sleep(time.Minute)
		if last := w.log.last(evilDevice); last.state != "online" {
			t.Errorf("a minute after the city's start the board is shown as %+v", last)
		}
	})
}

// TestAlarmsArriveThoughAcksAreLost: the way to the city works, the way back does
// not, as on a broker with wrong rights: new alarms reach the city all the same.
func TestAlarmsArriveThoughAcksAreLost(t *testing.T) {
	wrong(t, func(t *testing.T, w *wrongs) {
		w.evil.misbehave(func(e *evil) {
			e.publishing = func(_ *evilClient, topic longan.Topic, _ *packets.PublishPacket) deed {
				if topic.Kind == longan.TopicAck {
					return forget
				}
				return 0
			}
		})
		w.board.start()
		w.wait(time.Minute)
		for i := range 15 {
			w.press()
			w.wait(2 * time.Minute)
			if n, accepted := w.stored(), w.tally.Accepted(); n != accepted {
				t.Errorf("press %d: %d events stored after two minutes, of %d", i, n, accepted)
			}
		}
	})
}
