package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/longan-edge/longan"
)

// model is what a spool has promised, in the simplest words.
type model struct {
	// accepted are the events by epoch, lane and number, as "point" texts.
	accepted map[string]string
	// freed is how far the city has acknowledged a lane of an epoch.
	freed map[string]uint64
	// last is the last number of a lane of an epoch.
	last map[string]uint64
}

func laneKey(epoch string, l longan.Lane) string { return epoch + "/" + l.String() }

func eventKey(epoch string, l longan.Lane, seq uint64) string {
	return fmt.Sprintf("%s/%d", laneKey(epoch, l), seq)
}

// machine drives a spool and its model through one history.
type machine struct {
	t       *rapid.T
	dir     string
	options Options
	s       *Spool
	m       model
	points  int
	failing atomic.Bool // the disk takes nothing
}

func (k *machine) open() {
	s, err := Open(k.dir, k.options)
	if err != nil {
		k.t.Fatal(err)
	}
	if h := s.Health(); h.Err != nil {
		k.t.Fatalf("trouble: %v", h.Err)
	}
	k.s = s
}

func (k *machine) append() {
	lane := rapid.SampledFrom(longan.Lanes[:]).Draw(k.t, "lane")
	entries := make([]Entry, rapid.IntRange(1, 9).Draw(k.t, "events"))
	for i := range entries {
		k.points++
		e := testEvent(lane, "door.opened", fmt.Sprintf("p%d", k.points))
		if rapid.Bool().Draw(k.t, "big") {
			e.Data = bigEvent(lane).Data
		}
		entries[i] = Entry{Event: e, Key: e.Point, State: longan.Active}
	}
	if err := k.s.Append(k.t.Context(), entries...); err != nil {
		k.t.Fatalf("append: %v", err)
	}
	for _, e := range entries {
		k.accept(e.Event)
	}
}

func (k *machine) accept(e *longan.Event) {
	key := eventKey(e.Epoch, e.Lane, e.Seq)
	if old, ok := k.m.accepted[key]; ok {
		k.t.Fatalf("number %s was given to %s and to %s", key, old, e.Point)
	}
	k.m.accepted[key] = e.Point
	lane := laneKey(e.Epoch, e.Lane)
	if e.Seq != k.m.last[lane]+1 && k.m.last[lane] != 0 {
		k.t.Fatalf("%s follows %d", key, k.m.last[lane])
	}
	k.m.last[lane] = e.Seq
}

func (k *machine) free() {
	st := rapid.SampledFrom(k.s.Streams()).Draw(k.t, "stream")
	lane := rapid.SampledFrom(longan.Lanes[:]).Draw(k.t, "lane")
	stats := st.Lane(lane)
	seq := stats.Acked + rapid.Uint64Range(0, stats.Backlog()+1).Draw(k.t, "ack")
	st.Free(lane, seq)
	if key := laneKey(st.Epoch(), lane); seq > k.m.freed[key] {
		k.m.freed[key] = min(seq, stats.Last)
	}
}

// crash goes on from the files as they are on disk, without a Close.
func (k *machine) crash() {
	copied := k.dir + "x"
	if err := os.Mkdir(copied, 0o700); err != nil {
		k.t.Fatal(err)
	}
	for _, name := range []string{FileName, IdentityName} {
		content, err := os.ReadFile(filepath.Join(k.dir, name))
		if err != nil {
			k.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(copied, name), content, 0o600); err != nil {
			k.t.Fatal(err)
		}
	}
	epoch := k.s.Epoch()
	k.s.Close()
	k.dir = copied
	k.open()
	k.sameEpoch(epoch)
	k.forgetAcks() // what was not written yet may come again
}

func (k *machine) forgetAcks() {
	for _, st := range k.s.Streams() {
		for _, l := range longan.Lanes {
			k.m.freed[laneKey(st.Epoch(), l)] = st.Lane(l).Acked
		}
	}
}

func (k *machine) reopen() {
	epoch := k.s.Epoch()
	if err := k.s.Close(); err != nil {
		k.t.Fatal(err)
	}
	live := k.s.Stats().Live
	k.open()
	k.sameEpoch(epoch)
	if now := k.s.Stats().Live; now != live {
		k.t.Fatalf("%d bytes in the file, %d were counted", now, live)
	}
}

// sameEpoch: nothing was damaged, so nothing may be salvaged.
func (k *machine) sameEpoch(epoch string) {
	if k.s.Epoch() != epoch {
		k.t.Fatalf("epoch %s, was %s, and nothing was damaged", k.s.Epoch(), epoch)
	}
}

func (k *machine) damage() {
	if err := k.s.Close(); err != nil {
		k.t.Fatal(err)
	}
	path := filepath.Join(k.dir, FileName)
	content, err := os.ReadFile(path)
	if err != nil {
		k.t.Fatal(err)
	}
	n := rapid.IntRange(1, 4).Draw(k.t, "bytes")
	for range n {
		at := rapid.IntRange(0, len(content)-1).Draw(k.t, "at")
		content[at] ^= byte(rapid.IntRange(1, 255).Draw(k.t, "flip"))
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		k.t.Fatal(err)
	}
	k.open()
	k.forgetAcks()
}

// trouble has an alarm accepted in memory, and the next events move it to disk.
func (k *machine) trouble() {
	k.failing.Store(true)
	k.points++
	e := testEvent(longan.Alarm, "door.opened", fmt.Sprintf("p%d", k.points))
	if err := k.s.Append(k.t.Context(), Entry{Event: e}); !errors.Is(err, ErrNotDurable) {
		k.t.Fatalf("append without a disk: %v", err)
	}
	k.accept(e)
	k.failing.Store(false)
	k.append()
}

// check holds the spool against its model: everything accepted and not freed is
// read, once and in order, or lies in a gap.
func (k *machine) check() {
	seen := map[string]bool{}
	for _, st := range k.s.Streams() {
		for _, l := range longan.Lanes {
			k.checkLane(st, l, seen)
		}
	}
	for key := range k.m.accepted {
		lane := key[:strings.LastIndex(key, "/")]
		var seq uint64
		if _, err := fmt.Sscan(key[len(lane)+1:], &seq); err != nil {
			k.t.Fatal(err)
		}
		if !seen[key] && seq > k.m.freed[lane] && !k.goneWhole(lane) {
			k.t.Fatalf("%s was accepted and is nowhere", key)
		}
	}
}

// goneWhole reports whether an epoch is done with: all of it was freed.
func (k *machine) goneWhole(lane string) bool { return k.m.freed[lane] >= k.m.last[lane] }

func (k *machine) checkLane(st Stream, l longan.Lane, seen map[string]bool) {
	stats := st.Lane(l)
	next := stats.Acked + 1
	if stats.Acked < k.m.freed[laneKey(st.Epoch(), l)] {
		k.t.Fatalf("%s %v: acknowledged to %d, the city said %d", st.Epoch(), l, stats.Acked, k.m.freed[laneKey(st.Epoch(), l)])
	}
	for {
		records, err := st.Read(l, next, 7, 4000)
		if err != nil {
			k.t.Fatal(err)
		}
		if len(records) == 0 {
			break
		}
		for _, r := range records {
			e, err := longan.ParseEvent(r.JSON)
			if err != nil {
				k.t.Fatal(err)
			}
			if e.Type == longan.SpoolGap {
				for ; next <= r.Seq; next++ {
					seen[eventKey(st.Epoch(), l, next)] = true
				}
				continue
			}
			if r.Seq != next {
				k.t.Fatalf("%s %v: %d where %d is due", st.Epoch(), l, r.Seq, next)
			}
			key := eventKey(st.Epoch(), l, r.Seq)
			if want := k.m.accepted[key]; want != e.Point && e.Type == "door.opened" {
				k.t.Fatalf("%s is %s, want %q", key, e.Point, want)
			}
			if e.Type == longan.SpoolRecovered {
				e.Epoch, e.Lane = st.Epoch(), l
				k.m.accepted[key] = ""
				k.m.last[laneKey(st.Epoch(), l)] = max(1, k.m.last[laneKey(st.Epoch(), l)])
			}
			seen[key] = true
			next++
		}
	}
	if next != stats.Last+1 {
		k.t.Fatalf("%s %v: read to %d, last is %d", st.Epoch(), l, next-1, stats.Last)
	}
}

// TestSpoolAgainstModel takes a spool through any history of appends, acks,
// crashes, restarts, damage and times when the disk takes nothing.
func TestSpoolAgainstModel(t *testing.T) {
	parent := t.TempDir()
	if memory, err := os.MkdirTemp("/dev/shm", "spool"); err == nil { // where a sync costs nothing
		parent = memory
		t.Cleanup(func() { os.RemoveAll(memory) })
	}
	rapid.Check(t, func(rt *rapid.T) {
		root, err := os.MkdirTemp(parent, "")
		if err != nil {
			rt.Fatal(err)
		}
		k := &machine{t: rt, dir: filepath.Join(root, "d"), options: Options{MaxSize: 256 << 10, Budget: 40 << 10}, m: model{
			accepted: map[string]string{}, freed: map[string]uint64{}, last: map[string]uint64{},
		}}
		k.options.disk = func() error {
			if k.failing.Load() {
				return errors.New("no space left")
			}
			return nil
		}
		k.open()
		defer func() { k.s.Close() }()
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			switch rapid.SampledFrom([]string{"append", "append", "append", "append", "free", "free", "reopen", "crash", "damage", "trouble"}).Draw(rt, "step") {
			case "append":
				k.append()
			case "free":
				k.free()
			case "reopen":
				k.reopen()
			case "crash":
				k.crash()
			case "damage":
				k.damage()
			case "trouble":
				k.trouble()
			}
			k.check()
		}
	})
}
