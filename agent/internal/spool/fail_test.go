package spool

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/longan-edge/longan"
)

// snapshot is the spool's folder as a crash at a failpoint would leave it, and
// what had been accepted until then.
type snapshot struct {
	name     string
	dir      string
	accepted []string // keys of events
}

// camera takes snapshots at failpoints, the first few of each name.
type camera struct {
	t    *testing.T
	dir  string
	root string

	mu       sync.Mutex
	accepted []string
	taken    []snapshot
	count    map[string]int
}

func (c *camera) failpoint(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count[name]++
	if c.count[name] > 3 {
		return
	}
	s := snapshot{name, filepath.Join(c.root, fmt.Sprintf("%s-%d", name, c.count[name])), slices.Clone(c.accepted)}
	if err := os.CopyFS(s.dir, os.DirFS(c.dir)); err != nil {
		c.t.Errorf("%s: %v", name, err)
	}
	c.taken = append(c.taken, s)
}

func (c *camera) append(s *Spool, e *longan.Event) {
	c.t.Helper()
	if err := s.Append(context.Background(), Entry{Event: e}); err != nil {
		c.t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.accepted = append(c.accepted, eventKey(e.Epoch, e.Lane, e.Seq))
}

// TestCrashAtEveryFailpoint goes through creation, commits, eviction, compaction
// and salvage, and starts from what a crash at each of the failpoints would leave.
func TestCrashAtEveryFailpoint(t *testing.T) {
	c := &camera{t: t, dir: filepath.Join(t.TempDir(), "spool"), root: t.TempDir(), count: map[string]int{}}
	options := Options{MaxSize: 8 << 20, Budget: 5 << 20, Failpoint: c.failpoint}
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(c.dir, options)
		if err != nil {
			t.Fatal(err)
		}
		for range 300 {
			entries := make([]Entry, 20)
			for i := range entries {
				entries[i].Event = bigEvent(longan.Sample)
			}
			if err := s.Append(t.Context(), entries...); err != nil {
				t.Fatal(err)
			}
		}
		for range 30 {
			c.append(s, testEvent(longan.Alarm, "door.opened", "a"))
		}
		s.Free(longan.Sample, s.Lane(longan.Sample).Last)
		before := s.Stats().File
		time.Sleep(3 * idleAfter) // it is idle: acks are written, and the file is compacted
		if after := s.Stats().File; before < compactAbove || after > before/8 {
			t.Errorf("file of %d bytes has %d after it drained", before, after)
		}
		c.append(s, testEvent(longan.Alarm, "door.opened", "a"))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
	path := filepath.Join(c.dir, FileName)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	clear(content[:2*pageSize])
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(c.dir, options)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()

	for _, name := range Failpoints() {
		if c.count[name] == 0 {
			t.Errorf("failpoint %s was not reached", name)
		}
	}
	for _, snap := range c.taken {
		s, err := Open(snap.dir, Options{})
		if err != nil || s.Health().Err != nil {
			t.Errorf("%s: %v, %v", snap.name, err, s.Health().Err)
			continue
		}
		have := map[string]bool{}
		for _, st := range s.Streams() {
			got, _ := history(t, st, longan.Alarm)
			for _, seq := range got {
				have[laneKey(st.Epoch(), longan.Alarm)+"/"+seq] = true
			}
		}
		for _, key := range snap.accepted {
			if !have[key] {
				t.Errorf("crash at %s: alarm %s is lost; there is %v", snap.name, key, have)
				break
			}
		}
		s.Close()
	}
}

func TestLifeOfACard(t *testing.T) {
	const gib = 1 << 30
	for _, c := range []struct {
		endurance, n uint64
		d, want      time.Duration
	}{
		{3000 * 8 * gib, gib, 24 * time.Hour, 3000 * 24 * time.Hour},
		{3000 * 8 * gib, 2 * gib, 24 * time.Hour, 1500 * 24 * time.Hour},
		{3000 * 8 * gib, 1, 24 * time.Hour, 100 * 365 * 24 * time.Hour},
		{3000 * 8 * gib, gib, time.Minute, 0},
		{3000 * 8 * gib, 0, 24 * time.Hour, 0},
	} {
		if got := life(c.endurance, c.n, c.d); got.Round(time.Hour) != c.want {
			t.Errorf("life of %d after %d in %v: %v, want %v", c.endurance, c.n, c.d, got, c.want)
		}
	}
}

func TestASlowDiskIsReportedAndForgiven(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		slow := false
		s, err := Open(dir, Options{Failpoint: func(string) {}, disk: func() error {
			if slow {
				time.Sleep(1500 * time.Millisecond)
			}
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		appendN(t, s, longan.State, 1)
		slow = true
		appendN(t, s, longan.State, 1)
		slow = false
		<-s.Trouble()
		if h := s.Health(); h.Slow != 1500*time.Millisecond || h.Err != nil {
			t.Errorf("health %+v", h)
		}
		time.Sleep(slowFor + 2*idleAfter)
		<-s.Trouble()
		if h := s.Health(); h.Slow != 0 {
			t.Errorf("still slow after %v: %+v", slowFor, h)
		}
	})
}

func TestTheClockHasAFloor(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	e := testEvent(longan.State, "door.opened", "a")
	e.Clock = longan.ClockNTP
	if err := s.Append(t.Context(), Entry{Event: e}); err != nil {
		t.Fatal(err)
	}
	appendN(t, s, longan.State, 1) // by a worse clock
	s.Close()
	s = openTest(t, dir)
	if got := s.ClockFloor(); !got.Equal(e.Time) {
		t.Errorf("floor %v, want %v", got, e.Time)
	}
}
