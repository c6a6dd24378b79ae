package spool

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/longan-edge/longan"
)

// smallFile returns a spool's file with a branch page.
func smallFile(t testing.TB) []byte {
	t.Helper()
	dir := t.TempDir()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		if err := s.Append(t.Context(), Entry{Event: benchEvent(longan.State, i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func treeError(t testing.TB, b []byte) error {
	t.Helper()
	path := filepath.Join(t.TempDir(), FileName)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return checkTree(path)
}

// TestTree changes what the pages say in every field, one at a time: what is sound
// passes, and nothing that bbolt would stumble over does.
func TestTree(t *testing.T) {
	good := smallFile(t)
	if err := treeError(t, good); err != nil {
		t.Fatalf("a sound file: %v", err)
	}
	var branches []int // also those that are free by now: nobody can tell them by their looks
	for page := 2 * pageSize; page < len(good); page += pageSize {
		if good[page+8] == branchPage && good[page+10] > 1 && binary.NativeEndian.Uint64(good[page:]) == uint64(page/pageSize) {
			branches = append(branches, page)
		}
	}
	if len(branches) == 0 {
		t.Fatal("the file has no branch page")
	}
	for name, change := range map[string]func(b []byte, branch, leaf int){
		"page's number":     func(b []byte, branch, leaf int) { b[leaf] = good[leaf] + 1 },
		"kind":              func(b []byte, branch, leaf int) { b[leaf+8] = 4 },
		"count of a branch": func(b []byte, branch, leaf int) { binary.NativeEndian.PutUint16(b[branch+10:], 4000) },
		"an empty branch":   func(b []byte, branch, leaf int) { binary.NativeEndian.PutUint16(b[branch+10:], 0) },
		"overflow":          func(b []byte, branch, leaf int) { binary.NativeEndian.PutUint32(b[leaf+12:], 1<<31) },
		"a child twice": func(b []byte, branch, leaf int) {
			copy(b[branch+pageHeader+elementSize+8:][:8], b[branch+pageHeader+8:][:8])
		},
		"a child behind the end": func(b []byte, branch, leaf int) { b[branch+pageHeader+8+3] = 1 },
		"a child that is a meta": func(b []byte, branch, leaf int) { binary.NativeEndian.PutUint64(b[branch+pageHeader+8:], 1) },
		"a branch below itself": func(b []byte, branch, leaf int) {
			binary.NativeEndian.PutUint64(b[branch+pageHeader+8:], uint64(branch/pageSize))
		},
		"a key's place":            func(b []byte, branch, leaf int) { binary.NativeEndian.PutUint32(b[leaf+pageHeader+4:], 1<<30) },
		"a key within its element": func(b []byte, branch, leaf int) { binary.NativeEndian.PutUint32(b[leaf+pageHeader+4:], 0) },
		"a value's size":           func(b []byte, branch, leaf int) { binary.NativeEndian.PutUint32(b[leaf+pageHeader+12:], 1<<31) },
		"two keys swapped": func(b []byte, branch, leaf int) {
			// A place is counted from its element. Read from good: some branches share a leaf.
			from, to := good[leaf+pageHeader:][:2*elementSize], b[leaf+pageHeader:]
			binary.NativeEndian.PutUint32(to[4:], binary.NativeEndian.Uint32(from[elementSize+4:])+elementSize)
			binary.NativeEndian.PutUint32(to[elementSize+4:], binary.NativeEndian.Uint32(from[4:])-elementSize)
			copy(to[8:elementSize], from[elementSize+8:])
			copy(to[elementSize+8:2*elementSize], from[8:elementSize])
		},
	} {
		b := slices.Clone(good)
		for _, branch := range branches {
			leaf := int(binary.NativeEndian.Uint64(good[branch+pageHeader+8:])) * pageSize // its first child
			change(b, branch, leaf)
		}
		if err := treeError(t, b); err == nil {
			t.Errorf("%s: passed", name)
		}
	}
	if err := treeError(t, misguide(slices.Clone(good))); err == nil {
		t.Error("a branch that misguides passed")
	}
	if err := treeError(t, good[:4*pageSize]); err == nil {
		t.Error("the beginning of a file passed")
	}
}

// FuzzTree changes bytes of a sound file: three a change, place and value.
func FuzzTree(f *testing.F) {
	good := smallFile(f)
	f.Add([]byte{0x20, 0x08, 4})
	f.Add([]byte{0x30, 0x0a, 0xff, 0x30, 0x18, 1})
	f.Fuzz(func(t *testing.T, changes []byte) {
		b := slices.Clone(good)
		for ; len(changes) >= 3; changes = changes[3:] {
			b[int(binary.BigEndian.Uint16(changes))%len(b)] = changes[2]
		}
		_ = treeError(t, b) // without a panic, and in bounded time
	})
}
