package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/gpio"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/agent/internal/spool"
	"github.com/longan-edge/longan/drivers/porttest"
	firmwareconfig "github.com/longan-edge/longan/firmware-config"
)

// board is an agent with two dry contacts and no city.
type board struct {
	t     *testing.T
	dir   string
	ports *porttest.Ports
	door  *porttest.Line
	panic *porttest.Line
	clock *Clock // nil is the kernel's

	mu       sync.Mutex
	accepted []string // "type point", in order

	stop func()
}

func newBoard(t *testing.T, dir string) *board {
	b := &board{t: t, dir: dir, ports: &porttest.Ports{}}
	b.door, b.panic = b.ports.AddLine("chip:1"), b.ports.AddLine("chip:2")
	b.door.Set(gpio.Low)   // normally closed, at rest
	b.panic.Set(gpio.High) // normally open, at rest
	return b
}

func (b *board) site() *firmwareconfig.Site {
	return &firmwareconfig.Site{
		Device: "621202107-01", Name: "马街镇综治中心",
		Uplink: firmwareconfig.Uplink{Brokers: []string{"mqtt://city"}},
		Peripherals: []firmwareconfig.Peripheral{{
			Name: "board-inputs", Driver: "contact", Poll: time.Second,
			Points: []firmwareconfig.Point{
				{Name: "front-door", Kind: firmwareconfig.KindDoor, Signal: "chip:1", NormallyClosed: true, Pull: "up", Debounce: 30 * time.Millisecond},
				{Name: "panic-button", Kind: firmwareconfig.KindPanic, Signal: "chip:2", Pull: "up", Debounce: 30 * time.Millisecond},
			},
		}},
	}
}

// start runs the agent until stop.
func (b *board) start() {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		err := Run(ctx, Config{
			Site: b.site(), Dir: b.dir, Ports: b.ports, Version: "test", Clock: b.clock,
			Dial: func(context.Context, *url.URL) (net.Conn, error) { return nil, errors.New("no route") },
			Log:  slog.New(slog.NewJSONHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug})),
		})
		if err != nil {
			b.t.Errorf("Run: %v", err)
		}
	})
	b.stop = func() {
		cancel()
		running.Wait()
	}
}

// Write takes the agent's log.
func (b *board) Write(line []byte) (int, error) {
	var l struct{ Msg, Type, Point string }
	if err := json.Unmarshal(line, &l); err != nil {
		return 0, err
	}
	if l.Msg == "accepted" {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.accepted = append(b.accepted, strings.TrimSpace(l.Type+" "+l.Point))
	}
	return len(line), nil
}

// want checks the events since the last call.
func (b *board) want(events ...string) {
	b.t.Helper()
	b.check(events, func([]string) {})
}

// wantTogether is want for events that may come in any order.
func (b *board) wantTogether(events ...string) {
	b.t.Helper()
	b.check(events, slices.Sort)
}

func (b *board) check(events []string, order func([]string)) {
	b.t.Helper()
	time.Sleep(5 * time.Second)
	b.mu.Lock()
	defer b.mu.Unlock()
	order(events)
	order(b.accepted)
	if got, want := strings.Join(b.accepted, ", "), strings.Join(events, ", "); got != want {
		b.t.Errorf("accepted %s\n    want %s", got, want)
	}
	b.accepted = nil
}

func TestBoardReportsWhatChangedAndNotWhatItFinds(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(t, dir)
		b.start()
		b.want("agent.started")
		b.door.Set(gpio.High)
		b.want("door.opened front-door")
		b.panic.Set(gpio.Low)
		b.want("alarm.raised panic-button")
		b.stop()

		b.start() // the door stands open, the button is still pressed
		b.want("agent.started")
		b.panic.Set(gpio.High)
		b.want("alarm.restored panic-button")
		b.stop()

		b.door.Set(gpio.Low) // while nobody looks
		b.start()
		b.want("agent.started", "door.closed front-door")
		b.stop()
	})
}

func TestPeripheralFaultMakesItsPointsUnknown(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		sp, err := spool.Open(dir, spool.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer sp.Close()
		b := newBoard(t, dir)
		c := newCenter(Config{Site: b.site(), Ports: b.ports, Log: slog.New(slog.DiscardHandler), Clock: testClock()}, sp)
		supervisors := supervise(Config{Site: b.site(), Ports: b.ports, Log: slog.New(slog.DiscardHandler)}, c, nil)
		ctx, cancel := context.WithCancel(context.Background())
		var running sync.WaitGroup
		for _, s := range supervisors {
			running.Go(func() { s.Run(ctx) })
		}
		state := func() string {
			time.Sleep(5 * time.Second)
			s := c.status()
			p := s.Points["front-door"]
			return fmt.Sprintf("ok=%v state=%v aged=%v", s.Peripherals["board-inputs"].OK, p.State, p.Age > 2*time.Second)
		}
		if got, want := state(), "ok=true state=normal aged=false"; got != want {
			t.Errorf("working: %s, want %s", got, want)
		}
		b.door.Fail(errors.New("chip is gone"))
		if got, want := state(), "ok=false state=unknown aged=true"; got != want {
			t.Errorf("broken: %s, want %s", got, want)
		}
		b.door.Fail(nil)
		if got, want := state(), "ok=true state=normal aged=false"; got != want {
			t.Errorf("mended: %s, want %s", got, want)
		}
		cancel()
		running.Wait()
		records, err := sp.Read(longan.State, 1, 100, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range records {
			e, err := longan.ParseEvent(r.JSON)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, e.Type)
		}
		if got, want := strings.Join(got, " "), "peripheral.fault peripheral.restored"; got != want {
			t.Errorf("events %s, want %s", got, want)
		}
	})
}

func testClock() *Clock {
	boot := time.Now()
	return &Clock{
		Boot: "boot1", Wall: func() time.Time { return time.Now().AddDate(27, 0, 0) },
		Mono: func() time.Duration { return time.Since(boot) }, Synced: func() bool { return true },
	}
}

func TestRunSaysWhatItCannotUse(t *testing.T) {
	b := newBoard(t, t.TempDir())
	site := b.site()
	site.Uplink.Brokers = nil
	err := Run(t.Context(), Config{Site: site, Dir: b.dir, Ports: b.ports})
	if err == nil || !strings.Contains(err.Error(), "no broker") {
		t.Errorf("no broker: %v", err)
	}
}

// TestAlarmsWithoutADisk: a folder that can't be used keeps no alarm from being
// raised, and what was missed is made up for when the disk is there.
func TestAlarmsWithoutADisk(t *testing.T) {
	parent := t.TempDir()
	dir := parent + "/data"
	if err := os.WriteFile(dir, nil, 0o600); err != nil { // a file where the folder should be
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(t, dir)
		b.start()
		b.want("device.fault")
		b.panic.Set(gpio.Low)
		b.want("alarm.raised panic-button")
		b.door.Set(gpio.High)
		b.want()
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		b.wantTogether("door.opened front-door", "agent.started", "device.restored")
		b.stop()
		sp, err := spool.Open(dir, spool.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer sp.Close()
		if n := sp.Backlog(longan.Alarm); n != 1 {
			t.Errorf("%d alarms on disk, want the one that was in memory", n)
		}
	})
}
