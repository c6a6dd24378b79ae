package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/longan-edge/longan"
)

const (
	mawei = longan.DeviceID("621202104-01")
	epoch = "9f86d081884c7d65"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func open(t *testing.T, path string, opts Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), path, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// openQuick opens a store that does not wait for the disk, for the many commits of
// a property. What it promises then is no less, as long as the machine runs.
func openQuick(t *testing.T, path string) *Store {
	t.Helper()
	s := open(t, path, Options{})
	if _, err := s.write.Exec("PRAGMA synchronous = OFF"); err != nil {
		t.Fatal(err)
	}
	return s
}

func newPath(t *testing.T) string { return filepath.Join(t.TempDir(), "city ?#%.db") }

// batch returns a batch of one stream with the events numbered seqs.
func batch(lane longan.Lane, oldest uint64, seqs ...uint64) *longan.Batch {
	b := &longan.Batch{Device: mawei, Epoch: epoch, Lane: lane, Oldest: oldest}
	for _, seq := range seqs {
		b.Events = append(b.Events, event(b, seq))
	}
	return b
}

func event(b *longan.Batch, seq uint64) longan.Event {
	return longan.Event{
		Device: b.Device, Epoch: b.Epoch, Lane: b.Lane, Seq: seq,
		Type: longan.DoorOpened, Point: "front-door", Time: noon.Add(time.Duration(seq) * time.Second),
		Clock: longan.ClockNTP, Boot: "b1", Mono: time.Duration(seq) * time.Millisecond,
		Data: fmt.Appendf(nil, `{"note":"第 %d 次"}`, seq), Extra: longan.Extra{"later": []byte(`[1, 2]`)},
	}
}

func ingest(t *testing.T, s *Store, batches ...*longan.Batch) []Result {
	t.Helper()
	results, err := s.Ingest(t.Context(), batches, noon)
	if err != nil {
		t.Fatal(err)
	}
	return results
}

func seqs(events []longan.Event) []uint64 {
	var out []uint64
	for _, e := range events {
		out = append(out, e.Seq)
	}
	return out
}

func TestIngestSteps(t *testing.T) {
	type step struct {
		oldest     uint64
		seqs       []uint64
		wantNew    []uint64
		wantDup    int
		wantAcked  uint64
		wantMax    uint64
		wantLost   uint64
		wantRanges string
	}
	for _, test := range []struct {
		name  string
		steps []step
	}{
		{"in order", []step{
			{1, []uint64{1, 2, 3}, []uint64{1, 2, 3}, 0, 3, 3, 0, ""},
			{1, []uint64{4, 5}, []uint64{4, 5}, 0, 5, 5, 0, ""},
		}},
		{"lost ack: repeated and longer", []step{
			{1, []uint64{1, 2}, []uint64{1, 2}, 0, 2, 2, 0, ""},
			{1, []uint64{1, 2, 3}, []uint64{3}, 2, 3, 3, 0, ""},
		}},
		{"reordered", []step{
			{1, []uint64{3, 4}, []uint64{3, 4}, 0, 0, 4, 0, ""},
			{1, []uint64{1}, []uint64{1}, 0, 1, 4, 0, ""},
			{1, []uint64{2}, []uint64{2}, 0, 4, 4, 0, ""},
		}},
		{"restored from a backup: hole from the beginning", []step{
			{101, []uint64{101}, []uint64{101}, 0, 101, 101, 100, "1-100"},
		}},
		{"hole with islands", []step{
			{1, []uint64{1, 2, 5, 9}, []uint64{1, 2, 5, 9}, 0, 2, 9, 0, ""},
			{8, nil, nil, 0, 7, 9, 4, "3-4 6-7"},
			{8, []uint64{8}, []uint64{8}, 0, 9, 9, 4, "3-4 6-7"},
		}},
		{"hole ends inside the stored", []step{
			{1, []uint64{5, 6, 9}, []uint64{5, 6, 9}, 0, 0, 9, 0, ""},
			{6, nil, nil, 0, 6, 9, 4, "1-4"},
		}},
		{"hole is filled later", []step{
			{6, nil, nil, 0, 5, 0, 5, "1-5"},
			{6, []uint64{3}, []uint64{3}, 0, 5, 3, 4, "1-2 4-5"},
			{1, []uint64{1, 5}, []uint64{1, 5}, 0, 5, 5, 2, "2-2 4-4"},
			{1, []uint64{2, 4}, []uint64{2, 4}, 0, 5, 5, 0, ""},
		}},
		{"oldest goes back", []step{
			{11, []uint64{11}, []uint64{11}, 0, 11, 11, 10, "1-10"},
			{1, []uint64{13}, []uint64{13}, 0, 11, 13, 10, "1-10"},
		}},
		{"huge numbers", []step{
			{1 << 62, []uint64{1 << 62}, []uint64{1 << 62}, 0, 1 << 62, 1 << 62, 1<<62 - 1, fmt.Sprintf("1-%d", uint64(1<<62-1))},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := newPath(t)
			s := open(t, path, Options{})
			for i, st := range test.steps {
				r := ingest(t, s, batch(longan.State, st.oldest, st.seqs...))[0]
				if !slices.Equal(seqs(r.New), st.wantNew) || r.Duplicates != st.wantDup || len(r.Conflicts) != 0 {
					t.Errorf("step %d: new %v, %d duplicates, %d conflicts; want %v, %d, 0", i, seqs(r.New), r.Duplicates, len(r.Conflicts), st.wantNew, st.wantDup)
				}
				if p := r.Lanes[0]; r.Acked() != st.wantAcked || p.Acked != st.wantAcked || p.Max != st.wantMax || lost(p) != st.wantLost {
					t.Errorf("step %d: acked %d, %+v; want acked %d, max %d, lost %d", i, r.Acked(), p, st.wantAcked, st.wantMax, st.wantLost)
				}
				if got := ranges(t, s, mawei); got != st.wantRanges {
					t.Errorf("step %d: holes %q, want %q", i, got, st.wantRanges)
				}
				if i%2 == 1 { // progress must be in the file, not in memory
					s.Close()
					s = open(t, path, Options{})
				}
			}
			if err := s.Integrity(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func lost(p Progress) (n uint64) {
	for _, h := range p.Holes {
		if h.Reason == ReasonNotKept {
			n += h.To - h.From + 1
		}
	}
	return n
}

func ranges(t *testing.T, s *Store, device longan.DeviceID) string {
	t.Helper()
	holes, err := s.Holes(t.Context(), device)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for i, h := range holes {
		if i > 0 {
			out.WriteString(" ")
		}
		fmt.Fprintf(&out, "%d-%d", h.From, h.To)
	}
	return out.String()
}

func TestIngestManyStreamsInOneCall(t *testing.T) {
	s := open(t, newPath(t), Options{})
	other := batch(longan.State, 1, 1)
	other.Epoch = "e2"
	results := ingest(t, s, batch(longan.Sample, 1, 1), batch(longan.State, 1, 3, 4), batch(longan.State, 1, 1, 2), other,
		batch(longan.Alarm, 1, 1))
	var got []string
	for _, r := range results {
		got = append(got, fmt.Sprint(r.Lane, r.Epoch == epoch, seqs(r.New), acks(r.Lanes)))
	}
	all := "map[alarm:1 state:4 sample:1]"
	want := []string{"alarm true [1] " + all, "state true [1 2 3 4] " + all, "state false [1] map[state:1]", "sample true [1] " + all}
	if !slices.Equal(got, want) {
		t.Errorf("results:\n%q\nwant\n%q", got, want)
	}
	checks, err := s.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range checks {
		if !c.Contiguous || !c.InOrder || c.Acked != c.Max {
			t.Errorf("check: %+v", c)
		}
	}
}

func acks(lanes []Progress) map[longan.Lane]uint64 {
	m := map[longan.Lane]uint64{}
	for _, p := range lanes {
		m[p.Lane] = p.Acked
	}
	return m
}

func TestProgressTellsWhatIsMissing(t *testing.T) {
	s := open(t, newPath(t), Options{})
	r := ingest(t, s, batch(longan.State, 3, 1, 5, 6, 9), batch(longan.Alarm, 1, 1))[1]
	again, err := s.Progress(t.Context(), mawei, epoch)
	if err != nil {
		t.Fatal(err)
	}
	for _, lanes := range [][]Progress{r.Lanes, again} {
		var got strings.Builder
		fmt.Fprint(&got, len(lanes), lanes[0].Lane, lanes[0].Holes)
		for _, h := range lanes[1].Holes {
			fmt.Fprintf(&got, " %d-%d %s", h.From, h.To, h.Reason)
		}
		if want := "2 alarm [] 2-2 not-kept 3-4 awaited"; got.String() != want {
			t.Errorf("progress %q, want %q", got.String(), want)
		}
	}
}

func TestCheckFindsDisorderAndGap(t *testing.T) {
	s := open(t, newPath(t), Options{})
	ingest(t, s, batch(longan.State, 1, 2))
	ingest(t, s, batch(longan.State, 1, 1, 4), batch(longan.Alarm, 3))
	checks, err := s.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []StreamCheck{
		{Device: mawei, Epoch: epoch, Lane: longan.Alarm, Contiguous: true, InOrder: true, Acked: 2, Lost: 2},
		{Device: mawei, Epoch: epoch, Lane: longan.State, Count: 3, Min: 1, Max: 4, Acked: 2},
	}
	if !slices.Equal(checks, want) {
		t.Errorf("check: %+v\nwant %+v", checks, want)
	}
}

func TestConflictKeepsTheFirst(t *testing.T) {
	s := open(t, newPath(t), Options{})
	ingest(t, s, batch(longan.State, 1, 1))
	clone := batch(longan.State, 1, 1, 2)
	clone.Events[0].Point = "back-door"
	for range 2 {
		r := ingest(t, s, clone)[0]
		if len(r.Conflicts) != 1 || r.Conflicts[0].Point != "back-door" || r.Acked() != 2 {
			t.Errorf("conflicts %v, acked %d: want the back door, 2", r.Conflicts, r.Acked())
		}
	}
	events, err := s.Events(t.Context(), Query{})
	if err != nil {
		t.Fatal(err)
	}
	if len(events) != 2 || events[1].Point != "front-door" {
		t.Errorf("events: %v, want 2, the first with front-door", events)
	}
	streams, err := s.Streams(t.Context(), mawei)
	if err != nil {
		t.Fatal(err)
	}
	if len(streams) != 1 || streams[0].Conflicts != 1 || streams[0].Acked != 2 {
		t.Errorf("streams %+v: want one with 1 conflict", streams)
	}
}

// TestFullOrLockedStore: an Ingest that cannot commit returns an error and
// leaves nothing, and the next one works.
func TestFullOrLockedStore(t *testing.T) {
	path := newPath(t)
	s := open(t, path, Options{BusyTimeout: time.Millisecond})
	ingest(t, s, batch(longan.State, 1, 1))
	other := open(t, path, Options{})

	tx, err := other.write.BeginTx(t.Context(), nil) // immediate: takes the lock
	if err != nil {
		t.Fatal(err)
	}
	if r, err := s.Ingest(t.Context(), []*longan.Batch{batch(longan.State, 1, 2)}, noon); err == nil {
		t.Errorf("locked: %+v without an error", r)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}

	if _, err := s.write.Exec("PRAGMA max_page_count = 1"); err != nil { // SQLite makes it the present size
		t.Fatal(err)
	}
	big := batch(longan.State, 1)
	for i := range uint64(1000) {
		big.Events = append(big.Events, event(big, i+2))
	}
	if _, err := s.Ingest(t.Context(), []*longan.Batch{big}, noon); err == nil || errors.Is(err, ErrRefused) {
		t.Errorf("full: %v, want an error that is not ErrRefused: the board must keep its events", err)
	}
	if c, err := s.Counts(t.Context()); err != nil || c.Events != 1 {
		t.Errorf("counts after refusals: %+v, %v; want 1 event", c, err)
	}
	if _, err := s.write.Exec("PRAGMA max_page_count = 1000000"); err != nil {
		t.Fatal(err)
	}
	if r := ingest(t, s, big)[0]; r.Acked() != 1001 {
		t.Errorf("acked %d after there is room again, want 1001", r.Acked())
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Ingest(ctx, []*longan.Batch{batch(longan.State, 1, 1002)}, noon); err == nil {
		t.Error("cancelled: no error")
	}
	if r := ingest(t, s, batch(longan.State, 1, 1002))[0]; r.Acked() != 1002 {
		t.Errorf("acked %d, want 1002", r.Acked())
	}
}

func TestOpenErrors(t *testing.T) {
	if s, err := Open(t.Context(), filepath.Join(t.TempDir(), "missing", "city.db"), Options{}); err == nil {
		s.Close()
		t.Error("folder is missing: no error")
	}
	path := newPath(t)
	if s, err := Open(t.Context(), path, Options{ReadOnly: true}); err == nil {
		s.Close()
		t.Error("read-only without a file: no error")
	}
	open(t, path, Options{}).Close()
	ro := open(t, path, Options{ReadOnly: true})
	if _, err := ro.Ingest(t.Context(), []*longan.Batch{batch(longan.State, 1, 1)}, noon); err == nil {
		t.Error("write to a read-only store: no error")
	}
}
