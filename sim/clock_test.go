package sim

import (
	"maps"
	"slices"
	"sort"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/gpio"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/agent"
	"github.com/longan-edge/longan/cloud"
	"github.com/longan-edge/longan/drivers/porttest"
	"github.com/longan-edge/longan/sim/link"
)

// strayBoard is a board whose wall clock is wrong and never kept right.
type strayBoard struct {
	*virtualBoard
	doorLine *porttest.Line
	wrong    atomic.Int64         // by how many seconds the wall clock is off
	began    map[string]time.Time // by boot: when it really began
	moves    int
}

// TestC1ABoardWithAWrongClockAndTheCity: boards whose clocks are wrong from the
// start, are set back and forth, and hear the city only in their second boot lose
// nothing and reorder nothing. From the city's first ack on, events carry its time;
// by it the city also knows when the earlier ones of that boot happened, and of
// the boot that never heard it claims nothing.
func TestC1ABoardWithAWrongClockAndTheCity(t *testing.T) {
	oneProcessor(t)
	for _, c := range []struct {
		name  string
		wrong func(now time.Time) time.Duration // at a start
	}{
		{"1970", func(now time.Time) time.Duration { return time.Unix(0, 0).Sub(now) }},
		{"saved at the last shutdown", func(time.Time) time.Duration { return -3 * time.Hour }},
		{"two weeks behind", func(time.Time) time.Duration { return -14 * day }},
		{"fifty years ahead", func(now time.Time) time.Duration { return now.AddDate(50, 0, 0).Sub(now) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := memoryDir(t)
			synctest.Test(t, func(t *testing.T) {
				city := newVirtualCity(t, dir)
				b := newStrayBoard(city, c.wrong)
				b.link.Set(link.Conditions{Down: true})
				b.start()
				b.swing(5)
				b.cutPower()
				time.Sleep(time.Hour)
				b.start()
				b.swing(5)
				b.link.Set(link.Conditions{Latency: 300 * time.Millisecond})
				time.Sleep(2 * time.Minute) // within which it tries again
				heard := virtualNow()
				b.swing(5)
				time.Sleep(time.Minute)
				b.stop()
				city.stop()
				b.check(t, heard)
			})
		})
	}
}

func newStrayBoard(city *virtualCity, wrong func(now time.Time) time.Duration) *strayBoard {
	b := &strayBoard{
		virtualBoard: city.addBoard(doorSite("621202107-01", 10*time.Second), 1, link.Conditions{}),
		began:        map[string]time.Time{},
	}
	b.doorLine = b.ports.AddLine("chip:1")
	b.doorLine.Set(gpio.Low) // at rest: it is normally closed
	b.ports.AddLine("chip:2").Set(gpio.High)
	b.clock = func(boot string, begin time.Time) *agent.Clock {
		b.began[boot] = virtualNow()
		b.wrong.Store(int64(wrong(virtualNow()) / time.Second))
		return &agent.Clock{
			Boot: boot, Mono: func() time.Duration { return time.Since(begin) }, Synced: func() bool { return false },
			Wall: func() time.Time { return virtualNow().Add(time.Duration(b.wrong.Load()) * time.Second) },
		}
	}
	return b
}

// swing opens and closes the door, and after every other time sets the clock by
// something: forth, back, and far back.
func (b *strayBoard) swing(times int) {
	steps := []time.Duration{time.Hour, -26 * time.Hour, -50 * 365 * day, 60 * 365 * day}
	for i := range times {
		for _, level := range []gpio.Level{gpio.High, gpio.Low} {
			time.Sleep(7 * time.Minute)
			b.doorLine.Set(level)
			b.moves++
		}
		b.wrong.Add(int64(steps[i%len(steps)] / time.Second))
	}
	time.Sleep(time.Minute)
}

// check looks at what the city has of the board, which heard it at that time at
// the latest.
func (b *strayBoard) check(t *testing.T, heard time.Time) {
	t.Helper()
	st, err := cloud.OpenStore(t.Context(), b.city.store)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	streams, err := st.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(streams) != 1 || !streams[0].Contiguous || !streams[0].InOrder || streams[0].Lost != 0 {
		t.Errorf("want one epoch, whole and in order, got %+v", streams)
	}
	all, err := st.Events(t.Context(), cloud.Query{Device: b.site.Device})
	if err != nil {
		t.Fatal(err)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Seq < all[j].Seq })
	if want := b.moves + b.starts + int(b.synced.Load()); len(all) != want {
		t.Errorf("%d events stored, want %d", len(all), want)
	}
	if len(b.began) != 2 {
		t.Fatalf("%d boots, want 2", len(b.began))
	}
	restart := slices.MaxFunc(slices.Collect(maps.Values(b.began)), time.Time.Compare)
	known, last := false, time.Time{}
	for _, e := range all {
		right := b.began[e.Boot].Add(e.Mono)
		if right.Before(last) {
			t.Errorf("seq %d happened at %v, after %v of the one before", e.Seq, right, last)
		}
		last = right
		known = known || e.Type == longan.ClockSynced && strings.Contains(string(e.Data), `"clock":"city"`)
		if by := e.Clock == longan.ClockCity; by != known || (!by && right.After(heard)) {
			t.Errorf("seq %d of %v, %s: by %s; the city was heard before: %v", e.Seq, right, e.Type, e.Clock, known)
		}
		at, by := e.Happened()
		second := b.began[e.Boot].Equal(restart)
		off := right.Sub(at)
		switch {
		case second && (by != longan.ClockCity || off < -10*time.Millisecond || off > 3*time.Second):
			t.Errorf("seq %d: the city has %v by %s, off by %v", e.Seq, at, by, off)
		case !second && (by == longan.ClockCity || by == longan.ClockNTP):
			t.Errorf("seq %d of a boot that never heard the city: %v by %s", e.Seq, at, by)
		}
	}
	if !known {
		t.Error("no clock.synced to the city's")
	}
}
