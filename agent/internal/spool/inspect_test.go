package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/longan-edge/longan"
)

// folder returns all that can be seen of a folder.
func folder(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var seen strings.Builder
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&seen, e.Name(), info.Mode(), info.Size(), info.ModTime(), checksum(content))
	}
	return seen.String()
}

// readAll returns the numbers of all events of a lane, read in small steps.
func readAll(t *testing.T, read func(from uint64) ([]Record, error)) (got []uint64) {
	t.Helper()
	for from := uint64(1); ; {
		records, err := read(from)
		if err != nil {
			t.Fatal(err)
		}
		if len(records) == 0 {
			return got
		}
		for _, r := range records {
			e, err := longan.ParseEvent(r.JSON)
			if err != nil || e.Seq != r.Seq {
				t.Fatalf("record %d: event %d, %v", r.Seq, e.Seq, err)
			}
			if e.Type != longan.SpoolGap {
				got = append(got, e.Seq)
			}
			from = r.Seq + 1
		}
	}
}

func TestInspect(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	for range 5 {
		var entries []Entry
		for range 100 {
			entries = append(entries, Entry{Event: testEvent(longan.State, "door.opened", "front-door")})
		}
		if err := s.Append(t.Context(), entries...); err != nil {
			t.Fatal(err)
		}
	}
	appendN(t, s, longan.Alarm, walkChunk+10)
	s.Free(longan.State, 30)
	epoch := s.Epoch()
	if _, err := Inspect(dir); !errors.Is(err, ErrInUse) {
		t.Errorf("while it is open: %v", err)
	}
	steps := 0
	running, err := s.Walk(t.Context(), func(Walked) error { steps++; return nil })
	if err != nil || len(running.Bad) > 0 || running.Events != 500+walkChunk+10 || steps < 2 {
		t.Errorf("walk of an open spool: %+v in %d steps, %v", running, steps, err)
	}
	s.Close()

	before := folder(t, dir)
	in, err := Inspect(dir)
	if err != nil {
		t.Fatal(err)
	}
	if damage, witness := in.Damage(); damage != nil || witness != nil {
		t.Errorf("damage %v, witness %v", damage, witness)
	}
	if in.Epoch() != epoch || !slices.Equal(in.Epochs(), []string{epoch}) {
		t.Errorf("epochs %v, want %s", in.Epochs(), epoch)
	}
	if got := in.Lane(epoch, longan.State); got.Last != 500 || got.Acked != 30 {
		t.Errorf("state lane %+v", got)
	}
	got := readAll(t, func(from uint64) ([]Record, error) { return in.Read(epoch, longan.State, from, 7, 1<<20) })
	if len(got) != 470 || got[0] != 31 || got[469] != 500 {
		t.Errorf("%d events: %v", len(got), got)
	}
	w, err := in.Walk(t.Context(), func(Walked) error { return nil })
	if err != nil || len(w.Bad) > 0 || w.Events != running.Events {
		t.Errorf("walk %+v, %v; want %+v", w, err, running)
	}
	if st := in.Stats(); st.File == 0 || st.Live == 0 || st.Budget != 48<<20 || st.Written == 0 {
		t.Errorf("stats %+v", st)
	}
	if after := folder(t, dir); after != before {
		t.Errorf("looking changed the folder from\n%sto\n%s", before, after)
	}
	openTest(t, dir)
	if _, err := in.Read(epoch, longan.State, 1, 1, 1); !errors.Is(err, ErrInUse) {
		t.Errorf("read after an agent has started: %v", err)
	}
}

// TestInspectDamage: of a damaged spool an inspection gives out what the next
// Open saves, and changes nothing.
func TestInspectDamage(t *testing.T) {
	for name, damage := range damages() {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, FileName)
			s := openTest(t, dir)
			appendN(t, s, longan.State, 80)
			appendN(t, s, longan.Alarm, 3)
			s.Free(longan.State, 20)
			epoch := s.Epoch()
			s.Close()
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, damage(content), 0o600); err != nil {
				t.Fatal(err)
			}
			before := folder(t, dir)
			in, err := Inspect(dir)
			if err != nil {
				t.Fatal(err)
			}
			if damage, _ := in.Damage(); damage == nil {
				t.Fatal("the damage is not seen")
			}
			if _, err := in.Walk(t.Context(), func(Walked) error { return nil }); err == nil {
				t.Error("a walk through a damaged file finds nothing")
			}
			state := readAll(t, func(from uint64) ([]Record, error) { return in.Read(epoch, longan.State, from, 7, 1<<20) })
			alarm := readAll(t, func(from uint64) ([]Record, error) { return in.Read(epoch, longan.Alarm, from, 7, 1<<20) })
			if after := folder(t, dir); after != before {
				t.Errorf("looking changed the folder from\n%sto\n%s", before, after)
			}

			s = openTest(t, dir)
			for l, got := range map[longan.Lane][]uint64{longan.State: state, longan.Alarm: alarm} {
				var want []uint64
				if old := s.Streams()[0]; old.Epoch() == epoch {
					want = readAll(t, func(from uint64) ([]Record, error) { return old.Read(l, from, 7, 1<<20) })
				}
				if !slices.Equal(got, want) {
					t.Errorf("%s: the inspection has %v, Open saved %v", l, got, want)
				}
			}
			told := recovered(t, s)
			lanes := told.Epochs[len(told.Epochs)-1].Lanes
			for _, l := range in.Losses() {
				if want := lanes[l.Lane]; want == nil || l.Salvaged != want.Salvaged || l.Lost != want.Lost {
					t.Errorf("losses %+v, Open says %+v", l, want)
				}
			}
		})
	}
}

func TestInspectMissing(t *testing.T) {
	dir := t.TempDir()
	if _, err := Inspect(filepath.Join(dir, "nothing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
	if _, err := Inspect(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("empty folder: %v", err)
	}
	s := openTest(t, dir)
	appendN(t, s, longan.State, 12)
	s.Close()
	if err := os.Remove(filepath.Join(dir, FileName)); err != nil {
		t.Fatal(err)
	}
	in, err := Inspect(dir)
	if err != nil {
		t.Fatal(err)
	}
	if damage, _ := in.Damage(); damage == nil {
		t.Error("a lost file is not seen")
	}
	if l := in.Losses(); len(l) != 1 || l[0].Lost != 12 {
		t.Errorf("losses %+v, want 12", l)
	}
	if got, err := in.Read(in.Epoch(), longan.State, 1, 10, 1000); err != nil || len(got) > 0 {
		t.Errorf("read of a lost file: %v, %v", got, err)
	}
}

// TestWalkFindsWhatIsBad: a block that does not hold is named, and the walk goes
// on behind it.
func TestWalkFindsWhatIsBad(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	appendN(t, s, longan.State, 50)
	path := filepath.Join(dir, FileName)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0) // in place: bbolt has the file mapped, and can't stand that it is cut
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(flipBits(content), 0); err != nil {
		t.Fatal(err)
	}
	f.Close()
	w, err := s.Walk(t.Context(), func(Walked) error { return nil })
	if err != nil || len(w.Bad) != 7 || w.Events != 43 {
		t.Errorf("walked %+v, %v; want 7 bad blocks and 43 events", w, err)
	}
	stop := errors.New("enough")
	if _, err := s.Walk(t.Context(), func(Walked) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("stopped walk: %v", err)
	}
}
