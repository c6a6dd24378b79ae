package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/longan-edge/longan"
)

// model is what a store must hold of one stream, in the simplest words: which
// numbers came and as what, and of which the board said that nothing comes.
type model struct {
	came   map[uint64]bool // by number; true is an event, false a spool.gap
	oldest uint64
	gaps   []gap
}

func newModel() *model { return &model{came: map[uint64]bool{}} }

// take returns how an Ingest must count the event.
func (m *model) take(e *longan.Event) (fresh, conflict int) {
	isGap := e.Type == longan.SpoolGap
	if isGap {
		m.gaps = append(m.gaps, gapOf(e.Seq, e.Data))
	}
	event, came := m.came[e.Seq]
	switch {
	case !came:
		m.came[e.Seq] = !isGap
		return 1, 0
	case isGap || event:
		return 0, 0
	}
	return 0, 1
}

func (m *model) acked() uint64 {
	n := uint64(0)
	for {
		_, came := m.came[n+1]
		inGap := slices.ContainsFunc(m.gaps, func(g gap) bool { return g.from <= n+1 && n+1 <= g.to })
		if !came && !inGap && n+1 >= m.oldest {
			return n
		}
		n++
	}
}

// holes are the numbers up to acked that are no events.
func (m *model) holes() string {
	out, from, acked := "", uint64(0), m.acked()
	for n := uint64(1); n <= acked+1; n++ {
		if n <= acked && !m.came[n] {
			if from == 0 {
				from = n
			}
		} else if from > 0 {
			if out != "" {
				out += " "
			}
			out += fmt.Sprintf("%d-%d", from, n-1)
			from = 0
		}
	}
	return out
}

// TestIngestAgainstModel: whatever comes in whatever order, the store holds the
// union, and acked and holes are functions of what came alone.
func TestIngestAgainstModel(t *testing.T) {
	path := newPath(t)
	s := openQuick(t, path)
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		device := longan.DeviceID(fmt.Sprintf("62120210%04d-01", run))
		models := map[longan.Lane]*model{longan.Alarm: newModel(), longan.State: newModel()}
		for range rapid.IntRange(1, 8).Draw(rt, "calls") {
			var batches []*longan.Batch
			for range rapid.IntRange(1, 3).Draw(rt, "batches") {
				batches = append(batches, drawBatch(rt, device))
			}
			fresh, conflicts := map[longan.Lane]int{}, map[longan.Lane]int{}
			for _, b := range batches {
				m := models[b.Lane]
				m.oldest = max(m.oldest, b.Oldest)
				for i := range b.Events {
					n, c := m.take(&b.Events[i])
					fresh[b.Lane] += n
					conflicts[b.Lane] += c
				}
			}
			results, err := s.Ingest(t.Context(), batches, noon)
			if err != nil {
				rt.Fatal(err)
			}
			for _, r := range results {
				if r.Acked() != models[r.Lane].acked() || len(r.New) != fresh[r.Lane] || len(r.Conflicts) != conflicts[r.Lane] {
					rt.Fatalf("%s: acked %d, %d new, %d conflicts; want %d, %d, %d", r.Lane, r.Acked(), len(r.New), len(r.Conflicts),
						models[r.Lane].acked(), fresh[r.Lane], conflicts[r.Lane])
				}
			}
			if rapid.IntRange(0, 9).Draw(rt, "reopen") == 0 {
				s.Close()
				s = openQuick(t, path)
			}
		}
		want := strings.TrimSpace(models[longan.Alarm].holes() + " " + models[longan.State].holes())
		if got := merged(rt, s, device); got != want {
			rt.Fatalf("holes %q, want %q", got, want)
		}
	})
	if err := s.Integrity(t.Context()); err != nil {
		t.Error(err)
	}
}

// merged is ranges without regard to when a hole was noticed.
func merged(rt *rapid.T, s *Store, device longan.DeviceID) string {
	holes, err := s.Holes(rt.Context(), device)
	if err != nil {
		rt.Fatal(err)
	}
	out := ""
	for i, h := range holes {
		for j := i + 1; j < len(holes) && holes[j].Lane == h.Lane && holes[j].From == h.To+1; j++ {
			h.To, holes[j].To = holes[j].To, 0
		}
		if holes[i].To == 0 {
			continue // part of the one before
		}
		if out != "" {
			out += " "
		}
		out += fmt.Sprintf("%d-%d", h.From, h.To)
	}
	return out
}

func drawBatch(rt *rapid.T, device longan.DeviceID) *longan.Batch {
	b := &longan.Batch{Device: device, Epoch: epoch, Oldest: rapid.Uint64Range(0, 20).Draw(rt, "oldest"),
		Lane: rapid.SampledFrom([]longan.Lane{longan.Alarm, longan.State}).Draw(rt, "lane")}
	seq := uint64(0)
	for _, step := range rapid.SliceOfN(rapid.Uint64Range(1, 6), 0, 6).Draw(rt, "steps") {
		seq += step
		if rapid.IntRange(0, 9).Draw(rt, "gap") == 0 {
			b.Events = append(b.Events, gapEvent(b, rapid.Uint64Range(1, seq).Draw(rt, "from"), seq, ReasonFull))
		} else {
			b.Events = append(b.Events, event(b, seq))
		}
	}
	return b
}
