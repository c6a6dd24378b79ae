package store

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/longan-edge/longan"
)

// model is what a store must hold of one stream, in the simplest words: which
// numbers came, and below which number nothing more comes.
type model struct {
	came   map[uint64]bool
	oldest uint64
}

func (m *model) acked() uint64 {
	n := uint64(0)
	for m.came[n+1] || n+1 < m.oldest {
		n++
	}
	return n
}

// holes are the numbers below oldest that did not come.
func (m *model) holes() string {
	out, from := "", uint64(0)
	for n := uint64(1); n <= m.oldest; n++ {
		if n < m.oldest && !m.came[n] {
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
	s := open(t, path, Options{})
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		device := longan.DeviceID(fmt.Sprintf("62120210%04d-01", run))
		models := map[longan.Lane]*model{longan.Alarm: {came: map[uint64]bool{}}, longan.State: {came: map[uint64]bool{}}}
		for range rapid.IntRange(1, 8).Draw(rt, "calls") {
			var batches []*longan.Batch
			for range rapid.IntRange(1, 3).Draw(rt, "batches") {
				batches = append(batches, drawBatch(rt, device))
			}
			fresh := map[longan.Lane]int{}
			for _, b := range batches {
				m := models[b.Lane]
				m.oldest = max(m.oldest, b.Oldest)
				for _, e := range b.Events {
					if !m.came[e.Seq] {
						m.came[e.Seq] = true
						fresh[b.Lane]++
					}
				}
			}
			results, err := s.Ingest(t.Context(), batches, noon)
			if err != nil {
				rt.Fatal(err)
			}
			for _, r := range results {
				if r.Acked() != models[r.Lane].acked() || len(r.New) != fresh[r.Lane] || len(r.Conflicts) != 0 {
					rt.Fatalf("%s: acked %d, %d new, %d conflicts; want %d, %d, 0", r.Lane, r.Acked(), len(r.New), len(r.Conflicts),
						models[r.Lane].acked(), fresh[r.Lane])
				}
			}
			if rapid.IntRange(0, 9).Draw(rt, "reopen") == 0 {
				s.Close()
				s = open(t, path, Options{})
			}
		}
		want := ""
		for _, lane := range []longan.Lane{longan.Alarm, longan.State} {
			if h := models[lane].holes(); h != "" && want != "" {
				want += " " + h
			} else if h != "" {
				want = h
			}
		}
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
		b.Events = append(b.Events, event(b, seq))
	}
	return b
}
