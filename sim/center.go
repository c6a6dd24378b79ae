package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/sim/link"
	"github.com/longan-edge/longan/sim/peripheral"
)

// The inputs of a demo center's Modbus module, 1-based as on its terminals.
const (
	inputFront = 1 // normally closed: open circuit is an open door
	inputBack  = 2 // normally closed
	inputPanic = 3 // normally open
	inputCount = 8
)

// center is one simulated center: hardware behind pseudo-terminals, a link that
// can be cut, and the real agent.
type center struct {
	demo     *Demo
	device   longan.DeviceID
	name     string
	module   *peripheral.Module
	printer  *peripheral.Printer
	ptys     [2]*peripheral.PTY // of module and printer
	link     *link.Link
	proxy    *link.Proxy
	agent    *Process
	linkDown atomic.Bool
	full     *full   // nil is a module and a printer alone
	peak     float64 // of the agent's memory, in MiB
}

func (d *Demo) newCenter(t longan.Township, agent, broker string, everything bool) (*center, error) {
	c := &center{
		demo: d, device: longan.DeviceID(t.Code + "-01"), name: t.CountyName + t.Name,
		module:  peripheral.NewModule(peripheral.ModuleConfig{Address: 1, Inputs: inputCount, Coils: 4}),
		printer: peripheral.NewPrinter(),
	}
	c.module.SetInput(inputFront, true) // doors are closed
	c.module.SetInput(inputBack, true)
	dir := filepath.Join(d.Dir, string(c.device))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make center's folder: %w", err)
	}
	for i := range c.ptys {
		pty, err := peripheral.OpenPTY()
		if err != nil {
			return nil, err
		}
		c.ptys[i] = pty
	}
	var err error
	c.link = link.New(0, link.Conditions{})
	if c.proxy, err = link.NewProxy(c.link, broker); err != nil {
		return nil, err
	}
	text := c.siteFile(t)
	if everything {
		if c.full, err = newFull(dir); err != nil {
			return nil, err
		}
		text = append(text, c.full.site()...)
	}
	site := filepath.Join(dir, "site.toml")
	if err := os.WriteFile(site, []byte(declarePorts(string(text))), 0o600); err != nil {
		return nil, fmt.Errorf("write site file: %w", err)
	}
	keep := d.keepLog(string(c.device))
	c.agent = &Process{
		Name: "longan-agent " + string(c.device), Path: agent,
		Args: []string{"run", "-site", site, "-data", filepath.Join(dir, "data"), "-log", "debug", "-log-json"},
		Line: func(line []byte) {
			d.tally.LogLine(c.device, line)
			if c.full != nil {
				c.full.logLine(line)
			}
			keep(line)
		},
	}
	return c, nil
}

// siteFile is what a technician would have written for this center.
func (c *center) siteFile(t longan.Township) []byte {
	return fmt.Appendf(nil, `[center]
device = %q
name = "%s综治中心"

[board]
profile = "generic-linux"
[board.uart]
RS485-1 = %q
RS232-1 = %q

[uplink]
brokers = ["mqtt://%s"]

[[peripheral]]
name = "io"
label = "输入模块"
driver = "modbus"
port = "RS485-1"
baud = 9600
address = 1
poll = "50ms"
  [[peripheral.point]]
  name = "front-door"
  label = "前门"
  kind = "door"
  signal = "di1"
  contact = "nc"
  [[peripheral.point]]
  name = "back-door"
  label = "后门"
  kind = "door"
  signal = "di2"
  contact = "nc"
  [[peripheral.point]]
  name = "panic-button"
  label = "紧急按钮"
  kind = "panic"
  signal = "di3"
  contact = "no"

[[peripheral]]
name = "printer"
label = "小票打印机"
driver = "escpos"
port = "RS232-1"
baud = 9600
poll = "500ms"
`, c.device, t.Name, c.ptys[0].Path(), c.ptys[1].Path(), c.proxy.Addr())
}

// run runs the hardware, the link and the agent until ctx ends.
func (c *center) run(ctx context.Context) error {
	hardware, stop := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	defer running.Wait()
	defer stop() // the hardware outlives the agent
	failed := make(chan error, 3)
	if c.full != nil {
		running.Go(func() { failed <- c.full.serve(hardware) })
	}
	running.Go(func() { failed <- c.module.Serve(hardware, c.ptys[0]) })
	running.Go(func() { failed <- c.printer.Serve(hardware, c.ptys[1]) })
	running.Go(func() { c.proxy.Run(hardware) })
	defer func() {
		for _, p := range c.ptys {
			p.Close()
		}
	}()
	err := c.agent.Run(ctx)
	select {
	case hw := <-failed:
		err = errors.Join(err, fmt.Errorf("simulated hardware of %s: %w", c.name, hw))
	default:
	}
	return err
}

// live plays one day after another until ctx ends, then leaves the link up.
func (d *Demo) live(ctx context.Context, c *center, rng *rand.Rand) {
	defer c.do(context.WithoutCancel(ctx), LinkUp)
	for {
		begin := time.Now()
		for _, act := range Day(rng) {
			at := time.Duration(float64(act.At-DayBegins) / float64(DayEnds-DayBegins) * float64(d.Day))
			if !sleepUntil(ctx, begin.Add(at)) {
				return
			}
			c.do(ctx, act.What)
		}
		if !sleepUntil(ctx, begin.Add(d.Day)) {
			return
		}
	}
}

// sleepUntil reports false when ctx ended first.
func sleepUntil(ctx context.Context, at time.Time) bool {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// do makes something happen.
func (c *center) do(ctx context.Context, what What) {
	switch what {
	case FrontOpens:
		c.module.SetInput(inputFront, false)
	case FrontCloses:
		c.module.SetInput(inputFront, true)
	case BackOpens:
		c.module.SetInput(inputBack, false)
	case BackCloses:
		c.module.SetInput(inputBack, true)
	case Panic:
		c.press(ctx)
	case PaperNear:
		c.printer.SetPaper(peripheral.PaperNear)
	case PaperOut:
		c.printer.SetPaper(peripheral.PaperOut)
	case PaperNew:
		c.printer.SetPaper(peripheral.PaperFull)
	case LinkDown:
		if !c.linkDown.Swap(true) {
			c.demo.linkDrops.Add(1)
			c.link.Set(link.Conditions{Down: true})
			c.demo.say("  ⇣ %s 断网 / link down", c.name)
		}
	case LinkUp:
		if c.linkDown.Swap(false) {
			c.link.Set(link.Conditions{})
			c.demo.say("  ⇡ %s 恢复 / link up", c.name)
		}
	}
}

// press presses a latching panic button and releases it once the city has the
// alarm, or after a while where it can't have it.
func (c *center) press(ctx context.Context) {
	c.demo.tally.Press(c.device, time.Now(), c.linkDown.Load())
	c.module.SetInput(inputPanic, true)
	defer c.module.SetInput(inputPanic, false)
	const held, most = 300 * time.Millisecond, 3 * time.Second
	deadline := time.Now().Add(most)
	for sleepUntil(ctx, time.Now().Add(held)) && time.Now().Before(deadline) {
		if c.demo.tally.Pressed(c.device) == 0 {
			return
		}
	}
}
