package spool

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/longan-edge/longan"
)

// recovered returns what the spool.recovered event of the current epoch says, or
// nil.
func recovered(t *testing.T, s *Spool) *recoveredData {
	t.Helper()
	records, err := s.Read(longan.State, 1, 1, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if e, err := longan.ParseEvent(r.JSON); err == nil && e.Type == longan.SpoolRecovered {
			data := new(recoveredData)
			if err := json.Unmarshal(e.Data, data); err != nil {
				t.Fatal(err)
			}
			return data
		}
	}
	return nil
}

// damages are the ways in which files were seen to be damaged in the field.
func damages() map[string]func(b []byte) []byte {
	return map[string]func(b []byte) []byte{
		"empty":         func([]byte) []byte { return nil },
		"cut off":       func(b []byte) []byte { return b[:5*pageSize+100] },
		"cut in half":   func(b []byte) []byte { return b[:bytes.LastIndex(b, []byte(blockMagic))/2] },
		"first page":    func(b []byte) []byte { clear(b[:pageSize]); return b },
		"both metas":    func(b []byte) []byte { copy(b, bytes.Repeat([]byte{0xa5}, 2*pageSize)); return b },
		"all garbage":   func(b []byte) []byte { return bytes.Repeat([]byte("garbage!"), len(b)/8) },
		"zeroed page":   zeroPage,
		"flipped bits":  flipBits,
		"flipped trees": flipTrees,
		"lost keys":     loseKeys,
		"false signs":   misguide,
	}
}

// zeroPage zeroes every page with the block of one event that was not
// acknowledged: one of them is in use, the others are copies left behind.
func zeroPage(b []byte) []byte {
	const seq = 50
	for at := 0; at < len(b); {
		j := bytes.Index(b[at:], []byte(blockMagic))
		if j < 0 {
			break
		}
		at += j
		if bl, err := parseBlock(b[at:]); err == nil && bl.kind == kindEvents && bl.lane == longan.State && bl.first <= seq && seq <= bl.last {
			page := at / pageSize * pageSize
			clear(b[page : page+pageSize])
			at = page + pageSize
			continue
		}
		at += len(blockMagic)
	}
	return b
}

// flipBits flips a bit in the payload of every seventh block, in all its copies.
func flipBits(b []byte) []byte {
	for i := 0; ; {
		j := bytes.Index(b[i:], []byte(blockMagic))
		if j < 0 {
			return b
		}
		i += j
		if bl, err := parseBlock(b[i:]); err == nil && bl.first%7 == 0 && bl.kind == kindEvents {
			b[i+bl.size-1] ^= 4
		}
		i += 4
	}
}

// flipTrees breaks the header of every page behind the metas.
func flipTrees(b []byte) []byte {
	for at := 2 * pageSize; at < len(b); at += pageSize {
		b[at+8] ^= 0xff
	}
	return b
}

// loseKeys takes the last key from every leaf, as a bit that flips in its count
// does.
func loseKeys(b []byte) []byte {
	for at := 2 * pageSize; at < len(b); at += pageSize {
		if count := binary.LittleEndian.Uint16(b[at+10:]); b[at+8] == 2 && count > 1 {
			binary.LittleEndian.PutUint16(b[at+10:], count-1)
		}
	}
	return b
}

// misguide raises a key in every branch page by so little that every key is still
// found when they are read in order, but not when one is looked for.
func misguide(b []byte) []byte {
	const header, element, branch = 16, 16, 1
	for at := 2 * pageSize; at < len(b); at += pageSize {
		if count := binary.LittleEndian.Uint16(b[at+10:]); b[at+8] == branch && count > 1 {
			e := at + header + element // of the second child
			key := e + int(binary.LittleEndian.Uint32(b[e:]))
			b[key+int(binary.LittleEndian.Uint32(b[e+4:]))-1]++
		}
	}
	return b
}

// TestSalvage damages the file in every way. Each time the board must start in a
// new epoch, send what is good of the old one under its old numbers, account for
// the rest, and keep the old file.
func TestSalvage(t *testing.T) {
	for name, damage := range damages() {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, FileName)
			s := openTest(t, dir)
			for i := range 200 {
				point := fmt.Sprintf("door-%d", i%5)
				err := s.Append(t.Context(), Entry{Event: testEvent(longan.State, "door.opened", point), Key: point, State: longan.Active})
				if err != nil {
					t.Fatal(err)
				}
			}
			appendN(t, s, longan.Alarm, 3)
			s.Free(longan.State, 20)
			appendN(t, s, longan.Sample, 1) // the ack rides along
			epoch := s.Epoch()
			s.Close()
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, damage(slices.Clone(content)), 0o600); err != nil {
				t.Fatal(err)
			}

			s = openTest(t, dir)
			if h := s.Health(); h.Err != nil {
				t.Fatalf("trouble: %v", h.Err)
			}
			if s.Epoch() == epoch {
				t.Fatal("the damaged spool kept its epoch: numbers would be given out twice")
			}
			data := recovered(t, s)
			if data == nil || len(data.Epochs) == 0 {
				t.Fatal("no spool.recovered event")
			}
			state := data.Epochs[len(data.Epochs)-1].Lanes[longan.State]
			if state == nil || state.Last != 200 || state.Salvaged+state.Lost != 180 || !data.Exact {
				t.Errorf("recovered says %+v, exact %v; want 180 of 200 accounted for", state, data.Exact)
			}
			checkSalvaged(t, s, epoch, state)
			aside, err := filepath.Glob(path + ".bad-*")
			if err != nil || len(aside) != 1 {
				t.Errorf("set aside: %v, %v; want one file", aside, err)
			}
			appendN(t, s, longan.Alarm, 1)
			s.Close()
			s = openTest(t, dir)
			checkSalvaged(t, s, epoch, state)
			// Once the city has it, the old epoch is gone for good.
			for _, st := range s.Streams() {
				if st.Epoch() == epoch {
					for _, l := range longan.Lanes {
						st.Free(l, st.Lane(l).Last)
					}
				}
			}
			appendN(t, s, longan.Alarm, 1)
			s.Close()
			s = openTest(t, dir)
			if n := len(s.Streams()); n != 1 {
				t.Errorf("%d streams after the old epoch was acknowledged, want 1", n)
			}
		})
	}
}

// checkSalvaged reads the old epoch to its end.
func checkSalvaged(t *testing.T, s *Spool, epoch string, want *recoveredLane) {
	t.Helper()
	all := s.Streams()
	old := all[0]
	if old.Epoch() != epoch {
		t.Fatalf("first stream is %s of %d, want the old epoch", old.Epoch(), len(all))
	}
	got, last := history(t, old, longan.State)
	if last != want.Last {
		t.Errorf("old epoch ends with %d, want %d", last, want.Last)
	}
	events := len(slices.DeleteFunc(slices.Clone(got), func(s string) bool { return strings.HasPrefix(s, "gap") }))
	if uint64(events) < want.Salvaged {
		t.Errorf("%d events are sent of the old epoch, %d were salvaged: %v", events, want.Salvaged, got)
	}
	if want.Lost > 0 && !strings.Contains(fmt.Sprint(got), "damaged") {
		t.Errorf("%d events are lost without a gap: %v", want.Lost, got)
	}
}

func TestALostFileIsNoQuietNight(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	appendN(t, s, longan.State, 12)
	epoch := s.Epoch()
	s.Close()
	if err := os.Remove(filepath.Join(dir, FileName)); err != nil {
		t.Fatal(err)
	}
	s = openTest(t, dir)
	data := recovered(t, s)
	if s.Epoch() == epoch || data == nil || data.Reason != "missing" || data.Epochs[0].Lanes[longan.State].Lost != 12 {
		t.Errorf("epoch %s after %s, recovered %+v", s.Epoch(), epoch, data)
	}
	got, _ := history(t, s.Streams()[0], longan.State)
	if fmt.Sprint(got) != "[gap 1-12 damaged]" {
		t.Errorf("old epoch: %v", got)
	}
}

func TestAnOldCopyIsNotGoneOnWith(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, FileName)
	s := openTest(t, dir)
	appendN(t, s, longan.State, 5)
	epoch := s.Epoch()
	s.Close()
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s = openTest(t, dir)
	appendN(t, s, longan.State, 5)
	s.Close()
	if err := os.WriteFile(path, old, 0o600); err != nil {
		t.Fatal(err)
	}
	s = openTest(t, dir)
	if s.Epoch() == epoch {
		t.Fatal("numbers 6 to 10 would be given out twice")
	}
	if data := recovered(t, s); data == nil || data.Reason != "behind" {
		t.Errorf("recovered %+v", data)
	}
	got, _ := history(t, s.Streams()[0], longan.State)
	if fmt.Sprint(got) != "[1 2 3 4 5 gap 6-10 damaged]" {
		t.Errorf("old epoch: %v", got)
	}
}

func TestALostIdentityIsMadeAnew(t *testing.T) {
	for _, text := range []string{"", "garbage\n00000000\n"} {
		dir := t.TempDir()
		s := openTest(t, dir)
		appendN(t, s, longan.State, 5)
		epoch := s.Epoch()
		s.Close()
		path := filepath.Join(dir, IdentityName)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if text != "" {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s = openTest(t, dir)
		if s.Epoch() != epoch {
			t.Error("a spool in order began a new epoch for want of its identity file")
		}
		s.Close()
		if id, err := readIdentity(dir); err != nil || len(id.Streams) != 1 || id.Streams[0].Lanes[longan.State].Last != 5 {
			t.Errorf("identity %+v, %v", id, err)
		}
	}
}

// TestDamageWhileInUse: the reader meets a bad block, and the spool heals itself
// without a restart.
func TestDamageWhileInUse(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, FileName)
	s := openTest(t, dir)
	appendN(t, s, longan.State, 50)
	epoch := s.Epoch()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0) // in place, without cutting it
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(flipBits(content), 0); err != nil {
		t.Fatal(err)
	}
	f.Close()
	changed := s.Changed()
	if _, err := s.Read(longan.State, 1, 100, 1<<20); err == nil {
		t.Fatal("a flipped bit was not noticed")
	}
	<-changed
	if s.Epoch() == epoch {
		t.Error("the epoch goes on")
	}
	got, last := history(t, s.Streams()[0], longan.State)
	if last != 50 || !strings.Contains(fmt.Sprint(got), "gap 7-7 damaged") {
		t.Errorf("old epoch: %v", got)
	}
	appendN(t, s, longan.Alarm, 1)
}

// TestWhatIsLostTwiceIsStillTold: the spool that holds the news of a loss is lost
// before the city has it.
func TestWhatIsLostTwiceIsStillTold(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, FileName)
	s := openTest(t, dir)
	appendN(t, s, longan.State, 12)
	epoch := s.Epoch()
	crash := func() { // the file is lost while it is in use
		identity, err := os.ReadFile(filepath.Join(dir, IdentityName))
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		if err := errors.Join(os.Remove(path), os.WriteFile(filepath.Join(dir, IdentityName), identity, 0o600)); err != nil {
			t.Fatal(err)
		}
		s = openTest(t, dir)
	}
	told := func() *recoveredEpoch {
		t.Helper()
		if data := recovered(t, s); data != nil {
			for i := range data.Epochs {
				if data.Epochs[i].Epoch == epoch {
					return &data.Epochs[i]
				}
			}
		}
		return nil
	}
	for i := range 15 { // more epochs than one event can tell of
		crash()
		if e := told(); e == nil || e.Exact {
			t.Fatalf("loss %d: told %+v of the first epoch, whose end is not known", i, e)
		}
	}
	s.Free(longan.State, s.Lane(longan.State).Last)
	s.Close()
	s = openTest(t, dir)
	crash()
	if e := told(); e != nil {
		t.Errorf("told again what the city knows: %+v", e)
	}
}
