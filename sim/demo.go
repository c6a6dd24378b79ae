package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/cloud"
)

// Demo is a city with a few centers, each an agent process of its own behind
// simulated hardware, played through one scripted day after another.
type Demo struct {
	Centers   int           // how many
	For       time.Duration // how long; zero is until the context ends
	Day       time.Duration // how long a scripted day takes
	Full      bool          // the first center has every peripheral there is
	Kill      bool          // end agents with SIGKILL at random
	KillCloud bool          // end the city with SIGKILL, twice a day
	Broker    string        // URL of a running broker; "" is the city's own
	HTTP      string        // where the page is served, host:port
	MQTT      string        // where the city's own broker listens, host:port
	Dir       string        // where everything is kept; "" is a folder that is removed
	Seed      uint64
	Out       io.Writer // what it sees, for people

	tally     *Tally
	centers   []*center
	cloud     *Process
	linkDrops atomic.Int64
	kills     atomic.Int64
	cityKills atomic.Int64
	outMu     sync.Mutex
}

// Run runs the demo and returns its books.
func (d *Demo) Run(ctx context.Context) (*Report, error) {
	start := time.Now()
	if d.Dir == "" {
		dir, err := os.MkdirTemp("", "longan-demo-")
		if err != nil {
			return nil, fmt.Errorf("make folder: %w", err)
		}
		defer os.RemoveAll(dir)
		d.Dir = dir
	}
	if err := d.prepare(ctx); err != nil {
		return nil, err
	}
	if err := d.play(ctx); err != nil {
		return nil, err
	}
	report := &Report{
		Centers: d.Centers, Kills: int(d.kills.Load()), CloudKills: int(d.cityKills.Load()),
		LinkDrops: int(d.linkDrops.Load()), Seconds: time.Since(start).Round(time.Millisecond).Seconds(),
	}
	// The context may have ended (Ctrl-C): the books are closed all the same.
	audit, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	streams, err := cloud.Audit(audit, d.storePath())
	if err != nil {
		return nil, fmt.Errorf("audit the city's store: %w", err)
	}
	d.tally.Close(report, streams)
	for _, c := range d.centers {
		if c.full != nil {
			report.Full = c.full.close(c.peak)
		}
	}
	return report, nil
}

func (d *Demo) storePath() string { return filepath.Join(d.Dir, "city", cloud.StoreName) }

// prepare finds the programs and builds the city and the centers.
func (d *Demo) prepare(ctx context.Context) error {
	d.tally = NewTally()
	// Another city on these addresses would take this demo's events, and its page
	// would answer for ours.
	for flag, addr := range map[string]string{"-http": d.HTTP, "-mqtt": d.MQTT} {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return fmt.Errorf("%s %s is not free; choose another, or end what uses it: %w", flag, addr, err)
		}
		l.Close()
	}
	d.say("准备程序 / preparing the programs …")
	agent, err := FindProgram(ctx, d.Dir, "longan-agent")
	if err != nil {
		return err
	}
	city, err := FindProgram(ctx, d.Dir, "longan-cloud")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(d.Dir, "city"), 0o700); err != nil {
		return fmt.Errorf("make the city's folder: %w", err)
	}
	args := []string{"run", "-data", filepath.Join(d.Dir, "city"), "-http", d.HTTP}
	broker := d.MQTT
	if d.Broker != "" {
		u, err := url.Parse(d.Broker)
		if err != nil || u.Scheme != "mqtt" || u.Host == "" {
			return fmt.Errorf("broker %q: want mqtt://host:port", d.Broker)
		}
		broker = u.Host
		args = append(args, "-broker", d.Broker)
	} else {
		args = append(args, "-mqtt", d.MQTT, "-insecure-demo")
	}
	d.cloud = &Process{Name: "longan-cloud", Path: city, Args: args, Line: d.keepLog("cloud")}
	townships := longan.Townships()
	if d.Centers < 1 || d.Centers > len(townships) {
		return fmt.Errorf("%d centers: want 1 to %d", d.Centers, len(townships))
	}
	for i := range d.Centers {
		// Spread over the list, so that a few centers show several counties.
		c, err := d.newCenter(townships[(i*61+31)%len(townships)], agent, broker, d.Full && i == 0)
		if err != nil {
			return err
		}
		d.centers = append(d.centers, c)
	}
	return nil
}

// play runs everything until the time is up, lets the backlog drain, and stops.
func (d *Demo) play(ctx context.Context) error {
	agents, stopAgents := context.WithCancel(context.WithoutCancel(ctx))
	city, stopCity := context.WithCancel(context.WithoutCancel(ctx))
	var cityDone, agentsDone, actsDone sync.WaitGroup
	failed := make(chan error, 2*len(d.centers)+1)
	defer func() { // in this order: the city hears the agents' goodbye
		stopAgents()
		agentsDone.Wait()
		stopCity()
		cityDone.Wait()
	}()
	cityDone.Go(func() { failed <- d.cloud.Run(city) })
	cityDone.Go(func() { d.watch(city) })
	if err := d.waitForPage(ctx); err != nil {
		return errors.Join(err, drainErrors(failed))
	}
	d.say("网页 / page: http://%s/    MQTT: %s", d.HTTP, d.brokerText())
	acts, stopActs := context.WithCancel(ctx)
	defer stopActs()
	for i, c := range d.centers {
		agentsDone.Go(func() { failed <- c.run(agents) })
		if c.full != nil {
			actsDone.Go(func() { c.full.live(acts, c.agent) })
			actsDone.Go(func() {
				if sleepUntil(acts, time.Now().Add(settleFor+quietFor)) {
					d.live(acts, c, rand.New(rand.NewPCG(d.Seed, uint64(i))))
				}
			})
			continue
		}
		actsDone.Go(func() { d.live(acts, c, rand.New(rand.NewPCG(d.Seed, uint64(i)))) })
	}
	if d.Kill || d.KillCloud {
		actsDone.Go(func() { d.killAtRandom(acts) })
	}
	var timeUp <-chan time.Time
	if d.For > 0 {
		timeUp = time.After(d.For)
	}
	progress := time.NewTicker(2 * time.Second)
	defer progress.Stop()
	for {
		select {
		case <-progress.C:
			d.sayProgress()
			continue
		case err := <-failed:
			stopActs()
			actsDone.Wait()
			return err
		case <-timeUp:
		case <-ctx.Done():
		}
		break
	}
	stopActs()
	actsDone.Wait()
	for _, c := range d.centers {
		if c.full != nil {
			c.peak = c.agent.peak()
		}
	}
	d.say("停下，等积压送完 / stopping, waiting for the backlog to drain …")
	return d.drain(context.WithoutCancel(ctx))
}

func drainErrors(failed chan error) error {
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

func (d *Demo) brokerText() string {
	if d.Broker != "" {
		return d.Broker
	}
	return "mqtt://" + d.MQTT
}

// killAtRandom ends agents, and the city, as a power cut would.
func (d *Demo) killAtRandom(ctx context.Context) {
	rng := rand.New(rand.NewPCG(d.Seed, 1<<32))
	for n := 1; ; n++ {
		select {
		case <-time.After(d.Day/16 + time.Duration(rng.Int64N(int64(d.Day/8)))):
		case <-ctx.Done():
			return
		}
		if d.KillCloud && n%4 == 2 && d.cloud.Kill() {
			d.cityKills.Add(1)
			d.say("  ✗ 市中心进程被 SIGKILL / city killed")
		}
		if c := d.centers[rng.IntN(len(d.centers))]; d.Kill && c.agent.Kill() {
			d.kills.Add(1)
			d.say("  ✗ %s 板端进程被 SIGKILL / agent killed", c.name)
		}
	}
}

func (d *Demo) say(format string, args ...any) {
	d.outMu.Lock()
	defer d.outMu.Unlock()
	fmt.Fprintf(d.Out, format+"\n", args...)
}

func (d *Demo) sayProgress() {
	up := 0
	for _, c := range d.centers {
		if !c.linkDown.Load() {
			up++
		}
	}
	d.say("%s  收下 accepted %d  报警 alarms %d  链路 links %d/%d  重启 kills %d",
		time.Now().Format("15:04:05"), d.tally.Accepted(), d.tally.Alarms(), up, len(d.centers), d.kills.Load())
}
