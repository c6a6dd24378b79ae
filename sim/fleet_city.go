package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/longan-edge/longan"
)

// fleetCity is one life of the city's process.
type fleetCity struct {
	process *Process
	cancel  context.CancelFunc
	done    chan struct{}
	err     error // of the process; after done
}

// startCity starts the city, which goes on where its last life ended.
func (f *Fleet) startCity(ctx context.Context) *fleetCity {
	args := []string{"run", "-data", filepath.Join(f.Dir, "city"), "-http", f.http, "-log", "json", "-log-level", "debug"}
	if f.Broker != "" {
		args = append(args, "-broker", f.Broker)
	} else {
		args = append(args, "-mqtt", f.broker, "-insecure-demo")
	}
	ctx, cancel := context.WithCancel(ctx)
	c := &fleetCity{
		process: &Process{Name: "longan-cloud", Path: f.program, Args: args, Line: f.clock.cityLine},
		cancel:  cancel, done: make(chan struct{}),
	}
	go func() {
		defer close(c.done)
		c.err = c.process.Run(ctx)
	}()
	return c
}

// kill ends the process with SIGKILL, as a power cut would.
func (c *fleetCity) kill() {
	c.process.Kill()
	c.stop()
}

func (c *fleetCity) stop() {
	c.cancel()
	<-c.done
}

// fleetPage is what the city shows of its centers.
type fleetPage struct {
	live  int
	acked map[stream]uint64
}

// has reports whether the city has all of every stream up to the marks.
func (p *fleetPage) has(marks map[stream]uint64) bool {
	for s, n := range marks {
		if p.acked[s] < n {
			return false
		}
	}
	return true
}

// behind returns how many streams the city has less of than was accepted.
func (p *fleetPage) behind(t *Tally) int {
	return t.Behind(func(device longan.DeviceID, epoch, lane string) uint64 {
		return p.acked[stream{device, epoch, lane}]
	})
}

// waitFor looks at the city's page until it is as it should be, for fleetMost.
func (f *Fleet) waitFor(ctx context.Context, city *fleetCity, good func(*fleetPage) bool) error {
	ctx, cancel := context.WithTimeout(ctx, fleetMost)
	defer cancel()
	for {
		select {
		case <-city.done:
			return errors.Join(errors.New("the city's process has ended"), city.err)
		default:
		}
		page, err := f.page(ctx)
		if err == nil && good(page) {
			return nil
		}
		if !sleepUntil(ctx, time.Now().Add(fleetPoll)) {
			return fmt.Errorf("wait for the city: %w", errors.Join(ctx.Err(), err))
		}
	}
}

func (f *Fleet) page(ctx context.Context) (*fleetPage, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+f.http+"/api/v1/centers", nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var page struct {
		Centers []struct {
			Device  longan.DeviceID
			State   string
			Streams []struct {
				Epoch, Lane string
				Acked       uint64
			}
		}
	}
	if err := json.NewDecoder(res.Body).Decode(&page); err != nil {
		return nil, fmt.Errorf("read centers: %w", err)
	}
	p := &fleetPage{acked: map[stream]uint64{}}
	for _, c := range page.Centers {
		if c.State == "online" {
			p.live++
		}
		for _, s := range c.Streams {
			p.acked[stream{c.Device, s.Epoch, s.Lane}] = s.Acked
		}
	}
	return p, nil
}

// fleetClock knows when alarms were accepted by a board and stored by the city.
type fleetClock struct {
	mu       sync.Mutex
	back     time.Time // when the city came back
	accepted map[alarmID]time.Time
	stored   map[alarmID]time.Time
}

// returned notes that the city is back.
func (c *fleetClock) returned(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.back = at
}

// accept notes that a board has an alarm on disk.
func (c *fleetClock) accept(id alarmID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.accepted[id] = time.Now()
}

// cityLine takes a line of the city's log. It writes one right behind each commit.
func (c *fleetClock) cityLine(line []byte) {
	at := time.Now()
	var l struct {
		Msg, Epoch, Lane string
		Device           longan.DeviceID
		New, Last        uint64
	}
	if json.Unmarshal(line, &l) != nil || l.Msg != "stored" || l.Lane != longan.Alarm.String() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for seq := l.Last - min(l.New, l.Last) + 1; seq <= l.Last; seq++ {
		c.stored[alarmID{stream{l.Device, l.Epoch, l.Lane}, seq}] = at
	}
}

// tell sums up the alarms: those of the outage, and those after it.
func (c *fleetClock) tell(r *FleetReport) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var after []time.Duration
	for id, accepted := range c.accepted {
		stored, ok := c.stored[id]
		switch {
		case !ok || stored.Before(c.back): // on its way, or of before
		case accepted.Before(c.back):
			s := stored.Sub(c.back).Seconds()
			if r.AlarmFirst == 0 || s < r.AlarmFirst {
				r.AlarmFirst = s
			}
			r.AlarmLast = max(r.AlarmLast, s)
			r.Alarms++
		default:
			after = append(after, max(0, stored.Sub(accepted)))
		}
	}
	r.AlarmFirst, r.AlarmLast = hundredths(r.AlarmFirst), hundredths(r.AlarmLast)
	r.AlarmAfter = distribution(after)
}

func hundredths(s float64) float64 { return float64(int(s*100+0.5)) / 100 }
