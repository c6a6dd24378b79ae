//go:build unix

package store

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// BenchmarkDrain stores a backlog, durably, in groups as ingest makes them. It
// prints events per second of real time and of processor time, and the size of
// the store's files.
func BenchmarkDrain(b *testing.B) {
	for _, boards := range []int{1, 199} {
		for _, group := range []int{3, 10} { // batches a transaction
			b.Run(fmt.Sprintf("boards=%d/batches=%d", boards, group), func(b *testing.B) {
				batches := backlog(boards, benchEvents)
				var cpu, wall time.Duration
				var size int64
				for b.Loop() {
					path := filepath.Join(b.TempDir(), "city.db")
					s, err := Open(b.Context(), path, Options{})
					if err != nil {
						b.Fatal(err)
					}
					began, used := time.Now(), processorTime()
					for i := 0; i < len(batches); i += group {
						if _, err := s.Ingest(b.Context(), batches[i:min(i+group, len(batches))], noon); err != nil {
							b.Fatal(err)
						}
					}
					wall += time.Since(began)
					cpu += processorTime() - used
					if err := s.Close(); err != nil { // writes the WAL back
						b.Fatal(err)
					}
					info, err := os.Stat(path)
					if err != nil {
						b.Fatal(err)
					}
					size = info.Size()
				}
				n := float64(b.N) * benchEvents
				b.ReportMetric(n/wall.Seconds(), "events/s")
				b.ReportMetric(n/cpu.Seconds(), "events/cpu-s")
				b.ReportMetric(float64(size)/benchEvents, "disk-B/event")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// processorTime is what the process has used so far.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
