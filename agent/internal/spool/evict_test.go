package spool

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/longan-edge/longan"
)

// bigEvent is an event of some 3 KB that does not compress.
func bigEvent(lane longan.Lane) *longan.Event {
	noise := make([]byte, 1500)
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	e := testEvent(lane, "sample.taken", "ups")
	e.Data = fmt.Appendf(nil, `{"noise":"%x"}`, noise)
	return e
}

// history returns what a lane has to send, gaps as "gap 1-7 full".
func history(t *testing.T, st Stream, lane longan.Lane) (out []string, last uint64) {
	t.Helper()
	for {
		records, err := st.Read(lane, last+1, 100, 1<<20)
		if err != nil {
			t.Fatalf("read: %v", err)
		}
		if len(records) == 0 {
			return out, last
		}
		for _, r := range records {
			e, err := longan.ParseEvent(r.JSON)
			if err != nil || e.Seq != r.Seq || r.Seq <= last {
				t.Fatalf("record %d behind %d: event %d, %v", r.Seq, last, e.Seq, err)
			}
			if e.Type == longan.SpoolGap {
				var g gapData
				if err := json.Unmarshal(e.Data, &g); err != nil || g.To != e.Seq || g.Lane != lane {
					t.Fatalf("gap %s: %v", e.Data, err)
				}
				if g.From != last+1 && g.From > st.Lane(lane).Acked+1 {
					t.Fatalf("gap from %d follows %d", g.From, last)
				}
				out = append(out, fmt.Sprintf("gap %d-%d %s", g.From, g.To, g.Reason))
			} else {
				if r.Seq != last+1 && last != 0 {
					t.Fatalf("%d follows %d without a gap", r.Seq, last)
				}
				out = append(out, fmt.Sprint(e.Seq))
			}
			last = r.Seq
		}
	}
}

func current(s *Spool) Stream {
	all := s.Streams()
	return all[len(all)-1]
}

func TestAFullSpoolGivesUpSamplesFirst(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Options{MaxSize: 512 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	put := func(l longan.Lane, n int) {
		t.Helper()
		for i := range n {
			if err := s.Append(t.Context(), Entry{Event: bigEvent(l)}); err != nil {
				t.Fatalf("%v %d: %v", l, i, err)
			}
		}
	}
	put(longan.Alarm, 5)
	put(longan.State, 20)
	put(longan.Sample, 300)
	check := func(l longan.Lane, n uint64, whole bool) {
		t.Helper()
		got, last := history(t, current(s), l)
		if last != n {
			t.Errorf("%v ends with %d, want %d", l, last, n)
		}
		if gone := got[0][0] == 'g'; gone == whole || (whole && uint64(len(got)) != n) {
			t.Errorf("%v begins with %s and has %d of %d events", l, got[0], len(got), n)
		}
	}
	check(longan.Alarm, 5, true)
	check(longan.State, 20, true)
	check(longan.Sample, 300, false)
	put(longan.State, 300)
	check(longan.Alarm, 5, true)
	check(longan.State, 320, false)
	if got, _ := history(t, current(s), longan.Sample); len(got) != 2 {
		t.Errorf("%d samples are left while states had to go: %v", len(got)-1, got)
	}
	put(longan.Alarm, 300)
	check(longan.Alarm, 305, false)
	if info := s.Stats(); info.File > 512<<10 || info.Live > info.Budget {
		t.Errorf("file of %d bytes with %d live, limits %d and %d", info.File, info.Live, 512<<10, info.Budget)
	}
	// What was given up is still numbered, and the rest still there, after a restart.
	before, _ := history(t, current(s), longan.Alarm)
	s.Close()
	s = openTest(t, dir)
	if after, _ := history(t, current(s), longan.Alarm); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("after restart %v, want %v", after, before)
	}
}

func TestAlarmsHaveRoomWhenSamplesFillTheSpool(t *testing.T) {
	s, err := Open(t.TempDir(), Options{MaxSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 400 {
		if err := s.Append(t.Context(), Entry{Event: bigEvent(longan.Sample)}); err != nil {
			t.Fatal(err)
		}
	}
	before, _ := history(t, current(s), longan.Sample)
	for range 20 { // some 60 KB, of a reserve of 98
		if err := s.Append(t.Context(), Entry{Event: bigEvent(longan.Alarm)}); err != nil {
			t.Fatal(err)
		}
	}
	if after, _ := history(t, current(s), longan.Sample); len(after) < len(before)-2 {
		t.Errorf("%d samples went for alarms that fit in the reserve", len(before)-len(after))
	}
}

func TestAnAckInsideAGapAndABlock(t *testing.T) {
	s, err := Open(t.TempDir(), Options{MaxSize: 512 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 350 {
		if err := s.Append(t.Context(), Entry{Event: bigEvent(longan.Sample)}); err != nil {
			t.Fatal(err)
		}
	}
	got, _ := history(t, current(s), longan.Sample)
	var from, to uint64
	if _, err := fmt.Sscanf(got[0], "gap %d-%d", &from, &to); err != nil || from != 1 {
		t.Fatalf("first is %q (%v)", got[0], err)
	}
	s.Free(longan.Sample, to-1) // the city had an earlier, smaller gap
	if again, _ := history(t, current(s), longan.Sample); len(again) != len(got) {
		t.Errorf("an ack inside the gap took %d records", len(got)-len(again))
	}
	entries := make([]Entry, 10)
	for i := range entries {
		entries[i].Event = testEvent(longan.State, "door.opened", "a")
	}
	if err := s.Append(t.Context(), entries...); err != nil { // one block
		t.Fatal(err)
	}
	s.Free(longan.State, 4)
	if got := fmt.Sprint(seqs(t, s, longan.State, 1)); got != "[5 6 7 8 9 10]" {
		t.Errorf("after an ack inside a block %s", got)
	}
}
