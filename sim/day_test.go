package sim

import (
	"bytes"
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/url"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/agent"
	"github.com/longan-edge/longan/cloud"
	"github.com/longan-edge/longan/drivers/porttest"
	firmwareconfig "github.com/longan-edge/longan/firmware-config"
	"github.com/longan-edge/longan/sim/peripheral"
)

// TestADayInVirtualTime runs three centers, the broker and the city in one
// process for 24 hours of virtual time. Each link is down two hours in every
// eight, at other hours in each center; boards and the city are restarted. At
// the end the city's store holds every accepted event exactly once and in order.
func TestADayInVirtualTime(t *testing.T) {
	dir := t.TempDir()
	// One processor: the race detector of Go 1.26 dies (SIGSEGV in SlotLock) when
	// two of them run timers of one bubble at the same time.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	synctest.Test(t, func(t *testing.T) {
		d := newVirtualCity(t, dir)
		var centers []*virtualCenter
		for i, township := range longan.Townships()[10:13] {
			centers = append(centers, d.addCenter(t, township, i))
		}
		var day sync.WaitGroup
		for _, c := range centers {
			day.Go(func() { c.live(24 * time.Hour) })
		}
		time.Sleep(10 * time.Hour)
		d.restart()
		day.Wait()
		time.Sleep(10 * time.Minute) // the backlog drains
		drops := 0
		for _, c := range centers {
			c.stop()
			drops += c.wire.Drops()
		}
		d.stop()

		streams, err := cloud.Audit(t.Context(), d.store)
		if err != nil {
			t.Fatal(err)
		}
		r := &Report{Centers: len(centers), LinkDrops: drops}
		d.tally.Close(r, streams)
		t.Logf("%+v", *r)
		if !r.OK() || r.Stored != r.Accepted {
			t.Errorf("books do not balance: %+v", *r)
		}
		moved := 0
		for _, c := range centers {
			moved += c.moves
		}
		// Every movement is an event, and each of the agent's starts.
		if want := moved + d.starts; r.Stored != want {
			t.Errorf("%d events stored, the centers made %d", r.Stored, want)
		}
		if r.LinkDrops != 3*3 {
			t.Errorf("%d link drops, want 9", r.LinkDrops)
		}
	})
}

// virtualNow is a time of our days: a bubble begins in the year 2000, which the
// boards would take for a clock that was never set.
func virtualNow() time.Time { return time.Now().AddDate(27, 0, 0) }

// virtualCity is the city and what its centers share.
type virtualCity struct {
	t      *testing.T
	dir    string
	store  string
	tally  *Tally
	starts int // of agents; written before and after, not while, centers run

	mu       sync.Mutex
	exchange *Exchange
	cancel   context.CancelFunc
	done     sync.WaitGroup
}

func newVirtualCity(t *testing.T, dir string) *virtualCity {
	d := &virtualCity{t: t, dir: dir, store: filepath.Join(dir, cloud.StoreName), tally: NewTally()}
	d.start()
	return d
}

func (d *virtualCity) start() {
	d.t.Helper()
	e := NewExchange()
	city, err := cloud.New(cloud.Config{StorePath: d.store, MQTT: e, InsecureDemo: true, Now: virtualNow})
	if err != nil {
		d.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	d.mu.Lock()
	d.exchange, d.cancel = e, cancel
	d.mu.Unlock()
	d.done.Go(func() {
		if err := city.Run(ctx); err != nil && ctx.Err() == nil {
			d.t.Errorf("city: %v", err)
		}
	})
	<-city.Ready()
}

func (d *virtualCity) stop() {
	d.cancel()
	d.done.Wait()
}

func (d *virtualCity) restart() {
	d.stop()
	time.Sleep(time.Minute)
	d.start()
}

func (d *virtualCity) at() *Exchange {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.exchange
}

// virtualCenter is a center in memory.
type virtualCenter struct {
	city    *virtualCity
	site    *firmwareconfig.Site
	dir     string
	ports   *porttest.Ports
	module  *peripheral.Module
	printer *peripheral.Printer
	wire    *Wire
	rng     *rand.Rand
	index   int
	moves   int // changes of inputs that are events

	hardware context.CancelFunc
	running  sync.WaitGroup
	agent    context.CancelFunc
	agents   sync.WaitGroup
}

const virtualSite = `[center]
device = "DEVICE"
name = "NAME"
[board]
profile = "generic-linux"
[board.uart]
RS485-1 = "/dev/ttyS1"
RS232-1 = "/dev/ttyS2"
[uplink]
brokers = ["mqtt://city"]
heartbeat = "30s"
[[peripheral]]
name = "io"
driver = "modbus"
port = "RS485-1"
poll = "10s"
  [[peripheral.point]]
  name = "front-door"
  kind = "door"
  signal = "di1"
  contact = "nc"
  [[peripheral.point]]
  name = "panic-button"
  kind = "panic"
  signal = "di3"
  contact = "no"
[[peripheral]]
name = "printer"
driver = "escpos"
port = "RS232-1"
poll = "10s"
`

func (d *virtualCity) addCenter(t *testing.T, township longan.Township, index int) *virtualCenter {
	t.Helper()
	device := township.Code + "-01"
	site, err := firmwareconfig.Parse("site.toml",
		[]byte(strings.NewReplacer("DEVICE", device, "NAME", township.Name).Replace(virtualSite)), firmwareconfig.English)
	if err != nil {
		t.Fatal(err)
	}
	c := &virtualCenter{
		city: d, site: site, dir: filepath.Join(d.dir, device), index: index,
		ports:   &porttest.Ports{},
		module:  peripheral.NewModule(peripheral.ModuleConfig{Address: 1, Inputs: 8, Coils: 4}),
		printer: peripheral.NewPrinter(),
		wire:    NewWire(d.at),
		rng:     rand.New(rand.NewPCG(1, uint64(index))),
	}
	c.module.SetInput(inputFront, true)
	ctx, stop := context.WithCancel(context.Background())
	c.hardware = stop
	io, printer := c.ports.AddSerial("/dev/ttyS1"), c.ports.AddSerial("/dev/ttyS2")
	c.running.Go(func() {
		if err := c.module.Serve(ctx, io); err != nil {
			t.Error(err)
		}
	})
	c.running.Go(func() {
		if err := c.printer.Serve(ctx, printer); err != nil {
			t.Error(err)
		}
	})
	c.start()
	return c
}

func (c *virtualCenter) start() {
	ctx, cancel := context.WithCancel(context.Background())
	c.agent = cancel
	boot := time.Now()
	log := slog.New(slog.NewJSONHandler(tallyWriter{c.city.tally, c.site.Device}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	c.city.mu.Lock()
	c.city.starts++
	c.city.mu.Unlock()
	c.agents.Go(func() {
		err := agent.Run(ctx, agent.Config{
			Site: c.site, Dir: c.dir, Ports: c.ports, Version: "test", Log: log,
			Dial: func(ctx context.Context, _ *url.URL) (net.Conn, error) { return c.wire.Dial(ctx) },
			Clock: &agent.Clock{
				Boot: "boot" + string(c.site.Device[:9]), Wall: virtualNow,
				Mono: func() time.Duration { return time.Since(boot) }, Synced: func() bool { return true },
			},
		})
		if err != nil {
			c.city.t.Errorf("agent: %v", err)
		}
	})
}

func (c *virtualCenter) stopAgent() {
	c.agent()
	c.agents.Wait()
}

func (c *virtualCenter) stop() {
	c.stopAgent()
	c.hardware()
	c.running.Wait()
}

// live moves the door and presses the button for a day, cuts the link two
// hours in every eight, and restarts the agent once.
func (c *virtualCenter) live(day time.Duration) {
	begin := time.Now()
	open, restarted := false, false
	for time.Since(begin) < day {
		hour := (time.Since(begin) + time.Duration(c.index)*2*time.Hour) % (8 * time.Hour)
		c.wire.SetDown(hour >= 4*time.Hour && hour < 6*time.Hour)
		if !restarted && time.Since(begin) > 15*time.Hour {
			restarted = true
			c.stopAgent()
			time.Sleep(30 * time.Second)
			c.start()
			time.Sleep(time.Minute)
		}
		open = !open
		c.module.SetInput(inputFront, !open)
		c.moves++
		time.Sleep(time.Minute)
		if c.rng.IntN(20) == 0 {
			c.module.SetInput(inputPanic, true)
			time.Sleep(30 * time.Second)
			c.module.SetInput(inputPanic, false)
			c.moves += 2
		}
		time.Sleep(2*time.Minute + time.Duration(c.rng.IntN(300))*time.Second)
	}
	c.wire.SetDown(false)
}

// tallyWriter hands an agent's log to the books.
type tallyWriter struct {
	tally  *Tally
	device longan.DeviceID
}

func (w tallyWriter) Write(b []byte) (int, error) {
	for line := range bytes.Lines(b) {
		w.tally.LogLine(w.device, line)
	}
	return len(b), nil
}
