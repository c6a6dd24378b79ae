package brokers

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/longan-edge/longan"
)

// What the boards have to send at the start of a case, and when in it something
// happens to them.
const (
	boards  = 3
	backlog = 600 // in each lane
	early   = boards * backlog / 2
	late    = boards * backlog * 3 / 2
)

func delivers(t *testing.T, s *system) {
	s.addBoards(boards, backlog)
	s.waitStored(boards * backlog * 3)
	s.settle(true)
}

func killBroker(t *testing.T, s *system) {
	s.addBoards(boards, backlog)
	for _, n := range []uint64{early, late} {
		s.waitStored(n)
		s.broker.Kill()
		s.startBroker()
	}
	s.settle(false)
}

// wipeBroker also takes away what the broker had kept for its clients.
func wipeBroker(t *testing.T, s *system) {
	s.addBoards(boards, backlog)
	s.waitStored(early)
	s.broker.Kill()
	if err := s.broker.Wipe(); err != nil {
		t.Fatal(err)
	}
	s.startBroker()
	s.settle(false)
}

func killBridge(t *testing.T, s *system) {
	s.addBoards(boards, backlog)
	for _, n := range []uint64{early, late} {
		s.waitStored(n)
		s.bridge.Kill()
		s.startBridge(s.bridge)
	}
	s.settle(false)
}

// twoBridges share a store, as when somebody starts the city a second time; one
// of them is killed. Both hear and acknowledge everything.
func twoBridges(t *testing.T, s *system) {
	second := s.newBridge("second bridge", filepath.Dir(s.store))
	s.startBridge(second)
	s.addBoards(boards, backlog)
	s.waitStored(late)
	second.Kill()
	s.settle(true)
}

// refusesAcks: a board that can't hear the city frees nothing, and everything is
// there once it can. nats-server refuses the subscription and the board tries
// another session; mosquitto grants it and delivers nothing.
func refusesAcks(t *testing.T, s *system) {
	s.broker.Kill()
	if err := s.broker.SetAcks(false); err != nil {
		t.Fatal(err)
	}
	s.startBroker()
	s.addBoards(1, 100)
	b := s.boards[0]
	s.poll("the board sends or tries again", func() bool { return s.stored() >= 300 || b.dials.Load() >= 3 })
	b.still()
	accepted, waiting, err := b.stat(t.Context())
	if err != nil || accepted < 300 || waiting != accepted {
		t.Errorf("%d events wait of %d, %v; want all of 300 and more", waiting, accepted, err)
	}
	s.broker.Kill()
	if err := s.broker.SetAcks(true); err != nil {
		t.Fatal(err)
	}
	s.startBroker()
	s.settle(false)
}

// tellsStatus follows a board's status through a dead link, a new session and a
// clean end, as somebody sees it who listens all the time, and somebody who comes
// later.
func tellsStatus(t *testing.T, s *system) {
	s.addBoards(1, 0)
	b := s.boards[0]
	b.still()
	w := s.watch(b.device) // may find the birth retained
	born := w.wait("birth", func(st *longan.Status) bool { return st.State == longan.Online })
	b.cut()
	will := w.wait("will", func(st *longan.Status) bool { return st.State == longan.Offline })
	if will.Session != born.Session || will.N != 0 {
		t.Errorf("will %+v: want session %s", will, born.Session)
	}
	if found := s.watch(b.device).wait("retained will", func(*longan.Status) bool { return true }); found.Session != born.Session || found.State != longan.Offline {
		t.Errorf("retained after the will: %+v", found)
	}
	b.down.Store(false)
	again := w.wait("second birth", func(st *longan.Status) bool { return st.State == longan.Online && st.Full })
	if again.Session == born.Session {
		t.Error("the second birth has the first one's session")
	}
	if found := s.watch(b.device).wait("retained birth", func(*longan.Status) bool { return true }); found.Session != again.Session || !found.Full || len(found.Points) != 2 {
		t.Errorf("retained after the second birth: %+v", found)
	}
	b.stop()
	bye := w.wait("goodbye", func(st *longan.Status) bool { return st.State == longan.Offline })
	if bye.Session != again.Session || !bye.Full {
		t.Errorf("goodbye %+v: want full, of session %s", bye, again.Session)
	}
	b.start()
	s.settle(false)
}

// watcher hears the statuses of a board.
type watcher struct {
	t        *testing.T
	statuses chan *longan.Status
}

func (s *system) watch(device longan.DeviceID) *watcher {
	s.t.Helper()
	s.watchers++
	w := &watcher{s.t, make(chan *longan.Status, 1000)}
	o := mqtt.NewClientOptions().AddBroker("tcp://broker").SetClientID(fmt.Sprintf("watcher-%d", s.watchers)).
		SetProtocolVersion(4).SetAutoReconnect(false).SetOrderMatters(true)
	o.SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) { return s.broker.Dial(s.t.Context()) })
	client := mqtt.NewClient(o)
	s.t.Cleanup(func() { client.Disconnect(50) })
	for _, token := range []func() mqtt.Token{
		client.Connect,
		func() mqtt.Token {
			return client.Subscribe(longan.Topic{Device: device, Kind: longan.TopicStatus}.String(), 1, func(_ mqtt.Client, m mqtt.Message) {
				st, err := longan.DecodeStatus(m.Payload())
				if err != nil {
					s.t.Errorf("status: %v", err)
					return
				}
				w.statuses <- st
			})
		},
	} {
		if tk := token(); !tk.WaitTimeout(20*time.Second) || tk.Error() != nil {
			s.t.Fatalf("watch: %v", tk.Error())
		}
	}
	return w
}

// wait returns the next status of which is is true.
func (w *watcher) wait(what string, is func(*longan.Status) bool) *longan.Status {
	w.t.Helper()
	timeout := time.After(time.Minute)
	for {
		select {
		case st := <-w.statuses:
			if is(st) {
				return st
			}
		case <-timeout:
			w.t.Fatalf("no %s in a minute", what)
		}
	}
}
