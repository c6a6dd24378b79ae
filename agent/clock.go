package agent

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/agent/internal/clock"
	"github.com/longan-edge/longan/agent/internal/spool"
)

// Clock is where the agent has the time from.
type Clock = clock.Clock

// SystemClock returns the kernel's clocks, to be shared by Config.Clock and
// Config.Dial.
func SystemClock() *Clock { return clock.System() }

// LastWritten returns when the newest of these files was written, for Clock.Hint.
// It is the zero time when there are none.
func LastWritten(files ...string) time.Time { return clock.LastWritten(files...) }

// stamp tells the spool's own events when they happened.
func stamp(clk *clock.Clock) func(*longan.Event) {
	return func(e *longan.Event) {
		now := clk.Now()
		e.Time, e.Clock, e.Mono, e.Boot = now.Time, now.Quality, now.Mono, clk.Boot
	}
}

// lastRun returns when the agent last wrote into its folder. It has to be asked
// before the spool is opened.
func lastRun(dir string) time.Time {
	return clock.LastWritten(filepath.Join(dir, spool.FileName), filepath.Join(dir, spool.IdentityName))
}

// clockEvery is how often the clock's quality is looked at. The city's time is
// noticed at once; that a time daemon has set the clock, this much later.
const clockEvery = time.Minute

// watchClock accepts an event whenever the clock is better than it ever was in
// this run, until ctx ends. By it the city can tell when the events before
// happened.
func (c *center) watchClock(ctx context.Context, last clock.Stamp) {
	tick := time.NewTicker(clockEvery)
	defer tick.Stop()
	observed := c.cfg.Clock.Observed()
	for {
		var retry <-chan time.Time
		now := c.cfg.Clock.Now()
		switch {
		case clock.Better(now.Quality, last.Quality):
			if err := c.clockSynced(ctx, last, now); err != nil {
				retry = time.After(diskRetry)
			} else {
				last = now
			}
		case now.Quality == last.Quality:
			last = now
		}
		select {
		case <-observed:
			observed = nil
		case <-tick.C:
		case <-retry:
		case <-ctx.Done():
			return
		}
	}
}

// clockSynced accepts the event that the clock became better.
func (c *center) clockSynced(ctx context.Context, last, now clock.Stamp) error {
	offset := now.Time.Sub(last.Time.Add(now.Mono - last.Mono))
	data := fmt.Appendf(nil, `{"from":%q,"clock":%q,"offset":%d}`, last.Quality, now.Quality, offset.Milliseconds())
	if err := c.accept(ctx, []change{{Lane: longan.State, Type: longan.ClockSynced, Data: data}}); err != nil {
		return err
	}
	c.cfg.Log.Info("clock is better", "from", last.Quality, "clock", now.Quality, "time", now.Time, "offset", offset.Round(time.Millisecond).String())
	c.signal()
	return nil
}
