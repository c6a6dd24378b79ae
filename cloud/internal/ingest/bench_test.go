//go:build unix

package ingest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/cloud/internal/live"
	"github.com/longan-edge/longan/cloud/internal/store"
)

// benchEvents is the length of the backlog that is drained, benchBatch that of
// a batch of it.
const (
	benchEvents = 100_000
	benchBatch  = 400
)

// backlog returns the messages of a drain, shared by the boards, which take
// turns, and their size.
func backlog(b *testing.B, boards int) (out []message, size int) {
	rng := rand.New(rand.NewPCG(1, 2))
	next := make([]uint64, boards)
	for left := benchEvents; left > 0; {
		for i := 0; i < boards && left > 0; i++ {
			batch := &longan.Batch{Device: longan.DeviceID(fmt.Sprintf("62120210%04d-01", i)), Epoch: epoch, Lane: longan.State, Oldest: 1}
			for range min(benchBatch, left) {
				next[i]++
				at := time.Duration(next[i])*137*time.Second + time.Duration(rng.IntN(1000))*time.Millisecond
				batch.Events = append(batch.Events, longan.Event{
					Seq: next[i], Type: []string{longan.DoorOpened, longan.DoorClosed}[next[i]%2], Point: "front-door",
					Time: time.UnixMilli(1795000000000).Add(at), Clock: longan.ClockNTP, Boot: "8c2f60d19be4a753", Mono: at,
					Data: fmt.Appendf(nil, `{"cause":"contact","line":%d,"volt":%.2f}`, 1+rng.IntN(8), 11+2*rng.Float64()),
				})
				left--
			}
			payload, err := batch.Encode()
			if err != nil {
				b.Fatal(err)
			}
			size += len(payload)
			out = append(out, message{longan.Topic{Device: batch.Device, Kind: longan.TopicUp, Lane: batch.Lane}, payload, false})
		}
	}
	return out, size
}

// BenchmarkDrain takes in a backlog of which all is there at once: decoded,
// stored durably, shown, and acknowledged, but for the broker between. It prints
// events per second of real time and of processor time.
func BenchmarkDrain(b *testing.B) {
	for _, boards := range []int{1, 199} {
		b.Run(fmt.Sprintf("boards=%d", boards), func(b *testing.B) {
			messages, size := backlog(b, boards)
			var wall, cpu time.Duration
			var commits uint64
			for b.Loop() {
				w, c, n := drain(b, messages)
				wall, cpu, commits = wall+w, cpu+c, n
			}
			n := float64(b.N) * benchEvents
			b.ReportMetric(n/wall.Seconds(), "events/s")
			b.ReportMetric(n/cpu.Seconds(), "events/cpu-s")
			b.ReportMetric(float64(size)/benchEvents, "B/event")
			b.ReportMetric(float64(commits), "commits")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func drain(b *testing.B, messages []message) (wall, cpu time.Duration, commits uint64) {
	st, err := store.Open(b.Context(), filepath.Join(b.TempDir(), "city.db"), store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	in, err := New(Config{ClientID: "bench", Store: st, View: live.New(live.Config{}),
		Dial: func(ctx context.Context) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan struct{})
	began, used := time.Now(), processorTime()
	for _, m := range messages {
		if in.batches.put(m) > 0 {
			b.Fatal("the queue is full")
		}
	}
	go func() { in.Run(ctx); close(ended) }()
	for in.Metrics.Events.Load() < benchEvents {
		<-in.acks.wake
		for {
			k, d, ok := in.acks.take()
			if !ok {
				break
			}
			if _, err := (&longan.Ack{Epoch: k.epoch, Lanes: d.lanes, Time: time.Now(), Credit: d.credit}).Encode(); err != nil {
				b.Fatal(err)
			}
		}
	}
	wall, cpu = time.Since(began), processorTime()-used
	cancel()
	<-ended
	return wall, cpu, in.Metrics.Commits.Load()
}

// processorTime is what the process has used so far.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
