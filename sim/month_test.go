package sim

import (
	"context"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/gpio"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/agent"
	"github.com/longan-edge/longan/cloud"
	firmwareconfig "github.com/longan-edge/longan/firmware-config"
	"github.com/longan-edge/longan/sim/link"
	"github.com/longan-edge/longan/sim/peripheral"
)

const (
	day   = 24 * time.Hour
	month = 30 * day
)

// outage is something long that happens to a center's link.
type outage struct {
	at, long time.Duration
	link.Conditions
}

// plan is what happens in a run of three centers.
type plan struct {
	length time.Duration
	// outages of each center's link, beside what a lossy mobile network does.
	outages [3][]outage
	// forgotten are the times at which connections become half-open for ever, as
	// when a carrier's NAT forgets them, restarts those of agents, and cuts those
	// of a board's power, all of each center, shifted by an hour from one to the
	// next.
	forgotten, restarts, cuts []time.Duration
	// city is when the city is down; its broker comes back without anything
	// retained.
	city []outage
}

var (
	linkDown  = link.Conditions{Down: true}
	blackHole = link.Conditions{BlackHole: link.BothWays}
)

// TestADayInVirtualTime is a day of what TestAMonthInVirtualTime has a month of.
func TestADayInVirtualTime(t *testing.T) {
	playPlan(t, plan{
		length: day,
		outages: [3][]outage{
			{{2 * time.Hour, 16 * time.Minute, linkDown}, {9 * time.Hour, 2 * time.Hour, blackHole}},
			{{4 * time.Hour, 6 * time.Hour, linkDown}},
			{{6 * time.Hour, 5 * time.Minute, link.Conditions{BlackHole: link.ToCity}}, {12 * time.Hour, time.Hour, link.Conditions{BlackHole: link.ToBoard}}},
		},
		forgotten: []time.Duration{5 * time.Hour, 17 * time.Hour},
		restarts:  []time.Duration{15 * time.Hour},
		cuts:      []time.Duration{19 * time.Hour},
		city:      []outage{{at: 10 * time.Hour, long: time.Minute}, {at: 20 * time.Hour, long: 16 * time.Minute}},
	})
}

// TestAMonthInVirtualTime runs three centers, the broker and the city for 30 days
// over links as lossy 4G is, with outages of minutes, hours and three days,
// half-open spells, power cuts, restarts of boards and city, and clocks that are
// wrong. At the end the city's store holds every accepted event exactly once and
// in order.
func TestAMonthInVirtualTime(t *testing.T) {
	if testing.Short() {
		t.Skip("TestADayInVirtualTime is the same of a day")
	}
	p := plan{
		length: month,
		outages: [3][]outage{
			{{2 * day, 16 * time.Minute, linkDown}, {5 * day, 6 * time.Hour, linkDown}, {12 * day, 72 * time.Hour, linkDown}, {22 * day, 6 * time.Hour, blackHole}},
			{{3 * day, 30 * time.Hour, blackHole}, {20 * day, 72 * time.Hour, blackHole}},
			{{8 * day, 3 * time.Hour, link.Conditions{BlackHole: link.ToCity}}, {9 * day, 3 * time.Hour, link.Conditions{BlackHole: link.ToBoard}}, {28 * day, 40 * time.Hour, linkDown}},
		},
		city: []outage{{at: 4 * day, long: time.Minute}, {at: 11 * day, long: 16 * time.Minute}, {at: 18*day + 7*time.Hour, long: 6 * time.Hour}, {at: 25 * day, long: 10 * time.Second}},
	}
	for d := range 30 {
		p.forgotten = append(p.forgotten, time.Duration(d)*day+time.Duration(5+d%7)*time.Hour)
		switch d % 4 {
		case 1:
			p.restarts = append(p.restarts, time.Duration(d)*day+15*time.Hour)
		case 3:
			p.cuts = append(p.cuts, time.Duration(d)*day+19*time.Hour)
		}
	}
	playPlan(t, p)
}

func playPlan(t *testing.T, p plan) {
	t.Helper()
	dir := memoryDir(t)
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // a month makes much garbage, and little of it at a time
	oneProcessor(t)
	synctest.Test(t, func(t *testing.T) {
		city := newVirtualCity(t, dir)
		var centers []*virtualCenter
		for i, township := range longan.Townships()[10:13] {
			centers = append(centers, newVirtualCenter(city, longan.DeviceID(township.Code+"-01"), i))
		}
		var all sync.WaitGroup
		for _, c := range centers {
			all.Go(func() { c.live(p) })
		}
		begin := time.Now()
		for _, o := range p.city {
			time.Sleep(time.Until(begin.Add(o.at)))
			city.stop()
			time.Sleep(o.long)
			city.start()
		}
		all.Wait()
		time.Sleep(10 * time.Minute) // the backlog drains
		report := &Report{Centers: len(centers)}
		made := 0
		for _, c := range centers {
			c.end()
			made += c.moves + c.starts + int(c.synced.Load()) // each is an event
			report.LinkDrops += c.link.Drops()
			toCity, toBoard := c.link.Counts()
			t.Logf("%s: %d events, %d starts, clock set %d times, %d connections; to the city %.1f MB, to the board %.1f MB, ACKs %.1f MB", c.site.Device,
				c.moves, c.starts, c.synced.Load(), c.link.Connections(), mega(toCity.IP()), mega(toBoard.IP()), mega(toCity.BareIP()+toBoard.BareIP()))
		}
		city.stop()
		streams, err := cloud.Audit(t.Context(), city.store)
		if err != nil {
			t.Fatal(err)
		}
		city.tally.Close(report, streams)
		t.Logf("%+v", *report)
		if !report.OK() || report.Stored != report.Accepted {
			t.Errorf("books do not balance: %+v", *report)
		}
		if report.Stored != made {
			t.Errorf("%d events stored, the centers made %d", report.Stored, made)
		}
	})
}

func mega(n int64) float64 { return float64(n) / 1e6 }

// virtualCenter is a board with what is wired to it, and who uses that.
type virtualCenter struct {
	*virtualBoard
	index int
	rng   *rand.Rand
	moves int // changes of inputs that are events
	door  func(open bool)
	panic func(pressed bool)

	hardware context.CancelFunc
	running  sync.WaitGroup
}

// moduleSite is the site of a center whose inputs are a Modbus module's, with a
// receipt printer.
const moduleSite = `[center]
device = "DEVICE"
name = "测试综治中心"
[board]
profile = "generic-linux"
[board.uart]
RS485-1 = "/dev/ttyS1"
RS232-1 = "/dev/ttyS2"
[uplink]
brokers = ["mqtt://city"]
heartbeat = "60s"
[[peripheral]]
name = "io"
driver = "modbus"
port = "RS485-1"
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
`

// newVirtualCenter returns a center whose agent runs. The first has a Modbus
// module and a printer, which are polled; the others have their contacts at the
// board's own inputs, which costs a month little.
func newVirtualCenter(city *virtualCity, device longan.DeviceID, index int) *virtualCenter {
	c := &virtualCenter{index: index, rng: rand.New(rand.NewPCG(1, uint64(index)))}
	ctx, stop := context.WithCancel(context.Background())
	c.hardware = stop
	if index == 0 {
		site, err := firmwareconfig.Parse("site.toml", []byte(strings.Replace(moduleSite, "DEVICE", string(device), 1)), firmwareconfig.English)
		if err != nil {
			city.t.Fatal(err)
		}
		for i := range site.Peripherals {
			site.Peripherals[i].Poll = time.Minute // longer than a site file may say: a month of polls costs most
		}
		c.virtualBoard = city.addBoard(site, uint64(index), link.Conditions{})
		c.addModule(ctx)
	} else {
		c.virtualBoard = city.addBoard(doorSite(device, time.Minute), uint64(index), link.Conditions{})
		door, button := c.ports.AddLine("chip:1"), c.ports.AddLine("chip:2")
		c.door = func(open bool) { door.Set(gpio.Level(open)) }
		c.panic = func(pressed bool) { button.Set(gpio.Level(!pressed)) }
	}
	c.door(false)
	c.panic(false)
	c.clock = c.wrongClock
	c.start()
	return c
}

func (c *virtualCenter) addModule(ctx context.Context) {
	module := peripheral.NewModule(peripheral.ModuleConfig{Address: 1, Inputs: 8, Coils: 4})
	printer := peripheral.NewPrinter()
	c.door = func(open bool) { module.SetInput(inputFront, !open) }
	c.panic = func(pressed bool) { module.SetInput(inputPanic, pressed) }
	uart1, uart2 := c.ports.AddSerial("/dev/ttyS1"), c.ports.AddSerial("/dev/ttyS2")
	for _, serve := range []func() error{
		func() error { return module.Serve(ctx, uart1) },
		func() error { return printer.Serve(ctx, uart2) },
	} {
		c.running.Go(func() {
			if err := serve(); err != nil {
				c.city.t.Error(err)
			}
		})
	}
}

func (c *virtualCenter) end() {
	c.stop()
	c.hardware()
	c.running.Wait()
}

// wrongClock is the clock of a start: right, or without a battery until time
// comes from the network after an hour, or two weeks ahead until then.
func (c *virtualCenter) wrongClock(boot string, begin time.Time) *agent.Clock {
	var wrong time.Duration
	switch c.starts % 3 {
	case 1:
		wrong = -virtualNow().Sub(time.Unix(0, 0))
	case 2:
		wrong = 14 * day
	}
	var synced atomic.Bool
	synced.Store(wrong == 0)
	time.AfterFunc(time.Hour, func() { synced.Store(true) })
	return &agent.Clock{
		Boot: boot, Synced: synced.Load,
		Mono: func() time.Duration { return time.Since(begin) },
		Wall: func() time.Time {
			if synced.Load() {
				return virtualNow()
			}
			return virtualNow().Add(wrong)
		},
	}
}

// live moves the door and presses the button while its link does what the plan
// says.
func (c *virtualCenter) live(p plan) {
	begin := time.Now()
	ctx, cancel := context.WithCancel(context.Background())
	var acts sync.WaitGroup
	schedule := link.LossyMobile().Schedule(uint64(c.index), p.length)
	for _, o := range p.outages[c.index] {
		schedule = schedule.With(o.at, o.long, o.Conditions)
	}
	acts.Go(func() { c.link.Play(ctx, schedule) })
	acts.Go(func() {
		for _, at := range p.forgotten {
			time.Sleep(time.Until(begin.Add(at + time.Duration(c.index)*time.Hour)))
			c.link.Forget()
		}
	})
	restarts, cuts, open := p.restarts, p.cuts, false
	due := func(times *[]time.Duration) bool {
		if len(*times) == 0 || time.Since(begin) < (*times)[0]+time.Duration(c.index)*time.Hour {
			return false
		}
		*times = (*times)[1:]
		return true
	}
	for time.Since(begin) < p.length {
		switch {
		case due(&restarts):
			c.stop()
			time.Sleep(30 * time.Second)
			c.start()
			time.Sleep(2 * time.Minute)
		case due(&cuts):
			c.cutPower()
			time.Sleep(10 * time.Minute)
			c.start()
			time.Sleep(2 * time.Minute)
		}
		open = !open
		c.door(open)
		c.moves++
		time.Sleep(2 * time.Minute)
		if c.rng.IntN(10) == 0 {
			c.panic(true)
			time.Sleep(time.Minute)
			c.panic(false)
			time.Sleep(time.Minute)
			c.moves += 2
		}
		time.Sleep(5*time.Minute + time.Duration(c.rng.IntN(1200))*time.Second)
	}
	cancel()
	acts.Wait()
	c.link.Set(link.Conditions{})
}
