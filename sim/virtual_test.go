package sim

import (
	"context"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/agent"
	"github.com/longan-edge/longan/cloud"
	"github.com/longan-edge/longan/drivers/porttest"
	firmwareconfig "github.com/longan-edge/longan/firmware-config"
	"github.com/longan-edge/longan/sim/link"
)

// oneProcessor holds the rest of a test to one processor: the race detector of
// Go 1.26 dies (SIGSEGV in SlotLock) when two run timers of one bubble at once.
func oneProcessor(t *testing.T) {
	n := runtime.GOMAXPROCS(1)
	t.Cleanup(func() { runtime.GOMAXPROCS(n) })
}

// memoryDir returns a folder in memory where there is one: what is forced to disk
// in virtual time waits for the disk in real time, and nothing here loses power.
func memoryDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "longan-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// virtualNow is a time of our days: a bubble begins in the year 2000, which the
// boards would take for a clock that was never set.
func virtualNow() time.Time { return time.Now().AddDate(27, 0, 0) }

// virtualCity is the city and what its boards share, in one bubble.
type virtualCity struct {
	t     *testing.T
	dir   string
	store string
	tally *Tally
	port  link.Exchange
	log   *cityLog

	cancel context.CancelFunc
	done   sync.WaitGroup
}

func newVirtualCity(t *testing.T, dir string) *virtualCity {
	c := &virtualCity{t: t, dir: dir, store: filepath.Join(dir, cloud.StoreName), tally: NewTally(), log: &cityLog{}}
	c.start()
	return c
}

// start starts the city. Its embedded broker knows nothing of an earlier one's
// retained messages and sessions.
func (c *virtualCity) start() {
	c.t.Helper()
	listener, err := c.port.Listen()
	if err != nil {
		c.t.Fatal(err)
	}
	city, err := cloud.New(cloud.Config{
		StorePath: c.store, MQTT: listener, InsecureDemo: true, Now: virtualNow, Log: slog.New(c.log),
	})
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	c.done.Go(func() {
		if err := city.Run(ctx); err != nil && ctx.Err() == nil {
			c.t.Errorf("city: %v", err)
		}
	})
	<-city.Ready()
}

func (c *virtualCity) stop() {
	c.cancel()
	c.done.Wait()
}

// cityLog hears of the city's log what the tests want to know: how the live view
// shows the boards, and what the store has committed.
type cityLog struct {
	mu     sync.Mutex
	shown  map[longan.DeviceID][]shown
	stored func(device longan.DeviceID, epoch, lane string, last uint64) // nil is nobody
}

// hear lets f hear of every commit of the store. Before that, and without it, the
// log costs little.
func (l *cityLog) hear(f func(device longan.DeviceID, epoch, lane string, last uint64)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stored = f
}

func (l *cityLog) ear() func(device longan.DeviceID, epoch, lane string, last uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stored
}

// shown is how the live view shows a board from a time on.
type shown struct {
	at           time.Time
	state, cause string
}

// Enabled implements slog.Handler.
func (l *cityLog) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo || l.ear() != nil
}

// Handle implements slog.Handler.
func (l *cityLog) Handle(_ context.Context, r slog.Record) error {
	switch {
	case r.Message == "center changed":
		a := attrs(r)
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.shown == nil {
			l.shown = map[longan.DeviceID][]shown{}
		}
		device := longan.DeviceID(a["device"].String())
		l.shown[device] = append(l.shown[device], shown{time.Now(), a["state"].String(), a["cause"].String()})
	case r.Message == "stored":
		a := attrs(r)
		l.ear()(longan.DeviceID(a["device"].String()), a["epoch"].String(), a["lane"].String(), a["last"].Uint64())
	}
	return nil
}

// WithAttrs implements slog.Handler.
func (l *cityLog) WithAttrs([]slog.Attr) slog.Handler { return l }

// WithGroup implements slog.Handler.
func (l *cityLog) WithGroup(string) slog.Handler { return l }

func attrs(r slog.Record) map[string]slog.Value {
	m := map[string]slog.Value{}
	r.Attrs(func(a slog.Attr) bool {
		m[a.Key] = a.Value
		return true
	})
	return m
}

// history returns how the live view showed a board, from the beginning.
func (l *cityLog) history(device longan.DeviceID) []shown {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.shown[device])
}

// virtualBoard is a board with its agent, in memory.
type virtualBoard struct {
	city  *virtualCity
	site  *firmwareconfig.Site
	ports *porttest.Ports
	link  *link.Link
	wrap  func(net.Conn) net.Conn // what a test puts around a connection; nil is nothing
	// clock makes the clock of a start; nil is one that is right.
	clock  func(boot string, begin time.Time) *agent.Clock
	starts int
	synced atomic.Int64 // clock.synced events that its agents accepted
	// accepted hears of every event that the agent accepts; nil is nobody.
	accepted func(lane string, seq uint64)

	cancel context.CancelFunc
	done   sync.WaitGroup
}

// agentTCP is what the agent asks of the board's TCP: agent/internal/dial.
var agentTCP = link.TCP{UserTimeout: 20 * time.Second, Thin: true}

// addBoard makes a board, which is off.
func (c *virtualCity) addBoard(site *firmwareconfig.Site, seed uint64, conditions link.Conditions) *virtualBoard {
	b := &virtualBoard{city: c, site: site, ports: &porttest.Ports{}, link: link.New(seed, conditions)}
	b.link.Tune(link.ToCity, agentTCP)
	return b
}

func (b *virtualBoard) start() {
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel = cancel
	b.starts++
	boot, begin := string(b.site.Device[:9])+"boot"+string(rune('a'+b.starts%26)), time.Now()
	clock := &agent.Clock{
		Boot: boot, Wall: virtualNow,
		Mono: func() time.Duration { return time.Since(begin) }, Synced: func() bool { return true },
	}
	if b.clock != nil {
		clock = b.clock(boot, begin)
	}
	b.done.Go(func() {
		err := agent.Run(ctx, agent.Config{
			Site: b.site, Dir: filepath.Join(b.city.dir, string(b.site.Device)), Ports: b.ports, Version: "test", Clock: clock,
			Dial: func(ctx context.Context, _ *url.URL) (net.Conn, error) { return b.dial(ctx) },
			Log:  slog.New(agentLog{b}),
		})
		if err != nil {
			b.city.t.Errorf("agent: %v", err)
		}
	})
}

func (b *virtualBoard) dial(ctx context.Context) (net.Conn, error) {
	conn, err := b.link.Dial(ctx, &b.city.port)
	if err == nil && b.wrap != nil {
		conn = b.wrap(conn)
	}
	return conn, err
}

// stop stops the agent, which says goodbye.
func (b *virtualBoard) stop() {
	b.cancel()
	b.done.Wait()
}

// cutPower ends the board without a word: its connections stay half-open.
func (b *virtualBoard) cutPower() {
	b.link.Forget()
	b.stop()
}

// agentLog hands what an agent accepted to the books.
type agentLog struct{ board *virtualBoard }

// Enabled implements slog.Handler.
func (agentLog) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler.
func (l agentLog) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "accepted" {
		a := attrs(r)
		if a["durable"].Bool() {
			l.board.city.tally.Accept(l.board.site.Device, a["epoch"].String(), a["lane"].String(), a["seq"].Uint64())
		}
		if l.board.accepted != nil {
			l.board.accepted(a["lane"].String(), a["seq"].Uint64())
		}
		if a["type"].String() == longan.ClockSynced {
			l.board.synced.Add(1)
		}
	}
	return nil
}

// WithAttrs implements slog.Handler.
func (l agentLog) WithAttrs([]slog.Attr) slog.Handler { return l }

// WithGroup implements slog.Handler.
func (l agentLog) WithGroup(string) slog.Handler { return l }

// doorSite is the site of a board with a door and a panic button at its own
// inputs, and nothing that is polled often.
func doorSite(device longan.DeviceID, heartbeat time.Duration) *firmwareconfig.Site {
	return &firmwareconfig.Site{
		Device: device, Name: "测试综治中心",
		Uplink: firmwareconfig.Uplink{Brokers: []string{"mqtt://city"}, Username: string(device), Heartbeat: heartbeat},
		Peripherals: []firmwareconfig.Peripheral{{
			Name: "inputs", Driver: "contact", Poll: time.Minute,
			Points: []firmwareconfig.Point{
				{Name: "front-door", Kind: firmwareconfig.KindDoor, Signal: "chip:1", NormallyClosed: true, Pull: "up", Debounce: 50 * time.Millisecond},
				{Name: "panic-button", Kind: firmwareconfig.KindPanic, Signal: "chip:2", Pull: "up", Debounce: 50 * time.Millisecond},
			},
		}},
	}
}
