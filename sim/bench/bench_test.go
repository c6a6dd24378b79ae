package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/longan-edge/longan"
)

// TestMain lets the test program be the benchmark's child as well.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "bench" && os.Args[2] == "child" {
		if err := Child(context.Background(), os.Args[3:], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestStoresGiveBackWhatTheyTook(t *testing.T) {
	for _, name := range storeNames() {
		t.Run(name, func(t *testing.T) {
			dir, g := t.TempDir(), newGenerator(1, Usual)
			s, err := openStore(name, dir)
			if err != nil {
				t.Fatal(err)
			}
			const n = 300
			if _, err := fill(t.Context(), s, g, longan.Sample, n, 10); err != nil {
				t.Fatal(err)
			}
			if err := s.close(); err != nil {
				t.Fatal(err)
			}
			if s, err = openStore(name, dir); err != nil {
				t.Fatal(err)
			}
			if got, err := drain(t.Context(), s); err != nil || got != n {
				t.Errorf("drained %d events after opening again (%v), want %d", got, err, n)
			}
			times, err := live(t.Context(), s, g, longan.Alarm, 1000, 40)
			if err != nil || len(times) != 40 {
				t.Errorf("live: %d events were timed (%v), want 40", len(times), err)
			}
			if got, err := drain(t.Context(), s); err != nil || got != 0 {
				t.Errorf("%d events are left after live (%v), want none", got, err)
			}
			if err := s.close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestLoadStopsWithItsStore(t *testing.T) {
	for name, load := range map[string]func(context.Context, store, *generator) error{
		"fill": func(ctx context.Context, s store, g *generator) error {
			_, err := fill(ctx, s, g, longan.State, 50, 5)
			return err
		},
		"live": func(ctx context.Context, s store, g *generator) error {
			_, err := live(ctx, s, g, 0, 1000, 50)
			return err
		},
		"single": func(ctx context.Context, s store, g *generator) error {
			_, err := single(ctx, s, g, 0, 5, 0)
			return err
		},
	} {
		s, err := openStore(ours, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
		if err := load(t.Context(), s, newGenerator(1, Usual)); err == nil || !strings.Contains(err.Error(), "closed") {
			t.Errorf("%s on a closed spool: got %v, want an error that says so", name, err)
		}
	}
}

func TestEventsAreOfTheirSizeAndValid(t *testing.T) {
	for _, mix := range []string{Usual, Noise} {
		t.Run(mix, func(t *testing.T) { checkEvents(t, newGenerator(1, mix)) })
	}
}

func checkEvents(t *testing.T, g *generator) {
	alarms := 0
	for range patterns {
		var e longan.Event
		g.next(&e, longan.Sample)
		text := e.AppendJSON(nil)
		if len(text) < eventSize-60 || len(text) > eventSize+20 {
			t.Fatalf("event of %d bytes, want about %d: %s", len(text), eventSize, text)
		}
		if _, err := longan.ParseEvent(text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if e.Lane == longan.Alarm {
			alarms++
		}
	}
	if alarms < patterns/40 || alarms > patterns/10 {
		t.Errorf("%d alarms among %d events, want about one in twenty", alarms, patterns)
	}
	if raw, deflated := g.compressed(); raw < deflated || deflated < 10 {
		t.Errorf("events of %g bytes deflate to %g", raw, deflated)
	}
}

// TestBenchPrintsEveryFigure runs everything once, small. What the figures say is
// for people to judge.
func TestBenchPrintsEveryFigure(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	b := &Bench{Dir: t.TempDir(), Events: 60, Repeats: 1, Self: self, JSON: true, Out: &out}
	if err := b.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range bytes.Lines(out.Bytes()) {
		var f Figure
		if err := json.Unmarshal(line, &f); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		names = append(names, f.Name)
		if f.Name != "events" && f.Name != "syncs_per_event" && (f.Spool == nil || f.Floor <= 0 || (f.Goal == 0) != (f.Met == nil)) {
			t.Errorf("figure lacks something: %s", line)
		}
	}
	want := []string{
		"events", "lone_state_bytes", "lone_alarm_bytes", "idle_state_added", "syncs_per_event", "outage_bytes",
		"outage_state_bytes",
		"intake_100", "single_x_fdatasync", "memory_queued", "memory_draining", "memory_anon",
		"agent_queued", "agent_draining",
	}
	if !slices.Equal(names, want) {
		t.Errorf("figures %q, want %q", names, want)
	}
}

func TestParseCalls(t *testing.T) {
	const table = `% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 97.61    0.012345         123       100           fdatasync
  2.39    0.000302         100         3         1 fsync
------ ----------- ----------- --------- --------- ----------------
100.00    0.012647         122       103         1 total
`
	if got, err := parseCalls(table); err != nil || got != 103 {
		t.Errorf("parseCalls: got %d, %v, want 103", got, err)
	}
	if got, err := parseCalls(""); err != nil || got != 0 {
		t.Errorf("parseCalls of nothing: got %d, %v, want 0", got, err)
	}
}

func TestFigure(t *testing.T) {
	value := func(v float64) sample {
		return sample{map[string]float64{"x": v, "y": 2 * v}, 100 * time.Microsecond}
	}
	samples := map[string][]sample{ours: {value(3), value(1), value(2)}, sqlite: {value(5), value(6)}}
	f := figure("f", "u", "m", samples, "x", 2).with(samples, "y")
	if *f.Spool != 2 || *f.SQLite != 5.5 || f.Naive != nil || f.Floor != 100 || !*f.Met || f.More["spool_y"] != 4 {
		t.Errorf("got %+v", f)
	}
	f.Least, f.Goal = true, 2.5
	if f.judge(f.Spool); *f.Met {
		t.Error("2 meets a goal of at least 2.5")
	}
	if f = figure("f", "u", "m", nil, "x", 2); f.Spool != nil || f.Met != nil {
		t.Errorf("figure of nothing: %+v", f)
	}
}
