package uplink

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/longan-edge/longan"
)

// TestTheLaneMovesOnFromWhatTheCityRefuses: one event of a thousand is poison.
// All others arrive as they are, and in its place stands a gap.
func TestTheLaneMovesOnFromWhatTheCityRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, q := newCity(t), newMemQueue()
		c.poison = 137
		q.add(longan.State, 1000)
		runUplink(t, c, q, nil, func() {
			time.Sleep(30 * time.Second)
			if got := q.Lane(longan.State).Acked; got != 1000 {
				t.Errorf("acked %d, want 1000", got)
			}
			c.get(func() {
				for seq := uint64(1); seq <= 1000; seq++ {
					e := c.stored[seq]
					want := longan.DoorOpened
					if seq == c.poison {
						want = longan.SpoolGap
					}
					if e.Type != want {
						t.Errorf("event %d is %q, want %q", seq, e.Type, want)
					}
				}
				if got, want := string(c.stored[137].Data), `{"lane":"state","from":137,"to":137,"count":1,"reason":"refused"}`; got != want {
					t.Errorf("in its place %s, want %s", got, want)
				}
				if c.refusals > 4*16 { // a window of batches for every halving
					t.Errorf("%d refusals for one event", c.refusals)
				}
			})
			c.get(func() { c.batches = nil })
			q.add(longan.State, 5000) // they double with each that is taken
			time.Sleep(10 * time.Second)
			c.get(func() {
				most := 0
				for _, b := range c.batches {
					most = max(most, len(b.Events))
				}
				if most < batchEvents {
					t.Errorf("batches of %d at most, long after the refusal: they do not grow again", most)
				}
			})
		})
	})
}

func TestRefusalOfWhatIsNotUnderWayChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, q := newCity(t), newMemQueue()
		q.add(longan.State, 10)
		runUplink(t, c, q, nil, func() {
			time.Sleep(time.Second)
			for range 5 {
				c.say(&longan.Ack{Refused: &longan.Refusal{Lane: longan.State, CRC: 1, Reason: longan.RefusedMalformed}})
				c.say(&longan.Ack{Refused: &longan.Refusal{Reason: longan.RefusedClone}})
			}
			time.Sleep(time.Second)
			q.add(longan.State, 10)
			time.Sleep(time.Second)
			c.get(func() {
				if len(c.batches) != 2 || len(c.stored) != 20 {
					t.Errorf("%d batches with %d events, want 2 with 20", len(c.batches), len(c.stored))
				}
			})
		})
	})
}

// TestTheCityPacesBacklogAndNotAlarms gives little credit: no more than that may
// be under way, but for alarms.
func TestTheCityPacesBacklogAndNotAlarms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, q := newCity(t), newMemQueue()
		c.credit = 60
		q.add(longan.State, 1)
		runUplink(t, c, q, nil, func() {
			time.Sleep(time.Second) // the first ack brings the credit
			c.get(func() { c.silent, c.batches = true, nil })
			q.add(longan.State, 5000)
			q.add(longan.Sample, 5000)
			q.add(longan.Alarm, 3)
			time.Sleep(time.Second)
			c.get(func() {
				paced, alarms := 0, 0
				for _, b := range c.batches {
					if b.Lane == longan.Alarm {
						alarms += len(b.Events)
					} else {
						paced += len(b.Events)
					}
				}
				if paced != 60 || alarms != 3 {
					t.Errorf("%d events under way and %d alarms, want 60 and 3", paced, alarms)
				}
				c.silent, c.batches = false, nil
			})
			time.Sleep(ackTimeout + 30*time.Second)
			if got := q.Lane(longan.State).Acked; got != 5001 {
				t.Errorf("acked %d, want 5001: a small credit is no standstill", got)
			}
			c.get(func() {
				for _, b := range c.batches {
					if b.Lane == longan.State && len(b.Events) > 60 {
						t.Errorf("a batch of %d events with a credit of 60", len(b.Events))
					}
				}
			})
		})
	})
}

// TestHelloSendsAgainAtOnce: the city was killed with a batch in its hands, and
// is back. Nobody waits for a timeout.
func TestHelloSendsAgainAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, q := newCity(t), newMemQueue()
		c.silent = true
		q.add(longan.State, 5)
		runUplink(t, c, q, nil, func() {
			time.Sleep(2 * time.Second)
			c.get(func() { c.silent, c.batches = false, nil })
			c.say(&longan.Ack{Epoch: "e1", Hello: true})
			time.Sleep(100 * time.Millisecond)
			if got := q.Lane(longan.State).Acked; got != 5 {
				t.Errorf("acked %d right after the city's hello, want 5", got)
			}
		})
	})
}

func TestStatusChangesAreSentAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, q := newCity(t), newMemQueue()
		changed := make(chan struct{}, 1)
		full := func() (n int) {
			c.get(func() {
				for _, s := range c.statuses {
					if s.Full {
						n++
					}
				}
			})
			return n
		}
		runUplink(t, c, q, changed, func() {
			time.Sleep(5 * time.Second)
			before := full()
			changed <- struct{}{}
			time.Sleep(2 * statusSettle)
			if got := full() - before; got != 1 {
				t.Errorf("%d full statuses %v after a change, want 1", got, 2*statusSettle)
			}
			for range 100 { // a chattering contact
				time.Sleep(100 * time.Millisecond)
				select {
				case changed <- struct{}{}:
				default:
				}
			}
			if got := full() - before; got < 9 || got > 12 {
				t.Errorf("%d full statuses in 10 s of changes, want one a second", got)
			}
			before = full()
			time.Sleep(time.Hour)
			if got := full() - before; got < 11 || got > 13 {
				t.Errorf("%d full statuses in a quiet hour, want one in %v", got, fullEvery)
			}
		})
	})
}

func TestAnAlarmThatNobodyTakesMakesANewSessionSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, q := newCity(t), newMemQueue()
		c.silent = true
		q.add(longan.Alarm, 1)
		runUplink(t, c, q, nil, func() {
			time.Sleep(stallAlarm + 5*time.Second)
			c.get(func() {
				if c.dials < 2 {
					t.Errorf("%d connections, want another %v after an alarm that nobody acknowledged", c.dials, stallAlarm)
				}
			})
		})
	})
}

// TestFailoverAndReturn: the preferred broker fails, the second one serves, and
// when the first can be reached again the board goes back.
func TestFailoverAndReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, q := newCity(t), newMemQueue()
		c.down["a"] = true
		runUplink(t, c, q, nil, func() {
			time.Sleep(time.Minute)
			c.get(func() {
				if last := c.at[len(c.at)-1]; last != "b" || len(c.statuses) == 0 {
					t.Errorf("dialled %q, %d statuses: not at the second broker", c.at, len(c.statuses))
				}
			})
			time.Sleep(time.Hour)
			var before int
			c.get(func() {
				if n := len(c.at); n > 20 {
					t.Errorf("%d connections in an hour on the second broker", n)
				}
				c.down["a"] = false
				before = len(c.at)
			})
			time.Sleep(2 * homeFirst)
			c.get(func() {
				since := c.at[before:]
				if i := slices.Index(since, "a"); i < 0 || !slices.Equal(since[i:], []string{"a", "a"}) {
					t.Errorf("dialled %q after the first broker was back, want a look and a session", since)
				}
				c.down["a"], c.down["b"] = true, false
			})
			c.server.Clients.GetAll()[string(testDevice)].Stop(nil) // the first breaks
			time.Sleep(time.Minute)
			c.get(func() {
				if last := c.at[len(c.at)-1]; last != "b" {
					t.Errorf("dialled %q, want b at last", c.at)
				}
			})
		}, "mqtt://a", "mqtt://b")
	})
}

// TestBoardsWithAlarmsDoNotHammerACityThatRefuses: where nothing answers a board
// with an alarm tries every few seconds, where the city refuses it is gentler.
func TestBoardsWithAlarmsDoNotHammerACityThatRefuses(t *testing.T) {
	for _, tt := range []struct {
		name        string
		why         error
		least, most int // tries in ten minutes
	}{
		{"unreachable", syscall.EHOSTUNREACH, 160, 340},
		{"refused", syscall.ECONNREFUSED, 22, 70},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, q := newCity(t), newMemQueue()
				c.refuse, c.why = true, tt.why
				q.add(longan.Alarm, 1)
				runUplink(t, c, q, nil, func() {
					time.Sleep(10 * time.Minute)
					c.get(func() { c.dials = 0 })
					time.Sleep(10 * time.Minute)
					c.get(func() {
						if c.dials < tt.least || c.dials > tt.most {
							t.Errorf("%d tries, want %d to %d", c.dials, tt.least, tt.most)
						}
					})
				})
			})
		})
	}
}

// TestALinkThatBreaksGetsSmallerBatches drops every session that carries more
// than a few events: the backlog arrives all the same.
func TestALinkThatBreaksGetsSmallerBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, q := newCity(t), newMemQueue()
		c.tooMany = 30
		q.add(longan.State, 400)
		runUplink(t, c, q, nil, func() {
			time.Sleep(30 * time.Minute)
			if got := q.Lane(longan.State).Acked; got != 400 {
				t.Errorf("acked %d, want 400", got)
			}
		})
	})
}

// TestHeartbeatsTakeThePlaceOfPings: on a quiet link there is no ping, and a
// broker that answers no more is noticed all the same.
func TestHeartbeatsTakeThePlaceOfPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		kinds, deaf := map[string]int{}, false
		b := &badBroker{serve: func(conn net.Conn, _ <-chan struct{}) {
			connack(conn, packets.Accepted)
			for {
				p, err := packets.ReadPacket(conn)
				if err != nil {
					return
				}
				mu.Lock()
				var answer packets.ControlPacket
				switch p := p.(type) {
				case *packets.SubscribePacket:
					a := packets.NewControlPacket(packets.Suback).(*packets.SubackPacket)
					a.MessageID, a.ReturnCodes = p.MessageID, []byte{0}
					answer = a
				case *packets.PublishPacket:
					kinds["publish"]++
					if p.Qos == 1 {
						a := packets.NewControlPacket(packets.Puback).(*packets.PubackPacket)
						a.MessageID = p.MessageID
						answer = a
					}
				case *packets.PingreqPacket:
					kinds["ping"]++
					answer = packets.NewControlPacket(packets.Pingresp)
				}
				silent := deaf
				mu.Unlock()
				if answer != nil && !silent && answer.Write(conn) != nil {
					return
				}
			}
		}}
		u, err := New(Config{
			Device: testDevice, Brokers: []string{"mqtt://city"}, Dial: b.dial, Queue: newMemQueue(),
			Status: func() *longan.Status { return &longan.Status{Device: testDevice} }, Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- u.Run(ctx) }()
		time.Sleep(time.Hour)
		mu.Lock()
		if kinds["ping"] > 0 || kinds["publish"] < 350 {
			t.Errorf("in a quiet hour %v, want no ping", kinds)
		}
		deaf = true
		mu.Unlock()
		time.Sleep(2 * (keepAlive + pingTimeout))
		if dials, _, _, _ := b.get(); dials < 2 {
			t.Error("a broker that answers nothing any more was not noticed")
		}
		stop()
		<-ended
	})
}

// TestABrokerThatHangsUpIsNotMobbed: it hung up on everybody, and everybody comes
// back. Of 199 boards no more than some tens may come in one second.
func TestABrokerThatHangsUpIsNotMobbed(t *testing.T) {
	var perSecond [60]int
	for range 199 {
		var b backoff
		at := b.next(time.Hour, true, true, false)
		perSecond[int(at.Seconds())]++
	}
	if most := slices.Max(perSecond[:]); most > 45 { // 20 on average
		t.Errorf("%d of 199 boards in one second", most)
	}
	var b backoff
	if at := b.next(time.Hour, true, false, false); at > backoffFirst {
		t.Errorf("a link that broke by itself is tried again after %v", at)
	}
}

// TestAConnectionThatClosesUnderneathIsNoticed: paho reports no lost connection
// when it was closed on the board's own side.
func TestAConnectionThatClosesUnderneathIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, q := newCity(t), newMemQueue()
		runUplink(t, c, q, nil, func() {
			time.Sleep(90 * time.Second)
			c.get(func() { c.near.Close() })
			time.Sleep(25*time.Second + backoffHungUp)
			c.get(func() {
				if c.dials != 2 {
					t.Errorf("%d connections, want a second one", c.dials)
				}
			})
		})
	})
}
