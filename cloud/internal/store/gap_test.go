package store

import (
	"fmt"
	"slices"
	"testing"

	"github.com/longan-edge/longan"
)

// gapEvent makes the event with the number to a gap from from.
func gapEvent(b *longan.Batch, from, to uint64, reason string) longan.Event {
	e := event(b, to)
	e.Type, e.Point = longan.SpoolGap, ""
	e.Data = fmt.Appendf(nil, `{"lane":"state","from":%d,"to":%d,"count":%d,"reason":%q}`, from, to, to-from+1, reason)
	return e
}

// reasons is ranges with their reasons.
func reasons(t *testing.T, s *Store, device longan.DeviceID) (out []string) {
	t.Helper()
	holes, err := s.Holes(t.Context(), device)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range holes {
		out = append(out, fmt.Sprintf("%d-%d %s", h.From, h.To, h.Reason))
	}
	return out
}

func TestGapsAreHolesThatAreNotWaitedFor(t *testing.T) {
	type step struct {
		seqs      []uint64
		gaps      [][2]uint64
		wantAcked uint64
		wantHoles []string
	}
	for _, test := range []struct {
		name  string
		steps []step
	}{
		{"in order", []step{
			{[]uint64{1, 2}, nil, 2, nil},
			{[]uint64{11}, [][2]uint64{{3, 10}}, 11, []string{"3-10 full"}},
		}},
		{"the gap comes first", []step{
			{nil, [][2]uint64{{3, 10}}, 0, nil},
			{[]uint64{11, 12}, nil, 0, nil},
			{[]uint64{1, 2}, nil, 12, []string{"3-10 full"}},
		}},
		{"the gap grows", []step{
			{nil, [][2]uint64{{1, 5}}, 5, []string{"1-5 full"}},
			{nil, [][2]uint64{{1, 9}}, 9, []string{"1-5 full", "6-9 full"}},
			{[]uint64{3}, nil, 9, []string{"1-2 full", "4-5 full", "6-9 full"}},
		}},
		{"some had come", []step{
			{[]uint64{1, 4, 6}, nil, 1, nil},
			{[]uint64{10}, [][2]uint64{{2, 8}}, 8, []string{"2-3 full", "5-5 full", "7-8 full"}},
			{[]uint64{9}, nil, 10, []string{"2-3 full", "5-5 full", "7-8 full"}},
		}},
		{"its number had come", []step{
			{[]uint64{1, 8}, nil, 1, nil},
			{nil, [][2]uint64{{2, 8}}, 8, []string{"2-7 full"}},
		}},
		{"all had come", []step{
			{[]uint64{1, 2, 3}, nil, 3, nil},
			{nil, [][2]uint64{{2, 3}}, 3, nil},
		}},
		{"one event", []step{
			{[]uint64{1, 2}, nil, 2, nil},
			{nil, [][2]uint64{{3, 3}}, 3, []string{"3-3 full"}},
			{[]uint64{4}, nil, 4, []string{"3-3 full"}},
		}},
		{"one after the other", []step{
			{nil, [][2]uint64{{4, 4}, {5, 5}}, 0, nil},
			{[]uint64{1, 2, 3}, nil, 5, []string{"4-5 full"}},
		}},
		{"again", []step{
			{nil, [][2]uint64{{1, 5}}, 5, []string{"1-5 full"}},
			{nil, [][2]uint64{{1, 5}}, 5, []string{"1-5 full"}},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := newPath(t)
			s := open(t, path, Options{})
			for i, st := range test.steps {
				b := batch(longan.State, 1, st.seqs...)
				for _, g := range st.gaps {
					b.Events = append(b.Events, gapEvent(b, g[0], g[1], ReasonFull))
				}
				r := ingest(t, s, b)[0]
				if r.Acked() != st.wantAcked || len(r.Conflicts) != 0 {
					t.Errorf("step %d: acked %d with %d conflicts, want %d with none", i, r.Acked(), len(r.Conflicts), st.wantAcked)
				}
				if got := reasons(t, s, mawei); !slices.Equal(got, st.wantHoles) {
					t.Errorf("step %d: holes %q, want %q", i, got, st.wantHoles)
				}
				s.Close()
				s = open(t, path, Options{})
			}
			if err := s.Integrity(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestAGapBelowWhatIsAcked leaves the hole as it is: what it stands for is lost
// as before.
func TestAGapBelowWhatIsAcked(t *testing.T) {
	s := open(t, newPath(t), Options{})
	ingest(t, s, batch(longan.State, 6))
	b := batch(longan.State, 6)
	b.Events = append(b.Events, gapEvent(b, 2, 4, ReasonRefused))
	r := ingest(t, s, b)[0]
	if got := reasons(t, s, mawei); !slices.Equal(got, []string{"1-5 not-kept"}) || r.Acked() != 5 || len(r.New) != 1 {
		t.Errorf("acked %d, %d new, holes %q; want 5, 1, the hole 1-5", r.Acked(), len(r.New), got)
	}
}

func TestAGapThatMakesNoSenseIsOneEvent(t *testing.T) {
	for _, data := range []string{``, `{}`, `{"from":9}`, `{"from":-1}`, `{"from":"x"}`} {
		if g := gapOf(5, []byte(data)); g.from != 5 || g.to != 5 {
			t.Errorf("gap with data %s is %+v", data, g)
		}
	}
}

func TestGapAndOldest(t *testing.T) {
	s := open(t, newPath(t), Options{})
	b := batch(longan.State, 1, 1)
	b.Events = append(b.Events, gapEvent(b, 5, 9, ReasonDamaged))
	ingest(t, s, b)
	r := ingest(t, s, batch(longan.State, 12))[0]
	want := []string{"2-4 not-kept", "5-9 damaged", "10-11 not-kept"}
	if got := reasons(t, s, mawei); !slices.Equal(got, want) || r.Acked() != 11 {
		t.Errorf("acked %d, holes %q; want 11, %q", r.Acked(), got, want)
	}
}
