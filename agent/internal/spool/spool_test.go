package spool

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/longan-edge/longan"
)

func testEvent(lane longan.Lane, typ, point string) *longan.Event {
	return &longan.Event{Lane: lane, Type: typ, Point: point, Time: time.Unix(1700000000, 0), Clock: longan.ClockRTC}
}

func openTest(t *testing.T, dir string) *Spool {
	t.Helper()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func appendN(t *testing.T, s *Spool, lane longan.Lane, n int) {
	t.Helper()
	for range n {
		if err := s.Append(t.Context(), Entry{Event: testEvent(lane, "door.opened", "front-door")}); err != nil {
			t.Fatalf("append: %v", err)
		}
	}
}

func seqs(t *testing.T, s *Spool, lane longan.Lane, from uint64) []uint64 {
	t.Helper()
	records, err := s.Read(lane, from, 1000, 1<<20)
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	var got []uint64
	for _, r := range records {
		e, err := longan.ParseEvent(r.JSON)
		if err != nil {
			t.Fatalf("record %d: %v", r.Seq, err)
		}
		if e.Seq != r.Seq {
			t.Errorf("record %d holds event %d", r.Seq, e.Seq)
		}
		got = append(got, r.Seq)
	}
	return got
}

func TestSpoolSurvivesReopening(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	epoch := s.Epoch()
	appendN(t, s, longan.State, 5)
	appendN(t, s, longan.Alarm, 2)
	s.Free(longan.State, 3)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = openTest(t, dir)
	if s.Epoch() != epoch {
		t.Errorf("epoch %s, want the old one %s", s.Epoch(), epoch)
	}
	if got, want := fmt.Sprint(seqs(t, s, longan.State, 1)), "[4 5]"; got != want {
		t.Errorf("state lane %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(seqs(t, s, longan.Alarm, 1)), "[1 2]"; got != want {
		t.Errorf("alarm lane %s, want %s", got, want)
	}
	if got, want := s.Lane(longan.State), (LaneStats{Last: 5, Acked: 3, Freed: 3}); got != want {
		t.Errorf("state lane is %+v, want %+v", got, want)
	}
}

func TestNumbersGoOnAfterEverythingWasFreed(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	appendN(t, s, longan.Sample, 3)
	s.Free(longan.Sample, 99) // an ack can't reach into the future
	s.Close()

	s = openTest(t, dir)
	if got := seqs(t, s, longan.Sample, 1); len(got) != 0 {
		t.Errorf("freed events are still read: %v", got)
	}
	appendN(t, s, longan.Sample, 1)
	if got, want := fmt.Sprint(seqs(t, s, longan.Sample, 1)), "[4]"; got != want {
		t.Errorf("after restart %s, want %s", got, want)
	}
}

func TestStatesOutliveTheirEvents(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	put := func(key string, state longan.PointState) {
		t.Helper()
		if err := s.Append(t.Context(), Entry{Event: testEvent(longan.State, "door.opened", "x"), Key: key, State: state}); err != nil {
			t.Fatal(err)
		}
	}
	put("front-door", longan.Active)
	put("back-door", longan.Active)
	put("back-door", longan.Normal)
	put("peripheral/io", longan.Fault)
	s.Free(longan.State, 2)
	s.Close() // front-door's event is deleted, back-door's second one is not

	s = openTest(t, dir)
	want := map[string]longan.PointState{"front-door": longan.Active, "back-door": longan.Normal, "peripheral/io": longan.Fault}
	if got := s.States(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("states %v, want %v", got, want)
	}
}

func TestAppendRefusesWhatTheContractForbids(t *testing.T) {
	s := openTest(t, t.TempDir())
	bad := testEvent(longan.State, "Door Opened", "front-door")
	good := testEvent(longan.State, "door.opened", "front-door")
	if err := s.Append(t.Context(), Entry{Event: good}, Entry{Event: bad}); !errors.Is(err, longan.ErrMalformed) {
		t.Errorf("got %v, want ErrMalformed", err)
	}
	if last := s.Lane(longan.State).Last; last != 0 {
		t.Errorf("%d events accepted with a bad one beside them, want none", last)
	}
}

func TestConcurrentAppendsGetEveryNumberOnce(t *testing.T) {
	s := openTest(t, t.TempDir())
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range 25 {
				if err := s.Append(context.Background(), Entry{Event: testEvent(longan.State, "door.opened", "a")}); err != nil {
					t.Errorf("append: %v", err)
				}
			}
		})
	}
	wg.Wait()
	got := seqs(t, s, longan.State, 1)
	for i, seq := range got {
		if seq != uint64(i+1) {
			t.Fatalf("record %d has seq %d", i, seq)
		}
	}
	if len(got) != 500 {
		t.Errorf("%d records, want 500", len(got))
	}
}

func TestReadIsBounded(t *testing.T) {
	s := openTest(t, t.TempDir())
	appendN(t, s, longan.State, 10)
	one, err := s.Read(longan.State, 1, 1, 1<<20)
	if err != nil || len(one) != 1 {
		t.Fatalf("read one: %d records, %v", len(one), err)
	}
	for _, c := range []struct{ size, want int }{{1, 1}, {len(one[0].JSON), 1}, {3 * len(one[0].JSON), 3}} {
		if got, _ := s.Read(longan.State, 1, 100, c.size); len(got) != c.want {
			t.Errorf("read of %d bytes: %d records, want %d", c.size, len(got), c.want)
		}
	}
}

func TestAppendAfterClose(t *testing.T) {
	s := openTest(t, t.TempDir())
	s.Close()
	if err := s.Append(t.Context(), Entry{Event: testEvent(longan.State, "door.opened", "a")}); !errors.Is(err, ErrClosed) {
		t.Errorf("append after Close: %v, want ErrClosed", err)
	}
}

func TestChangedWakesAReader(t *testing.T) {
	s := openTest(t, t.TempDir())
	changed := s.Changed()
	appendN(t, s, longan.State, 1)
	select {
	case <-changed:
	case <-time.After(10 * time.Second):
		t.Error("no wake-up after an append")
	}
}
