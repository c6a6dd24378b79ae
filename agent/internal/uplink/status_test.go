package uplink

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/longan-edge/longan"
)

// TestHeartbeatsVouchForTheTruth: a point that becomes unknown without a signal,
// as when its driver hangs, comes as a full status in the place of the next
// heartbeat, which would say that nothing changed.
func TestHeartbeatsVouchForTheTruth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, q := newCity(t), newMemQueue()
		var state atomic.Int32
		state.Store(int32(longan.Normal))
		u, err := New(Config{
			Device: testDevice, Brokers: []string{"mqtt://city"}, Dial: c.dial, Queue: q, Log: slog.New(slog.DiscardHandler),
			Status: func() *longan.Status {
				now := longan.PointState(state.Load())
				return &longan.Status{Device: testDevice,
					Points:      map[string]longan.PointStatus{"door": {State: now}},
					Peripherals: map[string]longan.PeripheralStatus{"io": {OK: now != longan.Unknown}}}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() {
			if err := u.Run(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("Run returned %v", err)
			}
		})
		last := func() (full int, said longan.PointState) {
			c.get(func() {
				for _, s := range c.statuses {
					if s.Full {
						full++
						said = s.Points["door"].State
					}
				}
			})
			return full, said
		}
		time.Sleep(time.Minute)
		if full, said := last(); full != 1 || said != longan.Normal {
			t.Errorf("a quiet minute: %d full statuses, the last %v; want one, normal", full, said)
		}
		state.Store(int32(longan.Unknown))
		time.Sleep(11 * time.Second)
		if full, said := last(); full != 2 || said != longan.Unknown {
			t.Errorf("unknown without a signal: %d full statuses, the last %v; want two, unknown", full, said)
		}
		stop()
		running.Wait()
		c.server.Close()
	})
}
