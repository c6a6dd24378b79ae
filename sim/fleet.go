package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/cloud"
)

// Fleet is a city whose process dies and comes back, and all its centers, each a
// real agent with a spool of its own. The agents run in this process and talk
// real MQTT over loopback; their ports are in memory.
type Fleet struct {
	Centers int           // how many; 0 is 199
	Outage  time.Duration // how long the city is away; 0 is 10 min
	// Backlog puts so much of a center's history into each spool before it is
	// started, while the city is away already; 0 is none.
	Backlog   time.Duration
	PerDay    int    // events of a center; 0 is 1000
	Alarms    int    // that are raised while the city is away, each at another center; 0 is one center in ten
	SpoolSize int    // bytes of each spool; 0 is 4 MiB
	Broker    string // URL of a running broker; "" is the city's own
	Dir       string // where everything is kept; "" is a folder that is removed
	Seed      uint64
	Out       io.Writer    // what it sees, for people
	Log       *slog.Logger // of the agents; nil discards it

	tally   *Tally
	clock   fleetClock
	dials   dialBook
	centers []*fleetCenter
	program string // longan-cloud
	broker  string // host:port
	http    string
	before  map[stream]uint64 // what the city had before it went away
}

// FleetReport is what a fleet did after its city came back. Seconds count from
// the start of the city's process.
type FleetReport struct {
	Centers       int     `json:"centers"`
	Outage        float64 `json:"outage_s"`
	LiveAgain     float64 `json:"live_again_s"`  // until the city shows all centers online
	ConnectBurst  int     `json:"connect_burst"` // most connections in any second after the city went
	AttemptBurst  int     `json:"attempt_burst"` // the same of all attempts, those to a city that is away included
	Attempts      int     `json:"attempts"`      // while the city was away
	Backlog       int     `json:"backlog_events"`
	BacklogStored float64 `json:"backlog_stored_s"` // until all that was accepted before the return is stored
	BacklogRate   float64 `json:"backlog_events_per_s"`
	AlarmFirst    float64 `json:"alarm_first_s"` // until the first alarm of the outage is stored
	AlarmLast     float64 `json:"alarm_last_s"`  // until all of them are
	Alarms        int     `json:"alarms"`        // of the outage
	// AlarmAfter is how long an alarm took that was raised while the backlog came in.
	AlarmAfter Milliseconds `json:"alarm_after_ms"`
	Accepted   int          `json:"accepted"`
	Stored     int          `json:"stored"`
	Lost       int          `json:"lost"`
	Duplicated int          `json:"duplicated"`
	OutOfOrder int          `json:"out_of_order"`
	Holes      int          `json:"holes"`
	Seconds    float64      `json:"seconds"`
}

// Goals of a fleet, of a city that is away for ten minutes, or a day.
const (
	goalLiveAgain = time.Minute
	goalBurst     = 20 // connections a second
	goalBacklog   = 10 * time.Minute
)

// OK reports whether the books balance.
func (r *FleetReport) OK() bool {
	return r.Lost == 0 && r.Duplicated == 0 && r.OutOfOrder == 0 && r.Holes == 0 && r.Accepted > 0
}

// Missed names the goals that were not reached.
func (r *FleetReport) Missed() (names []string) {
	if r.LiveAgain > goalLiveAgain.Seconds() {
		names = append(names, "live_again_s")
	}
	if r.ConnectBurst > goalBurst {
		names = append(names, "connect_burst")
	}
	if r.BacklogStored > goalBacklog.Seconds() {
		names = append(names, "backlog_stored_s")
	}
	return names
}

// The patience of a fleet.
const (
	fleetStart = 50 * time.Millisecond // from one agent's start to the next
	fleetCalm  = 5 * time.Second       // in which all is well, before the outage
	fleetPoll  = 500 * time.Millisecond
	// fleetSettle is how long after the last movement of a contact its event can
	// still come: it is debounced, and looked at again.
	fleetSettle = 2 * time.Second
	fleetMost   = 15 * time.Minute // for everything to be well again
)

// Run runs the fleet and returns what it did.
func (f *Fleet) Run(ctx context.Context) (r *FleetReport, err error) {
	begin := time.Now()
	f.defaults()
	if f.Dir == "" {
		if f.Dir, err = os.MkdirTemp("", "longan-fleet-"); err != nil {
			return nil, fmt.Errorf("make folder: %w", err)
		}
		defer os.RemoveAll(f.Dir)
	}
	if err := f.prepare(ctx); err != nil {
		return nil, err
	}
	r = &FleetReport{Centers: f.Centers, Outage: f.Outage.Seconds()}
	if err := f.play(ctx, r); err != nil {
		return nil, err
	}
	streams, err := cloud.Audit(ctx, filepath.Join(f.Dir, "city", cloud.StoreName))
	if err != nil {
		return nil, fmt.Errorf("audit the city's store: %w", err)
	}
	var books Report
	f.tally.Close(&books, streams)
	r.Accepted, r.Stored, r.Lost = books.Accepted, books.Stored, books.Lost
	r.Duplicated, r.OutOfOrder, r.Holes = books.Duplicated, books.OutOfOrder, books.Holes
	r.Seconds = tenths(time.Since(begin))
	return r, nil
}

func (f *Fleet) defaults() {
	if f.Centers == 0 {
		f.Centers = len(longan.Townships())
	}
	if f.Outage == 0 {
		f.Outage = 10 * time.Minute
	}
	if f.PerDay == 0 {
		f.PerDay = 1000
	}
	if f.Alarms == 0 {
		f.Alarms = (f.Centers + 9) / 10
	}
	if f.SpoolSize == 0 {
		f.SpoolSize = 4 << 20
	}
	if f.Log == nil {
		f.Log = slog.New(slog.DiscardHandler)
	}
	f.tally = NewTally()
	f.clock.accepted, f.clock.stored = map[alarmID]time.Time{}, map[alarmID]time.Time{}
}

// prepare finds the city's program and builds the centers.
func (f *Fleet) prepare(ctx context.Context) (err error) {
	townships := longan.Townships()
	if f.Alarms > f.Centers {
		return fmt.Errorf("%d alarms: want one a center at most", f.Alarms)
	}
	if f.Centers < 1 || f.Centers > len(townships) {
		return fmt.Errorf("%d centers: want 1 to %d", f.Centers, len(townships))
	}
	if f.http, err = freePort(); err != nil {
		return err
	}
	if f.Broker == "" {
		f.broker, err = freePort()
	} else {
		var u *url.URL
		if u, err = url.Parse(f.Broker); err == nil && (u.Scheme != "mqtt" || u.Port() == "") {
			err = fmt.Errorf("broker %q: want mqtt://host:port", f.Broker)
		}
		if err == nil {
			f.broker = u.Host
		}
	}
	if err != nil {
		return err
	}
	if f.program, err = FindProgram(ctx, f.Dir, "longan-cloud"); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(f.Dir, "city"), 0o700); err != nil {
		return fmt.Errorf("make the city's folder: %w", err)
	}
	for i := range f.Centers {
		c, err := f.newCenter(townships[i], uint64(i))
		if err != nil {
			return err
		}
		f.centers = append(f.centers, c)
	}
	return nil
}

// freePort returns an address that nobody listened on a moment ago.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}

// play runs centers and city: well, then without the city, then with it again.
func (f *Fleet) play(ctx context.Context, r *FleetReport) error {
	agents, stopAgents := context.WithCancel(ctx)
	acts, stopActs := context.WithCancel(ctx)
	var running, acting sync.WaitGroup
	failed := make(chan error, len(f.centers))
	defer running.Wait()
	defer stopAgents()
	defer acting.Wait()
	defer stopActs()
	startAll := func() {
		for _, c := range f.centers {
			running.Go(func() { failed <- c.run(agents) })
			acting.Go(func() { c.live(acts, f.pace()) })
			if !sleepUntil(ctx, time.Now().Add(fleetStart)) {
				return
			}
		}
	}
	if f.Backlog > 0 {
		f.say("装入积压 / filling spools: %s, %d events a day …", f.Backlog, f.PerDay)
		if err := f.fill(ctx); err != nil {
			return err
		}
		startAll()
	} else {
		city := f.startCity(ctx)
		startAll()
		calm := time.Time{}
		err := f.waitFor(ctx, city, func(p *fleetPage) bool {
			f.before = p.acked
			if p.live == len(f.centers) && calm.IsZero() {
				f.say("全部在线 / all %d centers are live", p.live)
				calm = time.Now().Add(fleetCalm)
			}
			return !calm.IsZero() && time.Now().After(calm)
		})
		city.kill()
		if err != nil {
			return errors.Join(err, drainErrors(failed))
		}
	}
	if err := f.outage(ctx, r); err != nil {
		return errors.Join(err, drainErrors(failed))
	}
	city := f.startCity(ctx)
	defer city.stop()
	if err := f.recover(ctx, city, r); err != nil {
		return errors.Join(err, drainErrors(failed))
	}
	stopActs()
	acting.Wait()
	sleepUntil(ctx, time.Now().Add(fleetSettle))
	before := -1
	if err := f.waitFor(ctx, city, func(p *fleetPage) bool {
		was := before
		before = f.tally.Accepted()
		return was == before && p.behind(f.tally) == 0
	}); err != nil {
		f.say("没有送完 / did not drain: %v", err) // the books tell what is missing
	}
	stopAgents()
	running.Wait()
	return drainErrors(failed)
}

// pace is the mean time between two events of a center.
func (f *Fleet) pace() time.Duration { return 24 * time.Hour / time.Duration(f.PerDay) }

// outage passes without a city. In it some centers raise an alarm.
func (f *Fleet) outage(ctx context.Context, r *FleetReport) error {
	f.say("市中心停机 / the city is away for %s", f.Outage)
	begin := time.Now()
	f.dials.mark()
	for i := range f.Alarms {
		at := begin.Add(f.Outage / 10 * 9 * time.Duration(i) / time.Duration(f.Alarms))
		if !sleepUntil(ctx, at) {
			return ctx.Err()
		}
		f.centers[i*len(f.centers)/f.Alarms].press()
	}
	if !sleepUntil(ctx, begin.Add(f.Outage)) {
		return ctx.Err()
	}
	r.Attempts = f.dials.attempts()
	return nil
}

// recover measures what follows the city's return.
func (f *Fleet) recover(ctx context.Context, city *fleetCity, r *FleetReport) error {
	back := time.Now()
	f.clock.returned(back)
	waits := f.tally.marks()
	for s, n := range waits {
		r.Backlog += int(n - min(n, f.before[s]))
	}
	f.say("市中心恢复 / the city is back; %d events wait", r.Backlog)
	pressing, stop := context.WithCancel(ctx)
	var hand sync.WaitGroup
	hand.Go(func() { f.pressNow(pressing) })
	defer hand.Wait()
	defer stop()
	err := f.waitFor(ctx, city, func(p *fleetPage) bool {
		after := time.Since(back)
		if p.live == len(f.centers) && r.LiveAgain == 0 {
			r.LiveAgain = tenths(after)
			f.say("  全部在线 / all live after %.1f s", r.LiveAgain)
		}
		if p.has(waits) && r.BacklogStored == 0 {
			r.BacklogStored = tenths(after)
			f.say("  积压入库 / backlog stored after %.1f s", r.BacklogStored)
		}
		return r.LiveAgain > 0 && r.BacklogStored > 0
	})
	r.ConnectBurst = f.dials.burst(true)
	r.AttemptBurst = f.dials.burst(false)
	f.clock.tell(r)
	if r.BacklogStored > 0 {
		r.BacklogRate = float64(int(float64(r.Backlog) / r.BacklogStored))
	}
	return err
}

// pressNow raises alarms while the backlog comes in, one center after the other.
func (f *Fleet) pressNow(ctx context.Context) {
	const gap = 300 * time.Millisecond
	for i := 1; sleepUntil(ctx, time.Now().Add(gap)); i += 2 {
		f.centers[i%len(f.centers)].press()
	}
}

func (f *Fleet) say(format string, args ...any) {
	fmt.Fprintf(f.Out, time.Now().Format("15:04:05 ")+format+"\n", args...)
}

// tenths returns seconds with one digit behind the point, never 0 of a time that passed.
func tenths(d time.Duration) float64 {
	return max(0.1, d.Round(100*time.Millisecond).Seconds())
}
