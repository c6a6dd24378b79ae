package spool

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/longan-edge/longan"
)

// benchEvent is an event of some 300 bytes, of which a third is noise.
func benchEvent(lane longan.Lane, i int) *longan.Event {
	e := testEvent(lane, "door.opened", fmt.Sprintf("door-%d", i%8))
	e.Time = time.UnixMilli(1700000000000 + int64(i)*137)
	e.Mono, e.Boot = time.Duration(i)*137*time.Millisecond, "0a2b4c6d8e9f0a1b"
	e.Data = fmt.Appendf(nil, `{"card":"%016x","reader":"main-entrance","note":"%x","dir":"in"}`, uint64(i)*2654435761, []byte(strconv.Itoa(i*7919%100003)+"-operator-desk-hall"))
	return e
}

// fdatasync returns the median time of an overwrite and fdatasync of one page in
// dir: what the figures of a disk have to be held against.
func fdatasync(b *testing.B, dir string) time.Duration {
	b.Helper()
	f, err := os.Create(filepath.Join(dir, "fdatasync"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	page := make([]byte, pageSize)
	var took []time.Duration
	for i := range 200 {
		start := time.Now()
		if _, err := f.WriteAt(page, 0); err != nil {
			b.Fatal(err)
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			b.Fatal(err)
		}
		if i >= 20 {
			took = append(took, time.Since(start))
		}
	}
	slices.Sort(took)
	return took[len(took)/2]
}

// benchSpool opens a spool for a benchmark: in $LONGAN_BENCH_DIR when that is set, for
// a disk of its own.
func benchSpool(b *testing.B) *Spool {
	b.Helper()
	dir := b.TempDir()
	if root := os.Getenv("LONGAN_BENCH_DIR"); root != "" {
		var err error
		if dir, err = os.MkdirTemp(root, ""); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { os.RemoveAll(dir) })
	}
	b.ReportMetric(float64(fdatasync(b, dir).Microseconds()), "fdatasync-µs")
	s, err := Open(dir, Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	return s
}

// produce appends n events with so many in flight.
func produce(b *testing.B, s *Spool, lane longan.Lane, n, inFlight int) {
	b.Helper()
	var wg sync.WaitGroup
	for p := range inFlight {
		wg.Go(func() {
			for i := p; i < n; i += inFlight {
				if err := s.Append(context.Background(), Entry{Event: benchEvent(lane, i)}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// drain reads and acknowledges everything, as the uplink does.
func drain(b *testing.B, s *Spool, lane longan.Lane) {
	b.Helper()
	for next := uint64(1); ; {
		records, err := s.Read(lane, next, 400, 64<<10)
		if err != nil {
			b.Fatal(err)
		}
		if len(records) == 0 {
			return
		}
		next = records[len(records)-1].Seq + 1
		s.Free(lane, next-1)
	}
}

// peak returns the process's peak memory, and its anonymous part now, in MiB.
func peak(b *testing.B) (peak, anonymous float64) {
	b.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, 0
	}
	field := func(name string) float64 {
		_, rest, _ := strings.Cut(string(text), name+":")
		kib, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
		n, _ := strconv.ParseFloat(kib, 64)
		return n / 1024
	}
	return field("VmHWM"), field("RssAnon")
}

func BenchmarkIntake(b *testing.B) {
	for _, inFlight := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("in-flight=%d", inFlight), func(b *testing.B) {
			s := benchSpool(b)
			b.ResetTimer()
			produce(b, s, longan.State, b.N, inFlight)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(s.Stats().Written)/float64(b.N), "written-B/event")
		})
	}
}

// BenchmarkOutage fills a spool with 100,000 events and drains it.
func BenchmarkOutage(b *testing.B) {
	const events = 100_000
	for b.Loop() {
		s := benchSpool(b)
		start := time.Now()
		produce(b, s, longan.State, events, 100)
		filled := time.Since(start)
		hwm, _ := peak(b)
		b.ReportMetric(float64(s.w.ord), "commits")
		file := s.Stats()
		start = time.Now()
		drain(b, s, longan.State)
		drained := time.Since(start)
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		after, anonymous := peak(b)
		b.ReportMetric(events/filled.Seconds(), "filled/s")
		b.ReportMetric(events/drained.Seconds(), "drained/s")
		b.ReportMetric(float64(file.Live)/events, "stored-B/event")
		b.ReportMetric(float64(s.Stats().Written)/events, "written-B/event")
		b.ReportMetric(hwm, "peak-MiB-full")
		b.ReportMetric(after, "peak-MiB-drained")
		b.ReportMetric(anonymous, "anonymous-MiB")
	}
}

// BenchmarkPaced is life: events come singly at random moments, and are acknowledged soon
// after.
func BenchmarkPaced(b *testing.B) {
	for _, lane := range []longan.Lane{longan.Alarm, longan.State} {
		for _, rate := range []int{10, 100, 200} {
			b.Run(fmt.Sprintf("%v/rate=%d", lane, rate), func(b *testing.B) {
				s := benchSpool(b)
				const n = 500
				var took []time.Duration
				var mu sync.Mutex
				for b.Loop() {
					before, commits := s.Stats().Written, s.w.ord
					var wg sync.WaitGroup
					start := time.Now()
					for i := range n {
						at := (float64(i) + float64(i*7919%1000)/1000) * float64(time.Second) / float64(rate)
						<-time.After(time.Until(start.Add(time.Duration(at))))
						wg.Go(func() {
							begin := time.Now()
							e := benchEvent(lane, i)
							if err := s.Append(context.Background(), Entry{Event: e}); err != nil {
								b.Error(err)
							}
							mu.Lock()
							took = append(took, time.Since(begin))
							mu.Unlock()
							s.Free(lane, e.Seq)
						})
					}
					wg.Wait()
					b.ReportMetric(float64(s.Stats().Written-before)/n, "written-B/event")
					b.ReportMetric(2*float64(s.w.ord-commits)/n, "fdatasyncs/event")
				}
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
				b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
			})
		}
	}
}
