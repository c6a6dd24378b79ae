package sim

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/gpio"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/agent"
	"github.com/longan-edge/longan/sim/link"
)

// TestAlarmOvertakesBacklogOnThinLink: a board has 100,000 events that the city
// does not, its link carries 256 kbit/s at 300 ms there and back, and while they
// drain somebody presses the panic button again and again. From an alarm's being
// accepted to its being stored may take 2 s at the 99th percentile.
func TestAlarmOvertakesBacklogOnThinLink(t *testing.T) {
	const (
		backlog = 100_000
		most    = 2 * time.Second
	)
	dir := memoryDir(t)
	oneProcessor(t)
	synctest.Test(t, func(t *testing.T) {
		device := longan.DeviceID(longan.Townships()[10].Code + "-01")
		fillSpool(t, filepath.Join(dir, string(device)), device, backlog)
		city := newVirtualCity(t, dir)
		b := city.addBoard(doorSite(device, 0), 1, link.Conditions{Bandwidth: 256_000, Latency: 150 * time.Millisecond})
		button := b.ports.AddLine("chip:2")
		b.ports.AddLine("chip:1").Set(gpio.Low)
		button.Set(gpio.High)
		book := &overtaking{accepted: map[uint64]time.Time{}, drained: make(chan struct{}), last: backlog}
		city.log.hear(book.store)
		b.accepted = book.accept
		begin := time.Now()
		b.start()
		for pressed := false; !book.done(); {
			time.Sleep(700 * time.Millisecond)
			pressed = !pressed
			button.Set(gpio.Level(!pressed))
		}
		took := time.Since(begin)
		time.Sleep(time.Minute)
		toCity, toBoard := b.link.Counts()
		b.stop()
		city.stop()
		d := book.taken(t)
		at := func(q float64) time.Duration { return d[int(q*float64(len(d)-1))] }
		t.Logf("%d events drained in %v, %.1f bytes of IP an event to the city, %.1f back; %d alarms meanwhile, accepted to stored: p50 %v, p99 %v, worst %v",
			backlog, took.Round(time.Second), float64(toCity.IP())/backlog, float64(toBoard.IP()+toBoard.BareIP())/backlog,
			len(d), at(0.5), at(0.99), at(1))
		if at(0.99) > most {
			t.Errorf("p99 is %v, want at most %v", at(0.99), most)
		}
		if len(d) < 30 {
			t.Errorf("%d alarms while the backlog drained: they say too little", len(d))
		}
	})
}

// fillSpool leaves a board's spool with n events of doors.
func fillSpool(t *testing.T, dir string, device longan.DeviceID, n int) {
	t.Helper()
	sp, err := agent.OpenSpool(dir, agent.SpoolOptions{})
	if err != nil {
		t.Fatal(err)
	}
	at := virtualNow().Add(-time.Duration(n) * time.Second)
	for done := 0; done < n; {
		entries := make([]agent.SpoolEntry, 0, 500)
		for range min(cap(entries), n-done) {
			typ := longan.DoorOpened
			if done%2 == 1 {
				typ = longan.DoorClosed
			}
			entries = append(entries, agent.SpoolEntry{Event: &longan.Event{
				Device: device, Lane: longan.State, Type: typ, Point: fmt.Sprintf("door-%d", done%7),
				Time: at, Clock: longan.ClockNTP, Mono: time.Duration(done) * time.Second, Boot: "bootbefore",
			}})
			at = at.Add(time.Second)
			done++
		}
		if err := sp.Append(context.Background(), entries...); err != nil {
			t.Fatal(err)
		}
	}
	if err := sp.Close(); err != nil {
		t.Fatal(err)
	}
}

// overtaking notes when alarms were accepted and stored while a backlog drains.
type overtaking struct {
	mu       sync.Mutex
	accepted map[uint64]time.Time // alarms by their seq, until they are stored
	took     []time.Duration
	last     uint64 // of the backlog
	drained  chan struct{}
}

func (o *overtaking) accept(lane string, seq uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if lane == longan.Alarm.String() {
		o.accepted[seq] = time.Now()
	}
}

func (o *overtaking) store(_ longan.DeviceID, _, lane string, last uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if lane == longan.State.String() && last >= o.last && !closed(o.drained) {
		close(o.drained)
	}
	for seq, at := range o.accepted {
		if lane == longan.Alarm.String() && seq <= last {
			o.took = append(o.took, time.Since(at))
			delete(o.accepted, seq)
		}
	}
}

func closed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (o *overtaking) done() bool { return closed(o.drained) }

// taken returns how long the alarms took, in order.
func (o *overtaking) taken(t *testing.T) []time.Duration {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.accepted) > 0 || len(o.took) == 0 {
		t.Fatalf("%d alarms stored, %d not", len(o.took), len(o.accepted))
	}
	slices.Sort(o.took)
	return o.took
}
