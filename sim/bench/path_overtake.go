package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/sim/link"
)

// overtakeMost is how long alarms are raised while a thin link drains: it would
// take minutes to the end.
const overtakeMost = 30 * time.Second

// overtake measures how long an alarm takes while an outage's states drain: on
// loopback, and over a thin link. The peer has no urgency to show.
func (p *Path) overtake(ctx context.Context) ([]PathFigure, error) {
	var figures []PathFigure
	for _, line := range []struct {
		name, method string
		link         link.Conditions
		repeats      int
		goal         float64 // ms
	}{
		{"overtake", "loopback", link.Conditions{}, p.Repeats, goalOvertake},
		{"overtake_thin", "256 kbit/s, 300 ms there and back", link.Conditions{Bandwidth: 256_000, Latency: 150 * time.Millisecond}, 1, goalOvertakeThin},
	} {
		samples := map[string][]values{}
		for range line.repeats {
			for _, way := range []string{viaMosquitto, viaEmbedded} {
				v, err := p.once(ctx, way, func(ctx context.Context, way, dir string) (values, error) {
					return p.overtakeOnce(ctx, way, dir, line.link)
				})
				if err != nil {
					return nil, fmt.Errorf("%s, %s: %w", line.name, way, err)
				}
				p.Log.Info("measured", "figure", line.name, "way", way, "values", v)
				samples[way] = append(samples[way], v)
			}
		}
		method := fmt.Sprintf("alarms, 99th percentile, while %d states drain; %s", p.Events, line.method)
		for _, via := range []string{viaMosquitto, viaEmbedded} {
			f := pathFigure(line.name, "ms", via, method, samples, "p99_ms")
			f.Goal = line.goal
			figures = append(figures, f.with(samples, "p50_ms", "max_ms", "alarms", "drained").judge())
		}
	}
	return figures, nil
}

func (p *Path) overtakeOnce(ctx context.Context, way, dir string, c link.Conditions) (values, error) {
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		return nil, err
	}
	if out, err := exec.CommandContext(ctx, p.Self, childArgs(p.Mix, ours, "fill-states", data, p.Events, 1)...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("fill: %w: %s", err, out)
	}
	r, err := p.startRig(ctx, way, dir, true)
	if err != nil {
		return nil, err
	}
	defer r.stop()
	proxy, err := link.NewProxy(link.New(1, c), r.link.address())
	if err != nil {
		return nil, err
	}
	carrying, end := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { proxy.Run(carrying) })
	defer running.Wait()
	defer end()
	address := proxy.Addr()
	if c == (link.Conditions{}) {
		address = r.link.address()
	}
	b, err := p.startBoard(ctx, dir, address)
	if err != nil {
		return nil, err
	}
	defer b.stop()
	if err := r.link.tried(ctx); err != nil {
		return nil, fmt.Errorf("%w: %s", err, b.cmd.Stderr)
	}
	return p.alarmsInDrain(ctx, r, b)
}

// alarmsInDrain mends the link and raises alarms until the states have drained.
func (p *Path) alarmsInDrain(ctx context.Context, r *rig, b *board) (values, error) {
	stored, began := make(chan time.Time, 16), make(chan time.Time, 1)
	r.watch(func(lane string, n, total int, at time.Time) {
		switch {
		case lane == longan.Alarm.String():
			for range n {
				stored <- at
			}
		case total == n:
			began <- at
		}
	})
	r.link.cut(false)
	if _, err := receive(ctx, began); err != nil {
		return nil, fmt.Errorf("nothing drains: %w: %s", err, b.cmd.Stderr)
	}
	var times timings
	for begin := time.Now(); ctx.Err() == nil && time.Since(begin) < overtakeMost; {
		pressed, had, err := r.press(ctx, b, len(times)%2 == 0, stored)
		if err != nil {
			return nil, err
		}
		if r.count() >= p.Events && len(times) > 0 {
			break // it was no longer among others
		}
		times = append(times, had.Sub(pressed))
		pause(ctx, alarmGap)
	}
	return values{
		"p50_ms": ms(times.at(0.5)), "p99_ms": ms(times.at(0.99)), "max_ms": ms(times.at(1)),
		"alarms": float64(len(times)), "drained": float64(r.count()),
	}, ctx.Err()
}
