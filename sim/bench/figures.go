package bench

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"github.com/longan-edge/longan"
)

// The goals, of an eMMC board's life and patience as of this table.
const (
	goalStateBytes  = 7000  // on the device, of a lone state
	goalAlarmBytes  = 14000 // of a lone alarm
	goalSyncs       = 0.7   // calls of the fsync kind per event
	goalOutageBytes = 300   // on the device, of an event in an outage
	goalIntake      = 1.2   // times as fast as SQLite
	goalSingle      = 2.5   // times the disk's own fdatasync
	goalIdle        = 5     // milliseconds that grouping adds when nothing else comes
	goalQueued      = 26    // MiB
	goalDrained     = 28    // MiB
	goalAnon        = 12    // MiB, of either
)

func (b *Bench) measurements() []measurement {
	return []measurement{
		{"lone", b.lone},
		{"idle", b.idle},
		{"syncs", b.syncsPerEvent},
		{"outage", b.outage},
		{"intake", b.intake},
		{"single", b.single},
		{"memory", b.memory},
		{"agent", b.agentMemory},
	}
}

// lone counts the bytes that events cost which come one by one, at 100 a second,
// with the link up.
func (b *Bench) lone(ctx context.Context) ([]Figure, error) {
	const rate = 100
	n := max(b.Events/100, 20)
	var figures []Figure
	for _, lane := range []struct {
		lane longan.Lane
		name string
		goal float64
	}{{longan.State, "lone_state_bytes", goalStateBytes}, {longan.Alarm, "lone_alarm_bytes", goalAlarmBytes}} {
		samples, err := b.rounds(ctx, b.disk.dir, func(name, dir string, _ func() time.Duration) (map[string]float64, error) {
			var times timings
			warm := func(s store) error { _, err := live(ctx, s, b.gen, lane.lane, rate, min(rate, n)); return err }
			bytes, err := b.bytes(name, dir, warm, func(s store) (err error) {
				times, err = live(ctx, s, b.gen, lane.lane, rate, n)
				return err
			})
			values := map[string]float64{"p50_ms": ms(times.at(0.5)), "p99_ms": ms(times.at(0.99))}
			if bytes > 0 {
				values["bytes"] = bytes / float64(n)
			}
			return values, err
		})
		if err != nil {
			return nil, err
		}
		f := figure(lane.name, "device B/event", b.disk.method, samples, "bytes", lane.goal)
		figures = append(figures, f.with(samples, "p50_ms", "p99_ms"))
	}
	return figures, nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// bytes returns what a store writes to the device while it does work, and when it
// is closed behind that; 0 when that is not known. What it does before, to warm
// up, does not count.
func (b *Bench) bytes(name, dir string, before, work func(store) error) (float64, error) {
	s, err := openStore(name, dir)
	if err != nil {
		return 0, err
	}
	from, known := uint64(0), false
	if err = before(s); err == nil {
		from, known, err = b.disk.written(s)
	}
	if err == nil {
		err = work(s)
	}
	if err = errors.Join(err, s.close()); err != nil || !known {
		return 0, err
	}
	to, _, err := b.disk.written(s)
	return float64(to - from), err
}

// idle measures how late a lone state is on disk that nothing follows: grouping
// has no business there.
func (b *Bench) idle(ctx context.Context) ([]Figure, error) {
	n := min(max(b.Events/3000, 5), 30)
	samples, err := b.rounds(ctx, b.Dir, func(name, dir string, floor func() time.Duration) (map[string]float64, error) {
		s, err := openStore(name, dir)
		if err != nil {
			return nil, err
		}
		times, err := single(ctx, s, b.gen, longan.State, n, 100*time.Millisecond)
		p50 := times.at(0.5)
		return map[string]float64{"p50_ms": ms(p50), "added_ms": max(0, ms(p50-2*floor()))}, errors.Join(err, s.close())
	})
	f := figure("idle_state_added", "ms", "p50 less 2 fdatasync", samples, "added_ms", goalIdle)
	return []Figure{f.with(samples, "p50_ms")}, err
}

// syncsPerEvent counts calls of the fsync kind at 200 events a second.
func (b *Bench) syncsPerEvent(ctx context.Context) ([]Figure, error) {
	const rate = 200
	n := max(b.Events/50, 20)
	if _, err := exec.LookPath("strace"); err != nil {
		b.Log.Warn("没有 strace，跳过同步次数 / no strace, so calls are not counted; apt-get install strace", "err", err)
		return []Figure{figure("syncs_per_event", "calls/event", "none: strace is not installed", nil, "", goalSyncs)}, nil
	}
	samples, err := b.rounds(ctx, b.Dir, func(name, dir string, _ func() time.Duration) (map[string]float64, error) {
		opening, err := b.syncs(ctx, name, dir, rate, 0)
		if err != nil {
			return nil, err
		}
		calls, err := b.syncs(ctx, name, dir, rate, n)
		return map[string]float64{"calls": float64(calls-opening) / float64(n)}, err
	})
	return []Figure{figure("syncs_per_event", "calls/event", "strace -c, less those of opening and closing", samples, "calls", goalSyncs)}, err
}

// backlog is how many events of an outage a store gets: plain bbolt would need
// minutes for all of them.
func (b *Bench) backlog(name string) int {
	if name == naive {
		return max(b.Events/10, 10)
	}
	return b.Events
}

// outage counts the bytes of events that come in while the link is down and
// drain when it is up again: of the mix, and of states alone.
func (b *Bench) outage(ctx context.Context) ([]Figure, error) {
	var figures []Figure
	for _, kind := range []struct {
		lane longan.Lane
		name string
	}{{longan.Sample, "outage_bytes"}, {longan.State, "outage_state_bytes"}} {
		samples, err := b.rounds(ctx, b.disk.dir, func(name, dir string, _ func() time.Duration) (map[string]float64, error) {
			if name == naive && kind.lane == longan.State {
				return nil, nil // it knows no lanes: nothing would differ
			}
			return b.outageOf(ctx, name, dir, kind.lane)
		})
		if err != nil {
			return nil, err
		}
		f := figure(kind.name, "device B/event", b.disk.method, samples, "bytes", goalOutageBytes)
		figures = append(figures, f.with(samples, "events", "fill_per_s", "drain_per_s", "stored_bytes", "own_count_fill_bytes"))
	}
	return figures, nil
}

func (b *Bench) outageOf(ctx context.Context, name, dir string, lane longan.Lane) (map[string]float64, error) {
	n := b.backlog(name)
	values := map[string]float64{"events": float64(n)}
	bytes, err := b.bytes(name, dir, func(store) error { return nil }, func(s store) error {
		took, err := fill(ctx, s, b.gen, lane, n, window)
		if err != nil {
			return err
		}
		values["fill_per_s"] = float64(n) / took.Seconds()
		if o, ok := s.(*ourStore); ok {
			stats := o.s.Stats()
			values["stored_bytes"] = float64(stats.Live) / float64(n)
			values["own_count_fill_bytes"] = float64(stats.Written) / float64(n)
		}
		start := time.Now()
		drained, err := drain(ctx, s)
		if err == nil && drained != n {
			err = fmt.Errorf("%d events drained of %d", drained, n)
		}
		values["drain_per_s"] = float64(n) / time.Since(start).Seconds()
		return err
	})
	if bytes > 0 {
		values["bytes"] = bytes / float64(n)
	}
	return values, err
}

// intake measures how many events a second are on disk with many under way.
func (b *Bench) intake(ctx context.Context) ([]Figure, error) {
	samples, err := b.rounds(ctx, b.Dir, func(name, dir string, _ func() time.Duration) (map[string]float64, error) {
		s, err := openStore(name, dir)
		if err != nil {
			return nil, err
		}
		n := b.backlog(name)
		took, err := fill(ctx, s, b.gen, longan.Sample, n, window)
		return map[string]float64{"rate": float64(n) / took.Seconds()}, errors.Join(err, s.close())
	})
	f := figure("intake_100", "events/s", "100 in flight, link down; goal is the ratio to sqlite", samples, "rate", goalIntake)
	var ratios []float64
	for i := range min(len(f.All[ours]), len(f.All[sqlite])) {
		ratios = append(ratios, f.All[ours][i]/f.All[sqlite][i])
	}
	f.Ratio, f.Least = medianOf(ratios), true
	f.judge(f.Ratio)
	return []Figure{f}, err
}

// single measures one producer that waits for each event.
func (b *Bench) single(ctx context.Context) ([]Figure, error) {
	n := max(b.Events/50, 20)
	samples, err := b.rounds(ctx, b.Dir, func(name, dir string, floor func() time.Duration) (map[string]float64, error) {
		s, err := openStore(name, dir)
		if err != nil {
			return nil, err
		}
		// In slices, for the disk's own time changes from one second to the next.
		const slices = 5
		var multiples, means, rates, medians []float64
		before := floor()
		for range slices {
			times, err := single(ctx, s, b.gen, longan.Sample, max(n/slices, 1), 0)
			if err != nil {
				return nil, errors.Join(err, s.close())
			}
			after := floor()
			var sum time.Duration
			for _, t := range times {
				sum += t
			}
			disk, mean := float64(before+after)/2, float64(sum)/float64(len(times))
			multiples = append(multiples, float64(times.at(0.5))/disk)
			means = append(means, mean/disk)
			medians = append(medians, float64(times.at(0.5))/1e3)
			rates = append(rates, 1e9/mean)
			before = after
		}
		return map[string]float64{
			"multiple": median(multiples), "mean_multiple": median(means), "p50_us": median(medians), "per_s": median(rates),
		}, s.close()
	})
	f := figure("single_x_fdatasync", "x fdatasync", "median event / median fdatasync around it", samples, "multiple", goalSingle)
	return []Figure{f.with(samples, "p50_us", "mean_multiple", "per_s")}, err
}

// memory measures what a store takes in a process of its own.
func (b *Bench) memory(ctx context.Context) ([]Figure, error) {
	samples, err := b.rounds(ctx, b.Dir, func(name, dir string, _ func() time.Duration) (map[string]float64, error) {
		m, err := b.memories(ctx, name, dir, b.backlog(name))
		return map[string]float64{
			"base": m.base.total, "base_anon": m.base.anon, "queued": m.queued.total, "queued_anon": m.queued.anon,
			"drained": m.drained.total, "drained_anon": m.drained.anon, "anon": max(m.queued.anon, m.drained.anon),
			"events": float64(b.backlog(name)),
		}, err
	})
	const how = "VmHWM of a process with nothing else; base is the program before the store is open; an agent adds its own"
	return []Figure{
		figure("memory_queued", "MiB", how, samples, "queued", goalQueued).with(samples, "base", "events"),
		figure("memory_draining", "MiB", how, samples, "drained", goalDrained),
		figure("memory_anon", "MiB", "RssAnon, sampled every 5 ms", samples, "anon", goalAnon).with(samples, "base_anon", "queued_anon", "drained_anon"),
	}, err
}
