package drivers_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/gpio"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/drivers"
	"github.com/longan-edge/longan/drivers/contact"
	"github.com/longan-edge/longan/drivers/porttest"
)

// TestReplugIsSeenWithinFiveSeconds plugs an expander with a door contact in and
// out, for longer and longer, and asks after each change what the agent knows.
func TestReplugIsSeenWithinFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ports porttest.Ports
		var mu sync.Mutex
		var health drivers.Health
		var state longan.PointState
		s := &drivers.Supervisor{
			Name: "expander",
			Driver: contact.New(&ports, []contact.Input{{Point: "door", Line: "pcf8574:0", NormallyClosed: true, Pull: gpio.PullUp}},
				contact.Options{}),
			Emit: func(_ context.Context, r drivers.Reading) error {
				mu.Lock()
				defer mu.Unlock()
				state = r.State
				return nil
			},
			Report: func(_ context.Context, h drivers.Health) error {
				mu.Lock()
				defer mu.Unlock()
				health = h
				return nil
			},
			Log: slog.New(slog.DiscardHandler),
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		for _, out := range []time.Duration{0, time.Second, time.Minute, 24 * time.Hour} {
			wire := ports.AddLine("pcf8574:0")
			wire.Set(gpio.Low)
			time.Sleep(5 * time.Second)
			mu.Lock()
			if !health.OK || state != longan.Normal {
				t.Errorf("5 s after a replug that came after %v: %+v, door %v", out, health, state)
			}
			mu.Unlock()
			wire.Unplug()
			time.Sleep(time.Second)
			mu.Lock()
			if !errors.Is(health.Err, drivers.ErrUnplugged) || state != longan.Unknown {
				t.Errorf("1 s after unplugging: %+v, door %v", health, state)
			}
			mu.Unlock()
			time.Sleep(out)
		}
		cancel()
		<-done
	})
}
