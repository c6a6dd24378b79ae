package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/agent"
	"github.com/longan-edge/longan/drivers/porttest"
	firmwareconfig "github.com/longan-edge/longan/firmware-config"
)

// fleetCenter is a center whose hardware is in memory and whose agent is real.
type fleetCenter struct {
	fleet *Fleet
	site  *firmwareconfig.Site
	dir   string // of the spool
	ports porttest.Ports
	doors [2]*porttest.Line
	panic *porttest.Line
	rng   *rand.Rand

	mu      sync.Mutex // guards pressed
	pressed bool
}

func (f *Fleet) newCenter(t longan.Township, n uint64) (*fleetCenter, error) {
	c := &fleetCenter{fleet: f, rng: rand.New(rand.NewPCG(f.Seed, n))}
	device := longan.DeviceID(t.Code + "-01")
	c.dir = filepath.Join(f.Dir, string(device))
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make center's folder: %w", err)
	}
	contacts := firmwareconfig.Peripheral{Name: "board-inputs", Label: "板上输入", Driver: "contact", Poll: 5 * time.Second}
	add := func(name, label string, kind firmwareconfig.Kind, closed bool) *porttest.Line {
		line := c.ports.AddLine(name)
		circuit(line, closed)
		contacts.Points = append(contacts.Points, firmwareconfig.Point{
			Name: name, Label: label, Kind: kind, Signal: name, NormallyClosed: closed, Pull: "up", Debounce: 30 * time.Millisecond,
		})
		return line
	}
	c.doors[0] = add("front-door", "前门", firmwareconfig.KindDoor, true)
	c.doors[1] = add("back-door", "后门", firmwareconfig.KindDoor, true)
	c.panic = add("panic-button", "紧急按钮", firmwareconfig.KindPanic, false)
	c.site = &firmwareconfig.Site{
		Device: device, Name: t.Name + "综治中心",
		Uplink:      firmwareconfig.Uplink{Brokers: []string{"mqtt://" + f.broker}, Username: string(device)},
		Peripherals: []firmwareconfig.Peripheral{contacts},
	}
	return c, nil
}

// run runs the agent until ctx ends.
func (c *fleetCenter) run(ctx context.Context) error {
	err := agent.Run(ctx, agent.Config{
		Site: c.site, Dir: c.dir, SpoolSize: c.fleet.SpoolSize, Ports: &c.ports, Version: "fleet",
		Dial: func(ctx context.Context, broker *url.URL) (net.Conn, error) {
			return c.fleet.dials.dial(ctx, broker.Host)
		},
		Log: slog.New(&acceptLog{Handler: c.fleet.Log.Handler(), center: c}),
	})
	if err != nil {
		return fmt.Errorf("agent of %s: %w", c.site.Device, err)
	}
	return nil
}

// live opens and closes doors at random, some mean time apart, until ctx ends.
func (c *fleetCenter) live(ctx context.Context, mean time.Duration) {
	var open [2]bool
	for sleepUntil(ctx, time.Now().Add(time.Duration(c.rng.ExpFloat64()*float64(mean)))) {
		n := c.rng.IntN(len(open))
		open[n] = !open[n]
		circuit(c.doors[n], !open[n])
	}
}

// circuit closes a contact to ground, or opens it: the pull-up makes that high.
func circuit(line *porttest.Line, closed bool) {
	if closed {
		line.Set(false)
	} else {
		line.Set(true)
	}
}

// press presses the panic button, which latches, or releases it.
func (c *fleetCenter) press() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pressed = !c.pressed
	circuit(c.panic, c.pressed)
}

// acceptLog is a log that also tells the books what an agent has accepted.
type acceptLog struct {
	slog.Handler
	center *fleetCenter
}

// Enabled implements slog.Handler: accepted events are told at debug level.
func (*acceptLog) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler.
func (h *acceptLog) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == "accepted" {
		h.accepted(r)
		return nil
	}
	if !h.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	r.Add("device", h.center.site.Device)
	return h.Handler.Handle(ctx, r)
}

func (h *acceptLog) accepted(r slog.Record) {
	id := alarmID{stream: stream{device: h.center.site.Device}}
	durable := false
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "durable":
			durable = a.Value.Bool()
		case "epoch":
			id.epoch = a.Value.String()
		case "lane":
			id.lane = a.Value.String()
		case "seq":
			id.seq = a.Value.Uint64()
		}
		return true
	})
	if !durable {
		return
	}
	f := h.center.fleet
	f.tally.Accept(id.device, id.epoch, id.lane, id.seq)
	if id.lane == longan.Alarm.String() {
		f.clock.accept(id)
	}
}

// fill puts the history of Backlog into every spool, some at a time.
func (f *Fleet) fill(ctx context.Context) error {
	const many = 8
	var all sync.WaitGroup
	errs := make([]error, len(f.centers))
	next := make(chan int)
	for range many {
		all.Go(func() {
			for i := range next {
				errs[i] = f.centers[i].fill(ctx)
			}
		})
	}
	for i := range f.centers {
		next <- i
	}
	close(next)
	all.Wait()
	return errors.Join(errs...)
}

// fill writes what a center without a link would have kept: doors, and now and
// then an alarm.
func (c *fleetCenter) fill(ctx context.Context) (err error) {
	f := c.fleet
	s, err := agent.OpenSpool(c.dir, agent.SpoolOptions{MaxSize: f.SpoolSize})
	if err != nil {
		return fmt.Errorf("fill spool of %s: %w", c.site.Device, err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	const group, alarmEvery = 50, 100
	n := int(float64(f.PerDay) * f.Backlog.Hours() / 24)
	begin := time.Now().Add(-f.Backlog)
	var entries []agent.SpoolEntry
	for i := range n {
		at := begin.Add(f.Backlog / time.Duration(n) * time.Duration(i))
		entries = append(entries, agent.SpoolEntry{Event: c.past(i, i%alarmEvery == alarmEvery/2, at, at.Sub(begin))})
		if len(entries) < group && i < n-1 {
			continue
		}
		if err := s.Append(ctx, entries...); err != nil {
			return fmt.Errorf("fill spool of %s: %w", c.site.Device, err)
		}
		for _, e := range entries {
			f.tally.Accept(c.site.Device, e.Event.Epoch, e.Event.Lane.String(), e.Event.Seq)
			if e.Event.Lane == longan.Alarm {
				f.clock.accept(alarmID{stream{c.site.Device, e.Event.Epoch, e.Event.Lane.String()}, e.Event.Seq})
			}
		}
		entries = nil
	}
	return nil
}

// past is an event of a center's history.
func (c *fleetCenter) past(i int, alarm bool, at time.Time, mono time.Duration) *longan.Event {
	e := &longan.Event{
		Device: c.site.Device, Lane: longan.State, Type: longan.DoorOpened, Point: "front-door",
		Time: at.UTC().Truncate(time.Millisecond), Clock: longan.ClockNTP, Mono: mono, Boot: "0123456789abcdef",
	}
	if i%2 == 1 {
		e.Type = longan.DoorClosed
	}
	if alarm {
		e.Lane, e.Type, e.Point, e.Data = longan.Alarm, longan.AlarmRaised, "panic-button", []byte(`{"cause":"panic"}`)
	}
	return e
}
