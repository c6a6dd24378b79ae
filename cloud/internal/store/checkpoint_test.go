package store

import (
	"os"
	"runtime"
	"testing"
	"time"
)

// TestTheWALIsCopiedBackBesideCommits: not by them, for they would be slow then.
func TestTheWALIsCopiedBackBesideCommits(t *testing.T) {
	path := newPath(t)
	s := open(t, path, Options{})
	before := fileSize(t, path)
	for _, b := range backlog(1, 20_000) { // some 2 MB, of 64 that SQLite itself waits for
		ingest(t, s, b)
	}
	for deadline := time.Now().Add(time.Minute); fileSize(t, path) < before+1<<20; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("the file has %d B, the WAL %d: nothing was copied", fileSize(t, path), fileSize(t, path+"-wal"))
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
	if _, err := s.Ingest(t.Context(), backlog(1, 1), noon); err == nil {
		t.Error("closed: no error")
	}
}

func fileSize(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}
