package sim

import (
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/gpio"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/agent"
	"github.com/longan-edge/longan/cloud"
	"github.com/longan-edge/longan/sim/link"
)

// TestOutagesDrainByThemselves: after an outage the city has everything within a
// backoff, an attempt to connect and the time of the backlog, without a restart
// and without any new event that would give the board a push; and the board has
// freed it.
func TestOutagesDrainByThemselves(t *testing.T) {
	dir := memoryDir(t)
	oneProcessor(t)
	synctest.Test(t, func(t *testing.T) {
		city := newVirtualCity(t, dir)
		book := &behind{accepted: map[longan.DeviceID]uint64{}, stored: map[longan.DeviceID]uint64{}}
		city.log.hear(book.store)
		var boards []*virtualBoard
		var all sync.WaitGroup
		for _, way := range []struct {
			name string
			link.Conditions
		}{
			{"down", linkDown},
			{"black hole", blackHole},
			{"black hole to the board", link.Conditions{Latency: 40 * time.Millisecond, BlackHole: link.ToBoard}},
		} {
			for _, long := range []time.Duration{16 * time.Minute, 6 * time.Hour, 72 * time.Hour} {
				device := longan.DeviceID(longan.Townships()[len(boards)].Code + "-01")
				b := city.addBoard(doorSite(device, time.Minute), 1, good)
				b.accepted = func(lane string, seq uint64) { book.accept(device, lane, seq) }
				boards = append(boards, b)
				all.Go(func() { drainAfter(b, book, way.name, way.Conditions, long) })
			}
		}
		all.Wait()
		city.stop()
		streams, err := cloud.Audit(t.Context(), city.store)
		if err != nil {
			t.Fatal(err)
		}
		report := new(Report)
		if city.tally.Close(report, streams); !report.OK() || report.Stored != report.Accepted {
			t.Errorf("books do not balance: %+v", *report)
		}
		for _, b := range boards {
			sp, err := agent.OpenSpool(filepath.Join(dir, string(b.site.Device)), agent.SpoolOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if n := sp.Backlog(longan.State); n != 0 {
				t.Errorf("%s keeps %d events that the city has", b.site.Device, n)
			}
			sp.Close()
		}
	})
}

// drainAfter cuts a board's link, moves its door every five minutes, and mends the
// link.
func drainAfter(b *virtualBoard, book *behind, name string, conditions link.Conditions, long time.Duration) {
	t, device := b.city.t, b.site.Device
	const (
		every  = 5 * time.Minute
		within = 65 * time.Second
	)
	door, button := b.ports.AddLine("chip:1"), b.ports.AddLine("chip:2")
	door.Set(gpio.Low)
	button.Set(gpio.High)
	b.start()
	defer b.stop()
	time.Sleep(time.Minute)
	b.link.Set(conditions)
	begin := time.Now()
	for open := true; time.Since(begin) < long-every; open = !open {
		door.Set(gpio.Level(open))
		time.Sleep(every)
	}
	time.Sleep(long - time.Since(begin))
	events, mended := book.of(device), time.Now()
	b.link.Set(good)
	for book.of(device) > 0 && time.Since(mended) < time.Hour {
		time.Sleep(100 * time.Millisecond)
	}
	took := time.Since(mended)
	t.Logf("%v %s: %d events drained %v after the link was back", long, name, events, took)
	// The first may still have come through, see package link.
	if want := uint64(long/every) - 2; events < want || took > within {
		t.Errorf("%v %s: %d events behind, want %d; drained after %v, want within %v", long, name, events, want, took, within)
	}
	time.Sleep(10 * time.Second) // the ack is back
}

// behind is how far the store is behind the boards.
type behind struct {
	mu               sync.Mutex
	accepted, stored map[longan.DeviceID]uint64 // the last of the state lane
}

func (b *behind) accept(device longan.DeviceID, lane string, seq uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if lane == longan.State.String() {
		b.accepted[device] = seq
	}
}

func (b *behind) store(device longan.DeviceID, _, lane string, last uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if lane == longan.State.String() {
		b.stored[device] = max(b.stored[device], last)
	}
}

// of returns how many events of a device are not stored.
func (b *behind) of(device longan.DeviceID) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.accepted[device] - min(b.accepted[device], b.stored[device])
}
