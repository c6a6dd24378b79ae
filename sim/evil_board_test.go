package sim

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
	"periph.io/x/conn/v3/gpio"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/agent"
	"github.com/longan-edge/longan/drivers/porttest"
)

// entries returns n events of a lane, to be appended to a spool while no agent runs.
func entries(l longan.Lane, n int, data string) []agent.SpoolEntry {
	all := make([]agent.SpoolEntry, n)
	for i := range all {
		all[i].Event = &longan.Event{Device: evilDevice, Lane: l, Type: "point.active", Point: fmt.Sprintf("p%d", i%7),
			Time: virtualNow(), Clock: longan.ClockNTP, Boot: "earlier", Mono: time.Duration(i) * time.Second}
		if data != "" {
			all[i].Event.Data = fmt.Appendf(nil, data, i*i*7919)
		}
	}
	return all
}

// spool appends to the board's spool while it is off.
func (w *wrongs) spool(o agent.SpoolOptions, groups ...[]agent.SpoolEntry) {
	w.t.Helper()
	spool, err := agent.OpenSpool(w.spoolDir(), o)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, g := range groups {
		if err := spool.Append(w.t.Context(), g...); err != nil {
			w.t.Fatal(err)
		}
		for _, e := range g {
			w.tally.Accept(evilDevice, e.Event.Epoch, e.Event.Lane.String(), e.Event.Seq)
		}
	}
	if err := spool.Close(); err != nil {
		w.t.Fatal(err)
	}
}

// TestPoisonIsSetAside: among the board's events are two that the city's store does
// not take, whatever the reason. They may not stop what is behind them, and somebody
// can look at them.
func TestPoisonIsSetAside(t *testing.T) {
	wrong(t, func(t *testing.T, w *wrongs) {
		w.wait(time.Second)
		db, err := sql.Open("sqlite", w.store)
		if err != nil {
			t.Fatal(err)
		}
		_, err = db.Exec(`CREATE TRIGGER refuse BEFORE INSERT ON kinds WHEN NEW.type = 'point.poison'
			BEGIN SELECT RAISE(ABORT, 'this event is poison'); END`)
		if err = errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
		good, poison := entries(longan.State, 100, ""), entries(longan.State, 2, "")
		for _, e := range poison {
			e.Event.Type = "point.poison"
		}
		w.spool(agent.SpoolOptions{}, good[:50], poison[:1], good[50:80], poison[1:], good[80:], entries(longan.Alarm, 3, ""))
		w.holes = true
		w.board.start()
		w.move(2, 10*time.Second)
		w.wait(2 * time.Minute)
		if n := w.waiting(); n != 0 {
			t.Errorf("%d events wait after two minutes, want the lane to have moved on", n)
		}
		var letters struct {
			DeadLetters []struct{ Device longan.DeviceID }
		}
		w.get("/api/v1/dead-letters", &letters)
		if len(letters.DeadLetters) == 0 || letters.DeadLetters[0].Device != evilDevice {
			t.Errorf("dead letters: %+v, want those of the board", letters.DeadLetters)
		}
		holes := w.shownHoles(longan.State)
		if len(holes) != 2 || holes[0] != (shownHole{51, 51, "refused"}) || holes[1] != (shownHole{82, 82, "refused"}) {
			t.Errorf("holes: %+v, want 51 and 82, refused", holes)
		}
	})
}

// shownHole is one as the API shows it.
type shownHole struct {
	From, To uint64
	Reason   string
}

// shownHoles returns the holes of a lane of the board, as the API shows them.
func (w *wrongs) shownHoles(l longan.Lane) []shownHole {
	w.t.Helper()
	var center struct {
		Streams []struct {
			Lane  string
			Holes []shownHole
		}
	}
	w.get("/api/v1/centers/"+evilDevice, &center)
	for _, s := range center.Streams {
		if s.Lane == l.String() {
			return s.Holes
		}
	}
	return nil
}

// TestOverflowIsAHoleThatIsTold: an outage is longer than the spool is large. What
// had to go is a hole with its numbers and its reason, of the least urgent lane, and
// the city shows it.
func TestOverflowIsAHoleThatIsTold(t *testing.T) {
	wrong(t, func(t *testing.T, w *wrongs) {
		var groups [][]agent.SpoolEntry
		for range 100 {
			groups = append(groups, entries(longan.Sample, 100, `{"note":"%0200x"}`), entries(longan.State, 2, ""), entries(longan.Alarm, 1, ""))
		}
		w.spool(agent.SpoolOptions{MaxSize: 256 << 10}, groups...)
		w.holes = true
		w.board.start()
		w.move(2, 10*time.Second)
		w.wait(2 * time.Minute)
		holes := w.shownHoles(longan.Sample)
		if len(holes) != 1 || holes[0].From != 1 || holes[0].To < 1000 || holes[0].To >= 10000 || holes[0].Reason != "full" {
			t.Errorf("holes: %+v, want one from 1, full", holes)
		}
		for _, l := range []longan.Lane{longan.Alarm, longan.State} {
			if holes := w.shownHoles(l); len(holes) != 0 {
				t.Errorf("%s: holes %+v, want none while there are samples to give up", l, holes)
			}
		}
	})
}

// TestACopiedCard: somebody copies a board's card, and both boards are connected:
// one device id, one epoch, the same numbers for other events. The broker lets in
// one at a time. The city says what it is, to people and to the boards, and what
// came first stays.
func TestACopiedCard(t *testing.T) {
	wrong(t, func(t *testing.T, w *wrongs) {
		w.oneBoard = false
		w.fill(20)
		told := 0
		w.evil.misbehave(func(e *evil) {
			e.publishing = func(_ *evilClient, topic longan.Topic, p *packets.PublishPacket) deed {
				if a, err := longan.DecodeAck(p.Payload); topic.Kind == longan.TopicAck && err == nil && a.Refused != nil && a.Refused.Reason == longan.RefusedClone {
					told++
				}
				return 0
			}
		})
		copied := filepath.Join(w.virtualCity.dir, "copy")
		if err := os.CopyFS(copied, os.DirFS(w.spoolDir())); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		var clone sync.WaitGroup
		door := w.runClone(ctx, &clone, copied)
		w.board.start()
		for i := range 20 {
			door.Set(gpio.Level(i%2 == 0))
			w.move(1, time.Minute)
		}
		var center struct {
			Conflict       *struct{ Boots []string }
			EventConflicts *struct{ Count uint64 }
		}
		w.get("/api/v1/centers/"+evilDevice, &center)
		if center.Conflict == nil && center.EventConflicts == nil {
			t.Error("the city does not say that there are two boards")
		} else {
			t.Logf("conflict %+v, events %+v, boards told %d times", center.Conflict, center.EventConflicts, told)
		}
		w.evil.misbehave(func(*evil) {
			if told == 0 {
				t.Error("the boards were not told")
			}
		})
		stop()
		clone.Wait()
	})
}

// runClone runs a second agent on a copy of the board's spool, and returns its door.
func (w *wrongs) runClone(ctx context.Context, running *sync.WaitGroup, dir string) *porttest.Line {
	ports, begin := &porttest.Ports{}, time.Now()
	door := ports.AddLine("chip:1")
	door.Set(gpio.Low)
	ports.AddLine("chip:2").Set(gpio.High)
	running.Go(func() {
		err := agent.Run(ctx, agent.Config{
			Site: doorSite(evilDevice, 10*time.Second), Dir: dir, Ports: ports, Version: "test", Log: slog.New(slog.DiscardHandler),
			Dial: func(ctx context.Context, _ *url.URL) (net.Conn, error) { return w.evil.dial(ctx) },
			Clock: &agent.Clock{
				Boot: "copy", Wall: virtualNow, Mono: func() time.Duration { return time.Since(begin) }, Synced: func() bool { return true },
			},
		})
		if err != nil {
			w.t.Errorf("second agent: %v", err)
		}
	})
	return door
}
