// Package bench measures, beside peers that take turns with it in the same run.
//
// [Bench] measures the spool, and what else a program on such a board could use:
// SQLite and plain bbolt. Every figure comes with what the machine's own disk takes
// for one durable write, for without that a figure of a disk says little.
//
// [Path] measures the whole way, from the agent to the city's store and back, and a
// mosquitto bridge, which is fast because it keeps nothing on disk.
package bench

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"slices"
	"time"
)

// Bench measures. The zero value of a field is its usual value.
type Bench struct {
	Dir     string    // where on the disk; "" is a folder for temporary files
	Events  int       // of an outage; 0 is 100,000. The other figures take fewer
	Repeats int       // of every figure, of which the median counts; 0 is 3
	Only    []string  // names of figures; empty is all
	Mix     string    // Usual or Noise; "" is Usual
	Self    string    // a program that calls Child with its arguments behind "bench child"
	JSON    bool      // one object a line, not a table
	Out     io.Writer // takes the figures
	Log     *slog.Logger

	gen  *generator
	disk *disk // for what is counted in bytes
}

// Figure is one line of the result.
type Figure struct {
	Name string `json:"figure"`
	Unit string `json:"unit"`
	// The medians of the stores; nil where there is none.
	Spool  *float64 `json:"spool"`
	SQLite *float64 `json:"sqlite"`
	Naive  *float64 `json:"naive_bbolt"`
	// Floor is the median time of an fdatasync of 4 KiB overwritten in place,
	// measured before and after each of the measurements.
	Floor  float64 `json:"floor_fdatasync_us"`
	Method string  `json:"method"`
	// Ratio is spool to sqlite, the median of the rounds, where it is the goal's.
	Ratio *float64 `json:"ratio,omitempty"`
	Goal  float64  `json:"goal,omitempty"` // 0 when there is none
	Least bool     `json:"goal_is_least,omitempty"`
	Met   *bool    `json:"met,omitempty"`
	// All is every single measurement.
	All map[string][]float64 `json:"all"`
	// More is what helps to read the figure: medians, by name.
	More map[string]float64 `json:"more,omitempty"`
}

// Run measures everything and writes each figure as soon as it has it.
func (b *Bench) Run(ctx context.Context) (err error) {
	b.defaults()
	if b.Dir == "" {
		if b.Dir, err = os.MkdirTemp("", "longan-bench-"); err != nil {
			return fmt.Errorf("make folder: %w", err)
		}
		defer os.RemoveAll(b.Dir)
	} else if err := os.MkdirAll(b.Dir, 0o700); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	b.gen = newGenerator(1, b.Mix)
	var why error
	if b.disk, why = openDisk(ctx, b.Dir); why != nil {
		b.Log.Warn("没有专用回环磁盘，字节数按 spool 自己的统计 / no loop device; bytes are as the spool counts them", "err", why)
	}
	defer func() { err = errors.Join(err, b.disk.close()) }()
	b.header()
	for _, m := range b.measurements() {
		if len(b.Only) > 0 && !slices.Contains(b.Only, m.name) {
			continue
		}
		figures, err := m.measure(ctx)
		if err != nil {
			return fmt.Errorf("measure %s: %w", m.name, err)
		}
		for _, f := range figures {
			if err := b.print(f); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *Bench) defaults() {
	if b.Events == 0 {
		b.Events = 100_000
	}
	if b.Repeats == 0 {
		b.Repeats = 3
	}
	b.Mix = cmp.Or(b.Mix, Usual)
	if b.Log == nil {
		b.Log = slog.New(slog.DiscardHandler)
	}
}

// Names lists the measurements that Bench.Only may choose from.
func Names() []string {
	var names []string
	for _, m := range (&Bench{}).measurements() {
		names = append(names, m.name)
	}
	return names
}

// measurement is a run of the stores that yields one figure or several.
type measurement struct {
	name    string
	measure func(context.Context) ([]Figure, error)
}

// sample is one measurement of one store: values by name, and the floor around it.
type sample struct {
	values map[string]float64
	floor  time.Duration
}

// rounds measures every store in turn, as often as Repeats says, each time in an
// empty folder of dir, between two measurements of the disk.
func (b *Bench) rounds(ctx context.Context, dir string, measure func(name, dir string, floor func() time.Duration) (map[string]float64, error)) (map[string][]sample, error) {
	out := map[string][]sample{}
	for range b.Repeats {
		for _, name := range storeNames() {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			s, err := b.once(name, dir, measure)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			out[name] = append(out[name], s)
		}
	}
	return out, nil
}

func (b *Bench) once(name, dir string, measure func(string, string, func() time.Duration) (map[string]float64, error)) (s sample, err error) {
	folder, err := os.MkdirTemp(dir, name+"-")
	if err != nil {
		return s, fmt.Errorf("make folder: %w", err)
	}
	defer os.RemoveAll(folder)
	var all timings
	var failed error
	take := func() time.Duration {
		d, err := floor(dir)
		failed = errors.Join(failed, err)
		all = append(all, d)
		return d
	}
	take()
	s.values, err = measure(name, folder, take)
	take()
	if err = errors.Join(err, failed); err != nil {
		return s, err
	}
	var sum time.Duration
	for _, d := range all {
		sum += d
	}
	s.floor = sum / time.Duration(len(all))
	b.Log.Info("measured", "store", name, "values", s.values, "floor", s.floor)
	return s, nil
}

// figure makes a figure out of the values of a name.
func figure(name, unit, method string, samples map[string][]sample, value string, goal float64) Figure {
	f := Figure{Name: name, Unit: unit, Method: method, Goal: goal, All: map[string][]float64{}}
	var floors []float64
	for _, store := range storeNames() {
		for _, s := range samples[store] {
			floors = append(floors, float64(s.floor.Nanoseconds())/1000)
			if v, ok := s.values[value]; ok {
				f.All[store] = append(f.All[store], round(v))
			}
		}
	}
	f.Floor = round(median(floors))
	f.Spool, f.SQLite, f.Naive = medianOf(f.All[ours]), medianOf(f.All[sqlite]), medianOf(f.All[naive])
	f.judge(f.Spool)
	return f
}

// judge compares what was reached with the goal.
func (f *Figure) judge(reached *float64) {
	f.Met = nil
	if f.Goal == 0 || reached == nil {
		return
	}
	met := *reached <= f.Goal
	if f.Least {
		met = *reached >= f.Goal
	}
	f.Met = &met
}

// with adds medians that help to read the figure.
func (f Figure) with(samples map[string][]sample, values ...string) Figure {
	if f.More == nil {
		f.More = map[string]float64{}
	}
	for _, store := range storeNames() {
		for _, value := range values {
			var all []float64
			for _, s := range samples[store] {
				if v, ok := s.values[value]; ok {
					all = append(all, v)
				}
			}
			if len(all) > 0 {
				f.More[store+"_"+value] = round(median(all))
			}
		}
	}
	return f
}

func median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	all = slices.Clone(all)
	slices.Sort(all)
	if n := len(all); n%2 == 0 {
		return (all[n/2-1] + all[n/2]) / 2
	}
	return all[len(all)/2]
}

func medianOf(all []float64) *float64 {
	if len(all) == 0 {
		return nil
	}
	m := round(median(all))
	return &m
}

// round keeps three digits or so.
func round(v float64) float64 {
	if v == 0 || math.IsInf(v, 0) || math.IsNaN(v) {
		return 0
	}
	unit := math.Pow(10, math.Min(0, math.Floor(math.Log10(math.Abs(v)))-2))
	return math.Round(math.Round(v/unit)*unit*1e6) / 1e6
}

// header says what the events are like.
func (b *Bench) header() {
	raw, deflated := b.gen.compressed()
	if b.JSON {
		line, err := json.Marshal(map[string]any{
			"figure": "events", "mix": b.Mix, "raw_bytes": round(raw), "deflated_bytes": round(deflated), "method": "64 KiB together, DEFLATE level 6",
			"events": b.Events, "repeats": b.Repeats, "disk": b.disk.method,
		})
		if err == nil {
			fmt.Fprintf(b.Out, "%s\n", line)
		}
		return
	}
	fmt.Fprintf(b.Out, "事件 events (%s) of %.0f B JSON, %.0f B after DEFLATE of 64 KiB together; %d repeats, medians\n", b.Mix, raw, deflated, b.Repeats)
	fmt.Fprintf(b.Out, "%-20s %-16s %10s %10s %12s %8s %8s %4s  %s\n", "figure", "unit", ours, sqlite, naive, "goal", "fsync µs", "met", "method")
}

func (b *Bench) print(f Figure) error {
	if b.JSON {
		line, err := json.Marshal(f)
		if err != nil {
			return fmt.Errorf("write figure: %w", err)
		}
		_, err = fmt.Fprintf(b.Out, "%s\n", line)
		return err
	}
	show := func(v *float64) string {
		if v == nil {
			return "-"
		}
		return fmt.Sprint(*v)
	}
	goal, met := "", ""
	if f.Goal != 0 {
		goal = "≤" + fmt.Sprint(f.Goal)
		if f.Least {
			goal = "≥" + fmt.Sprint(f.Goal)
		}
	}
	if f.Met != nil {
		met = map[bool]string{true: "yes", false: "NO"}[*f.Met]
	}
	unit := f.Unit
	if f.Ratio != nil {
		unit += fmt.Sprintf(" (x%g)", *f.Ratio)
	}
	_, err := fmt.Fprintf(b.Out, "%-20s %-16s %10s %10s %12s %8s %8g %4s  %s\n", f.Name, unit, show(f.Spool), show(f.SQLite), show(f.Naive), goal, f.Floor, met, f.Method)
	return err
}
