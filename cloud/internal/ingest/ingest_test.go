package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/cloud/internal/broker"
	"github.com/longan-edge/longan/cloud/internal/live"
	"github.com/longan-edge/longan/cloud/internal/store"
)

const (
	mawei = longan.DeviceID("621202104-01")
	epoch = "9f86d081884c7d65"
)

// history is what happened, in order, seen by the fakes around an ingest.
type history struct {
	mu    sync.Mutex
	steps []string
}

func (h *history) add(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.steps = append(h.steps, fmt.Sprintf(format, args...))
}

func (h *history) take() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	steps := h.steps
	h.steps = nil
	return steps
}

// seam is a store that fails as told.
type seam struct {
	*store.Store
	*history

	mu   sync.Mutex
	fail func([]*longan.Batch) error // before the store is asked
	lie  error                       // returned once after the store has committed

	instead func([]*longan.Batch) []store.Result // of the store
}

func (s *seam) failWith(fail func([]*longan.Batch) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = fail
}

func (s *seam) lieOnce(lie error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lie = lie
}

func (s *seam) Ingest(ctx context.Context, batches []*longan.Batch, now time.Time) ([]store.Result, error) {
	s.mu.Lock()
	fail, lie := s.fail, s.lie
	s.mu.Unlock()
	if fail != nil {
		if err := fail(batches); err != nil {
			s.add("store fails")
			return nil, err
		}
	}
	if s.instead != nil {
		return s.instead(batches), nil
	}
	results, err := s.Store.Ingest(ctx, batches, now)
	if err == nil {
		var lanes strings.Builder
		for _, b := range batches {
			lanes.WriteString(" " + b.Lane.String())
		}
		s.add("commit%s", lanes.String())
	}
	if lie != nil {
		s.lieOnce(nil)
		return nil, lie
	}
	return results, err
}

// watcher is a View.
type watcher struct{ *history }

func (w watcher) ApplyStatus(s *longan.Status, retained bool) bool {
	w.add("status %s retained %v", s.Session, retained)
	return false
}

func (w watcher) ApplyEvents(events []longan.Event) { w.add("show %d %s", len(events), events[0].Lane) }

func (watcher) ApplyBroker(bool) {}

func (watcher) ApplyConflicts(longan.DeviceID, int, time.Time) {}

func (watcher) ApplyRefusal(_ longan.DeviceID, _, _, _ string) {}

func (w watcher) ApplyStreams(_ longan.DeviceID, _ string, streams []live.Stream) {
	last := streams[len(streams)-1]
	w.add("stream %s %d/%d holes %d", last.Lane, last.Acked, last.Max, len(last.Holes))
}

// bench is an ingest between a broker and a store, with a board beside it.
type bench struct {
	*Ingest
	*history
	t      *testing.T
	broker *broker.Broker
	seam   *seam
	client mqtt.Client // may publish everything, and sees the acks
}

func newBench(t *testing.T, change func(*Config)) *bench {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	st, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "city.db"), store.Options{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	b, err := broker.New(broker.Config{Log: log, Anonymous: true})
	if err != nil {
		t.Fatal(err)
	}
	h := &history{}
	x := &bench{history: h, t: t, broker: b, seam: &seam{Store: st, history: h}}
	cfg := Config{Dial: b.Dial, ClientID: "longan-ingest", Store: x.seam, View: watcher{h}, Log: log}
	if change != nil {
		change(&cfg)
	}
	if x.Ingest, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- x.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("run: %v", err)
		}
		synctest.Wait() // mochi must not be closed while clients leave: it can block for ever
		if err := errors.Join(b.Close(), st.Close()); err != nil {
			t.Error(err)
		}
	})
	x.connect()
	return x
}

func (x *bench) connect() {
	x.t.Helper()
	test := &Ingest{cfg: Config{Dial: x.broker.Dial, ClientID: "longan-test"}}
	o := test.options(context.Background(), make(chan error, 1), make(chan net.Conn, 1))
	o.SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) {
		a, err := longan.DecodeAck(m.Payload())
		if err != nil {
			x.t.Errorf("ack: %v", err)
			return
		}
		what := "ack"
		switch r := a.Refused; {
		case r != nil:
			x.add("refused %s %08x %s", r.Lane, r.CRC, r.Reason)
			return
		case a.Hello:
			what = "hello"
		}
		x.add("%s alarm %d state %d", what, a.Lanes[longan.Alarm], a.Lanes[longan.State])
	})
	x.client = mqtt.NewClient(o)
	x.t.Cleanup(func() { x.client.Disconnect(100) })
	token := x.client.Connect()
	if !token.WaitTimeout(time.Minute) || token.Error() != nil {
		x.t.Fatalf("connect: %v", token.Error())
	}
	token = x.client.Subscribe("longan/v1/+/+/ack", 0, nil)
	if !token.WaitTimeout(time.Minute) || token.Error() != nil {
		x.t.Fatalf("subscribe: %v", token.Error())
	}
}

func (x *bench) send(lane longan.Lane, from, to uint64) {
	x.t.Helper()
	x.publish(longan.Topic{Device: mawei, Kind: longan.TopicUp, Lane: lane}, false, x.payload(lane, from, to))
}

func (x *bench) payload(lane longan.Lane, from, to uint64) []byte {
	x.t.Helper()
	b := &longan.Batch{Device: mawei, Epoch: epoch, Lane: lane, Oldest: 1}
	for seq := from; seq <= to; seq++ {
		b.Events = append(b.Events, longan.Event{Seq: seq, Type: longan.DoorOpened, Point: "front-door"})
	}
	payload, err := b.Encode()
	if err != nil {
		x.t.Fatal(err)
	}
	return payload
}

func (x *bench) publish(topic longan.Topic, retained bool, payload []byte) {
	x.t.Helper()
	token := x.client.Publish(topic.String(), 1, retained, payload)
	if !token.WaitTimeout(time.Minute) || token.Error() != nil {
		x.t.Fatalf("publish: %v", token.Error())
	}
}

// expect compares what happened since the last time.
func (x *bench) expect(want ...string) {
	x.t.Helper()
	synctest.Wait()
	if got := x.take(); !slices.Equal(got, want) {
		x.t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestAckOnlyAfterCommit is the promise: whatever the store does, there is no
// ack before it has committed, and there is one after.
func TestAckOnlyAfterCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newBench(t, nil)
		<-x.Ready()
		x.send(longan.State, 1, 3)
		x.expect("commit state", "show 3 state", "stream state 3/3 holes 0", "ack alarm 0 state 3")

		x.seam.failWith(func([]*longan.Batch) error { return errors.New("disk is full") })
		x.send(longan.State, 4, 5)
		time.Sleep(time.Minute)
		synctest.Wait()
		if steps := x.take(); len(steps) < 5 || len(steps) > 40 || slices.ContainsFunc(steps, func(s string) bool { return s != "store fails" }) {
			t.Errorf("with a store that fails: %q; want a few tries and nothing else", steps)
		}
		x.seam.failWith(nil)
		time.Sleep(retryMost)
		x.expect("commit state", "show 2 state", "stream state 5/5 holes 0", "ack alarm 0 state 5")

		// The commit succeeded but its answer was lost: again, and nothing new.
		x.seam.lieOnce(errors.New("connection lost"))
		x.send(longan.State, 6, 6)
		time.Sleep(retryMost)
		x.expect("commit state", "commit state", "stream state 6/6 holes 0", "ack alarm 0 state 6")

		x.send(longan.State, 1, 6) // lost acks: everything again
		x.expect("commit state", "stream state 6/6 holes 0", "ack alarm 0 state 6")
		if m := &x.Metrics; m.Events.Load() != 5 || m.Duplicates.Load() != 7 {
			t.Errorf("%d events, %d duplicates; want 5 (one was committed behind a lost answer), 7", m.Events.Load(), m.Duplicates.Load())
		}
	})
}

// TestAlarmOvertakes: alarms that come while a backlog waits are the next to be
// committed, alone.
func TestAlarmOvertakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newBench(t, nil)
		<-x.Ready()
		hold := make(chan bool)
		x.seam.failWith(func([]*longan.Batch) error { <-hold; return nil })
		x.send(longan.State, 1, 1)
		synctest.Wait() // the first commit is under way
		x.send(longan.Sample, 1, 1)
		x.send(longan.State, 2, 2)
		x.send(longan.Alarm, 1, 1)
		x.send(longan.Sample, 2, 2)
		x.send(longan.Alarm, 2, 2)
		synctest.Wait()
		close(hold)
		synctest.Wait()
		var commits []string
		for _, s := range x.take() {
			if s[:6] == "commit" {
				commits = append(commits, s)
			}
		}
		if want := []string{"commit state", "commit alarm alarm", "commit state sample sample"}; !slices.Equal(commits, want) {
			t.Errorf("got  %q\nwant %q", commits, want)
		}
	})
}

// TestReconnects: an ingest whose connection is cut, or whose broker does not
// answer, comes back by itself.
func TestReconnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var conns []net.Conn
		var mu sync.Mutex
		refuse := 0
		x := newBench(t, func(c *Config) {
			dial := c.Dial
			c.Dial = func(ctx context.Context) (net.Conn, error) {
				mu.Lock()
				defer mu.Unlock()
				if refuse > 0 {
					refuse--
					return nil, errors.New("connection refused")
				}
				conn, err := dial(ctx)
				if err == nil {
					conns = append(conns, conn)
				}
				return conn, err
			}
		})
		<-x.Ready()
		for i := range uint64(5) {
			mu.Lock()
			refuse = int(i)
			conns[len(conns)-1].Close()
			mu.Unlock()
			time.Sleep(time.Minute)
			if i > 0 { // before, it knows no board
				x.expect(fmt.Sprintf("hello alarm 0 state %d", i))
			}
			x.send(longan.State, i+1, i+1)
			x.expect("commit state", "show 1 state", fmt.Sprintf("stream state %d/%d holes 0", i+1, i+1), fmt.Sprintf("ack alarm 0 state %d", i+1))
		}
		if n := x.Metrics.Sessions.Load(); n != 6 {
			t.Errorf("%d sessions, want 6", n)
		}
	})
}

// TestDeadBroker: a broker that accepts and then says nothing is given up.
func TestDeadBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dials := 0
		in, err := New(Config{ClientID: "x", Store: &seam{}, View: watcher{&history{}}, Dial: func(context.Context) (net.Conn, error) {
			dials++
			ours, theirs := net.Pipe()
			go func() {
				buf := make([]byte, 100)
				for {
					if _, err := theirs.Read(buf); err != nil {
						return
					}
				}
			}()
			return ours, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		if err := in.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("run: %v", err)
		}
		if dials < 15 || dials > 100 {
			t.Errorf("%d connections in 10 minutes, want one in 20 to 30 s", dials)
		}
	})
}

func TestCounties(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newBench(t, func(c *Config) { c.Counties = []string{"621222", "621202"} })
		<-x.Ready()
		x.send(longan.State, 1, 1) // 621202
		x.publish(longan.Topic{Device: "621224101-01", Kind: longan.TopicUp, Lane: longan.State}, false, []byte("{}"))
		x.expect("commit state", "show 1 state", "stream state 1/1 holes 0", "ack alarm 0 state 1")
		if m := &x.Metrics; m.Batches.Load() != 1 || len(m.Refusals()) != 0 {
			t.Errorf("%d batches, refused %v: want only the county's", m.Batches.Load(), m.Refusals())
		}
	})
}

func TestStatuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newBench(t, nil)
		topic := longan.Topic{Device: mawei, Kind: longan.TopicStatus}
		status := func(session string, full bool) []byte {
			payload, err := (&longan.Status{Device: mawei, Session: session, State: longan.Online, Full: full, Name: session}).Encode()
			if err != nil {
				t.Fatal(err)
			}
			return payload
		}
		<-x.Ready()
		for i := range 50 {
			x.publish(topic, false, status(fmt.Sprintf("s%d", i), true))
		}
		x.publish(topic, false, status("heartbeat", false))
		x.publish(topic, true, nil) // clears what is retained
		x.publish(longan.Topic{Device: "621202104-02", Kind: longan.TopicStatus}, false, status("stolen", true))
		synctest.Wait()
		if steps := x.take(); len(steps) != 51 || steps[50] != "status heartbeat retained false" {
			t.Errorf("%d steps, the last %q", len(steps), steps[len(steps)-1])
		}
		if got := x.Metrics.Refusals(); got["wrong-device"] != 1 || len(got) != 1 {
			t.Errorf("refused %v, want 1 wrong-device", got)
		}
		time.Sleep(2 * saveEvery)
		synctest.Wait()
		devices, err := x.seam.Devices(t.Context())
		if err != nil || len(devices) != 1 || devices[0].Name != "s49" {
			t.Errorf("saved %+v, %v: want the last full one", devices, err)
		}
	})
}
