// Package agent is the board: it runs the drivers of a center, turns their
// readings into events, keeps every event on flash, and sends it to the city.
//
//	driver -> reading -> rules -> event -> spool (fsync) -> uplink -> city
//
// Everything left of the spool runs in the emitting driver's goroutine: emit
// returns once what follows from a reading is on disk.
package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"sync"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/agent/internal/clock"
	"github.com/longan-edge/longan/agent/internal/spool"
	"github.com/longan-edge/longan/agent/internal/uplink"
	"github.com/longan-edge/longan/drivers"
	firmwareconfig "github.com/longan-edge/longan/firmware-config"
)

// Config is what an agent is given from outside.
type Config struct {
	// Site is the checked site file.
	Site *firmwareconfig.Site
	// Dir is the folder of the spool, on flash.
	Dir string
	// SpoolSize bounds the spool's file, in bytes; zero is 64 MiB.
	SpoolSize int
	// Ports are the board's ports.
	Ports drivers.Ports
	// Network is the center's own; nil is the machine's.
	Network Network
	// Dial opens the connection to a broker of Site.
	Dial func(ctx context.Context, broker *url.URL) (net.Conn, error)
	// Local opens the socket that longan-agent spool asks through, see
	// ListenLocal; it is called while this process has the spool. Nil is none.
	Local func() (net.Listener, error)
	// Password of the broker; "" is none.
	Password string
	// Version of the program, for the city to see.
	Version string
	// Log is where the agent says what it does; nil discards it. Every accepted
	// event is logged at debug level, after it is on disk.
	Log *slog.Logger
	// Clock is where the time comes from; nil is SystemClock. Run tells it what
	// the spool and the city know of the time.
	Clock *Clock
	// Failpoint is the spool's, for crash tests; nil is nothing.
	Failpoint func(name string)
}

// Run runs the board until ctx ends; then it returns nil. It returns an error
// when it can't start: a site it can't use, or a spool that another process has
// open. A disk that takes nothing is no reason not to start: alarms still reach
// the city.
func Run(ctx context.Context, cfg Config) (err error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.System()
	}
	if cfg.Network == nil {
		cfg.Network = &systemNetwork{}
	}
	cfg.Clock.Hint(lastRun(cfg.Dir))
	sp, err := spool.Open(cfg.Dir, spool.Options{MaxSize: cfg.SpoolSize, Log: cfg.Log, Stamp: stamp(cfg.Clock), Failpoint: cfg.Failpoint})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sp.Close()) }()
	cfg.Clock.Raise(sp.ClockFloor())
	c := newCenter(cfg, sp)
	supervisors := supervise(cfg, c, sp.States())
	up, err := uplink.New(uplink.Config{
		Device: cfg.Site.Device, Brokers: cfg.Site.Uplink.Brokers,
		Username: cfg.Site.Uplink.Username, Password: cfg.Password,
		Dial: cfg.Dial, Queue: sp, Status: c.status, StatusChanged: c.changed,
		Heartbeat: cfg.Site.Uplink.Heartbeat, CityTime: cfg.Clock.Observe, Log: cfg.Log,
	})
	if err != nil {
		return err
	}
	begin := cfg.Clock.Now()
	started := c.started(ctx)
	if started != nil {
		cfg.Log.Error("agent starts without its disk", "err", started)
	}
	cfg.Log.Info("agent runs", "device", cfg.Site.Device, "center", cfg.Site.Name, "epoch", sp.Epoch(), "version", cfg.Version)
	var running sync.WaitGroup
	running.Go(func() { up.Run(ctx) })
	running.Go(func() { c.watchDisk(ctx, started != nil) })
	running.Go(func() { c.watchClock(ctx, begin) })
	running.Go(func() { c.serveLocal(ctx) })
	for _, s := range supervisors {
		running.Go(func() { s.Run(ctx) })
	}
	running.Wait()
	return nil
}

// supervise builds the supervisor of every peripheral.
func supervise(cfg Config, c *center, last map[string]longan.PointState) []*drivers.Supervisor {
	var all []*drivers.Supervisor
	table := newTable(cfg, last)
	for _, p := range cfg.Site.Peripherals {
		peripheral := p.Name
		all = append(all, &drivers.Supervisor{
			Name: peripheral, Driver: table.driver(p),
			Emit:   func(ctx context.Context, r drivers.Reading) error { return c.emit(ctx, peripheral, r) },
			Report: func(ctx context.Context, h drivers.Health) error { return c.report(ctx, peripheral, h) },
			Log:    cfg.Log,
		})
	}
	return all
}

// started accepts the event that the agent runs, so that the city can tell a
// restart from silence.
func (c *center) started(ctx context.Context) error {
	data := fmt.Appendf(nil, `{"version":%q}`, c.cfg.Version)
	if err := c.accept(ctx, []change{{Lane: longan.State, Type: longan.AgentStarted, Data: data}}); err != nil {
		return fmt.Errorf("accept first event: %w", err)
	}
	return nil
}
