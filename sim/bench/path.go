package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/longan-edge/longan/sim"
)

// Path measures the whole way: a real agent, a real broker on loopback, the real
// city and its store, and back. The peer takes turns with it in the same run: a
// mosquitto whose bridge carries messages of the same size to the same broker, and
// keeps them in memory alone. The zero value of a field is its usual value.
type Path struct {
	Dir     string        // where on the disk; "" is a folder for temporary files
	Events  int           // of the outage; 0 is 100,000
	Alarms  int           // one after the other in each round; 0 is 200
	Repeats int           // rounds, of which the median counts; 0 is 3
	Idle    time.Duration // how long an idle center is watched; 0 is 5 min
	Only    []string      // names of measurements; empty is all
	Mix     string        // of the outage's events, Usual or Noise; "" is Usual
	Self    string        // a program that calls Child with its arguments behind "bench child"
	JSON    bool          // one object a line, not a table
	Out     io.Writer     // takes the figures
	Log     *slog.Logger

	agent, cloud, mosquittoPath string
	loneGap                     time.Duration // 0 is the constant
	size                        int           // of an event's JSON, and of the peer's message
	deflated                    float64       // of an event's JSON among many
}

// The ways to the city that are measured, and the peer, in the order in which they
// take turns.
const (
	viaMosquitto = "mosquitto"
	viaEmbedded  = "embedded"
	peerBridge   = "bridge"
)

// The goals, most of them what no peer reaches that keeps its events on disk.
const (
	goalAlarmP50  = 4   // ms
	goalAlarmP99  = 20  // ms
	goalDrain     = 1.2 // times as fast as the bridge
	goalWire      = 45  // bytes of IP per drained event
	goalAlarmWire = 420 // bytes of IP for a lone alarm, with all that confirms it
	goalCPU       = 1.0 // seconds of the agent per 100,000 drained
	goalIdleMonth = 60  // MB

	goalOvertake     = 100  // ms, of an alarm in a drain, 99th percentile
	goalOvertakeThin = 2000 // the same over 256 kbit/s at 300 ms
)

// Run measures everything and writes each figure as soon as it has it.
func (p *Path) Run(ctx context.Context) (err error) {
	p.defaults()
	if p.mosquittoPath, err = findMosquitto(); err != nil {
		return err
	}
	if p.Dir == "" {
		if p.Dir, err = os.MkdirTemp("", "longan-path-"); err != nil {
			return fmt.Errorf("make folder: %w", err)
		}
		defer os.RemoveAll(p.Dir)
	} else if err := os.MkdirAll(p.Dir, 0o700); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	if p.agent, err = sim.FindProgram(ctx, p.Dir, "longan-agent"); err != nil {
		return err
	}
	if p.cloud, err = sim.FindProgram(ctx, p.Dir, "longan-cloud"); err != nil {
		return err
	}
	raw, deflated := newGenerator(1, p.Mix).compressed()
	p.size, p.deflated = int(raw+0.5), deflated
	p.header()
	for _, m := range p.measurements() {
		if !wanted(p.Only, m.name) {
			continue
		}
		figures, err := m.measure(ctx)
		if err != nil {
			return fmt.Errorf("measure %s: %w", m.name, err)
		}
		for _, f := range figures {
			if err := p.print(f); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *Path) defaults() {
	if p.Events == 0 {
		p.Events = 100_000
	}
	if p.Alarms == 0 {
		p.Alarms = 200
	}
	if p.Repeats == 0 {
		p.Repeats = 3
	}
	if p.Idle == 0 {
		p.Idle = 5 * time.Minute
	}
	p.Mix = cmp.Or(p.Mix, Usual)
	if p.loneGap == 0 {
		p.loneGap = loneGap
	}
	if p.Log == nil {
		p.Log = slog.New(slog.DiscardHandler)
	}
}

type pathMeasurement struct {
	name    string
	measure func(context.Context) ([]PathFigure, error)
}

func (p *Path) measurements() []pathMeasurement {
	return []pathMeasurement{
		{"alarm", p.alarm},
		{"drain", p.drain},
		{"overtake", p.overtake},
		{"lone", p.loneAlarm},
		{"idle", p.idleMonth},
	}
}

// PathNames lists the measurements that Path.Only may choose from.
func PathNames() []string {
	var names []string
	for _, m := range (&Path{}).measurements() {
		names = append(names, m.name)
	}
	return names
}

// values are what one measurement yields, by name.
type values map[string]float64

// rounds lets the ways and the peer take turns, Repeats times, each in an empty
// folder.
func (p *Path) rounds(ctx context.Context, measure func(ctx context.Context, way, dir string) (values, error)) (map[string][]values, error) {
	out := map[string][]values{}
	for range p.Repeats {
		for _, way := range []string{viaMosquitto, peerBridge, viaEmbedded} {
			v, err := p.once(ctx, way, measure)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", way, err)
			}
			p.Log.Info("measured", "way", way, "values", v)
			out[way] = append(out[way], v)
		}
	}
	return out, nil
}

func (p *Path) once(ctx context.Context, way string, measure func(ctx context.Context, way, dir string) (values, error)) (v values, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(p.Dir, way+"-")
	if err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	defer os.RemoveAll(dir)
	before, err := floor(dir)
	if err != nil {
		return nil, err
	}
	if v, err = measure(ctx, way, dir); err != nil {
		return nil, err
	}
	after, err := floor(dir)
	v["floor_us"] = float64((before + after).Nanoseconds()) / 2e3
	return v, err
}

// rig is a city, its broker, and the link to it, which counts.
type rig struct {
	*city
	link *meter
}

// startRig starts a city whose link to the board is down or up.
func (p *Path) startRig(ctx context.Context, way, dir string, down bool) (*rig, error) {
	c, err := p.startCity(ctx, dir, way == viaEmbedded)
	if err != nil {
		return nil, err
	}
	link, err := newMeter(c.address, down)
	if err != nil {
		c.stop()
		return nil, err
	}
	return &rig{c, link}, nil
}

func (r *rig) stop() {
	r.link.close()
	r.city.stop()
}

// settled waits until nothing has passed the link for some time, the signs of life
// excepted.
func (m *meter) settled(ctx context.Context) error {
	const quiet = 300 * time.Millisecond
	work := func() int {
		b := m.read()
		total := 0
		for kind, a := range b.accounts {
			if kind != kindHeartbeat && kind != kindHeartbeat+pubackOf && kind != kindPing {
				total += a.packets
			}
		}
		return total
	}
	last, since := work(), time.Now()
	return until(ctx, time.Minute, func() error {
		if now := work(); now != last {
			last, since = now, time.Now()
		}
		if time.Since(since) < quiet {
			return errors.New("the link is not quiet")
		}
		return nil
	})
}
