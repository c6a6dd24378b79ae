package ingest

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/cloud/internal/store"
)

func board(i int) longan.DeviceID { return longan.DeviceID(fmt.Sprintf("62120210%04d-01", i)) }

func TestCreditIsShared(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	var p pacer
	p.init(func() time.Time { return now })
	check := func(want uint64) {
		t.Helper()
		now = now.Add(activeCount)
		if got := p.credit(false); got != want {
			t.Errorf("credit %d, want %d", got, want)
		}
		if got := p.credit(true); got != creditLeast {
			t.Errorf("credit %d with a crowded queue, want %d", got, creditLeast)
		}
	}
	check(creditMost) // nobody yet
	p.saw(board(0))
	check(creditMost)
	for i := range 199 {
		p.saw(board(i))
	}
	check(inFlight / 199)
	for i := range 9000 {
		p.saw(board(i))
	}
	check(creditLeast)
	now = now.Add(activeFor - activeCount)
	p.saw(board(1))
	check(creditMost) // the others are silent
	now = now.Add(-time.Hour)
	p.saw(board(1))
	check(creditMost)
	for i := range activeBoards + 10 {
		p.saw(board(i))
	}
	if len(p.last) > activeBoards {
		t.Errorf("%d boards are told apart, want %d at most", len(p.last), activeBoards)
	}
}

func TestGroupsTakeTheirTime(t *testing.T) {
	var w stopwatch
	for _, test := range []struct {
		events int
		took   time.Duration
		want   int
	}{
		{0, time.Second, groupLeast},       // nothing is known of events
		{1, time.Second, groupLeast},       // … still not
		{1000, 0, groupLeast},              // … still not
		{1000, 5 * time.Millisecond, 4000}, // 5 µs each
		{4000, 52 * time.Millisecond, 3333},
		{1000, time.Minute, groupLeast},
	} {
		w.took(test.events, test.took)
		if got := w.most(); got != test.want {
			t.Errorf("after %d in %v: groups of %d, want %d", test.events, test.took, got, test.want)
		}
	}
	for range 100 {
		w.took(1000, time.Microsecond)
	}
	if got := w.most(); got != groupMost {
		t.Errorf("groups of %d with a store that costs nothing, want %d", got, groupMost)
	}
}

// paced is a board that sends its backlog as fast as credit lets it.
type paced struct {
	sent, acked, all uint64
	credit           uint64
	retry            time.Time
}

// TestCreditKeepsTheQueueShort: 199 boards come back at once, each with a
// backlog. A store that takes 40,000 events a second is not overrun: nothing is
// dropped, no board waits so long that it sends again, and all is in as soon as
// the store can take it.
func TestCreditKeepsTheQueueShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
		const boards, all, batch = 199, 500, 100
		x := newBench(t, nil)
		<-x.Ready()
		stored := map[longan.DeviceID]uint64{}
		x.seam.instead = func(batches []*longan.Batch) (out []store.Result) { // a slow store
			for _, b := range batches {
				time.Sleep(time.Duration(len(b.Events)) * time.Second / 40_000)
				if b.Events[0].Seq != stored[b.Device]+1 {
					t.Errorf("%s: event %d after %d", b.Device, b.Events[0].Seq, stored[b.Device])
				}
				stored[b.Device] += uint64(len(b.Events))
				out = append(out, store.Result{Device: b.Device, Epoch: b.Epoch, Lane: b.Lane, New: b.Events})
			}
			for i := range out {
				n := stored[out[i].Device]
				out[i].Lanes = []store.Progress{{Lane: longan.State, Acked: n, Max: n}}
			}
			return out
		}
		var mu sync.Mutex
		state := make([]paced, boards)
		index := map[longan.DeviceID]int{}
		for i := range state {
			state[i] = paced{all: all, credit: 2 * batch} // a board's own caution before the first ack
			index[board(i)] = i
		}
		x.client.AddRoute("longan/v1/+/+/ack", func(_ mqtt.Client, m mqtt.Message) {
			topic, _ := longan.ParseTopic(m.Topic())
			a, err := longan.DecodeAck(m.Payload())
			if err != nil || a.Credit < creditLeast || a.Credit > creditMost {
				t.Errorf("ack %+v, %v: want a credit", a, err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			b := &state[index[topic.Device]]
			b.acked, b.credit, b.retry = max(b.acked, a.Lanes[longan.State]), a.Credit, time.Now().Add(10*time.Second)
		})
		began := time.Now()
		most, again := 0, 0
		for done := 0; done < boards && time.Since(began) < time.Minute; time.Sleep(5 * time.Millisecond) {
			done = 0
			for i := range state {
				mu.Lock()
				b := &state[i]
				if b.retry.IsZero() {
					b.retry = time.Now().Add(10 * time.Second)
				}
				if time.Now().After(b.retry) && b.acked < b.all {
					b.sent, b.retry = b.acked, time.Time{}
					again++
				}
				from, to := b.sent+1, min(b.all, b.acked+b.credit, b.sent+batch)
				b.sent = max(b.sent, to)
				if b.acked == b.all {
					done++
				}
				mu.Unlock()
				if to >= from {
					x.sendAs(board(i), from, to)
				}
			}
			x.batches.mu.Lock()
			most = max(most, x.batches.count)
			x.batches.mu.Unlock()
		}
		took := time.Since(began)
		synctest.Wait()
		if n := x.Metrics.Events.Load(); n != boards*all || x.Metrics.Dropped.Load() != 0 || again != 0 {
			t.Errorf("%d events stored, %d messages dropped, %d retries; want %d, 0, 0", n, x.Metrics.Dropped.Load(), again, boards*all)
		}
		if most > maxQueued/2 {
			t.Errorf("%d messages waited, want no more than half of the queue, %d", most, maxQueued/2)
		}
		if took > 10*time.Second { // the store alone needs 2.5 s
			t.Errorf("all was in after %v", took)
		}
		t.Logf("in after %v, %d messages waited at most, broker dropped %d", took, most, x.broker.Dropped())
	})
}

// sendAs publishes events of the state lane of any device, not waiting for the
// broker.
func (x *bench) sendAs(device longan.DeviceID, from, to uint64) {
	x.t.Helper()
	b := &longan.Batch{Device: device, Epoch: epoch, Lane: longan.State, Oldest: 1}
	for seq := from; seq <= to; seq++ {
		b.Events = append(b.Events, longan.Event{Seq: seq, Type: longan.DoorOpened})
	}
	payload, err := b.Encode()
	if err != nil {
		x.t.Fatal(err)
	}
	token := x.client.Publish(longan.Topic{Device: device, Kind: longan.TopicUp, Lane: longan.State}.String(), 1, false, payload)
	if err := wait(context.Background(), token, time.Minute); err != nil {
		x.t.Fatal(err)
	}
}
