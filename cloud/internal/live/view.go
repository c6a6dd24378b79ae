package live

import (
	"cmp"
	"context"
	"crypto/rand"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/longan-edge/longan"
)

// Defaults of Config.
const (
	DefaultStaleAfter = 15 * time.Second
	// DefaultOfflineAfter lets a death show within 20 s, the strictest reporting time
	// of EN 50136-1: the last word may come half a second after it, and Run looks
	// twice a second.
	DefaultOfflineAfter = 19 * time.Second
	// DefaultSilentAfter is more than two of the full statuses that a board sends
	// every five minutes.
	DefaultSilentAfter = 11 * time.Minute
	// DefaultTick is how often Run looks for centers that have aged.
	DefaultTick = 500 * time.Millisecond
)

const (
	recentAlarms = 200              // alarms kept after they were restored
	lateAfter    = 60 * time.Second // an event older than this when stored is late (补传)
	pastSessions = 16               // superseded sessions remembered per center
	pastEpochs   = 8                // epochs whose streams are shown per center
)

// Config is what a View needs from outside. The zero value works.
type Config struct {
	Now          func() time.Time // the city's clock, with its monotonic reading; nil is time.Now
	Log          *slog.Logger     // nil is slog.Default
	StaleAfter   time.Duration    // without a word; zero is DefaultStaleAfter
	OfflineAfter time.Duration    // without a word; zero is DefaultOfflineAfter
	SilentAfter  time.Duration    // a reading this old tells nothing about now; zero is DefaultSilentAfter
	Tick         time.Duration    // of Run; zero is DefaultTick
	Instance     string           // names this view's revisions; "" is random
}

// View is what every center looks like now.
type View struct {
	cfg Config

	mu        sync.Mutex
	rev       uint64 // counts material changes
	centers   map[longan.DeviceID]*center
	alarms    alarmBook
	incidents incidentBook
	refusals  refusalBook
	link      link
	subs      map[*Subscription]struct{}
}

// New returns an empty View. Its Run must run for centers to age while nobody
// asks.
func New(cfg Config) *View {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.Log = cmp.Or(cfg.Log, slog.Default())
	cfg.StaleAfter = cmp.Or(cfg.StaleAfter, DefaultStaleAfter)
	cfg.OfflineAfter = cmp.Or(cfg.OfflineAfter, DefaultOfflineAfter)
	cfg.SilentAfter = cmp.Or(cfg.SilentAfter, DefaultSilentAfter)
	cfg.Tick = cmp.Or(cfg.Tick, DefaultTick)
	cfg.Instance = cmp.Or(cfg.Instance, strings.ToLower(rand.Text()[:10]))
	return &View{
		cfg:      cfg,
		centers:  map[longan.DeviceID]*center{},
		alarms:   alarmBook{open: map[alarmKey]*alarm{}, count: map[longan.DeviceID]int{}, rested: map[alarmKey]notice{}, seen: map[eventKey]struct{}{}},
		refusals: refusalBook{of: map[longan.DeviceID]*refused{}, dirty: map[longan.DeviceID]bool{}},
		subs:     map[*Subscription]struct{}{},
	}
}

// Run ages the centers until ctx ends, and returns ctx.Err().
func (v *View) Run(ctx context.Context) error {
	tick := time.NewTicker(v.cfg.Tick)
	defer tick.Stop()
	defer func() {
		v.mu.Lock()
		v.link.watched = time.Time{}
		v.mu.Unlock()
	}()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			v.mu.Lock()
			now := v.cfg.Now()
			v.age(now)
			v.link.watched = now
			v.mu.Unlock()
		}
	}
}

// age moves every center whose time has come. v.mu is held.
func (v *View) age(now time.Time) {
	p := v.patience(now)
	for _, c := range v.centers {
		v.ageCenter(c, now, p)
	}
	v.judge(now)
	v.showRefusals(now)
}

// ageCenter is age for one center. v.mu is held.
func (v *View) ageCenter(c *center, now time.Time, p *patience) {
	before := c.state
	moved := c.age(now, p)
	if moved {
		v.moved(c, before, now)
	}
	silent, calm := c.silence(now, v.cfg.SilentAfter), c.calm(now)
	if moved || silent || calm {
		v.changed(c)
	}
}

// moved follows up on a center whose state or cause changed. v.mu is held.
func (v *View) moved(c *center, before State, now time.Time) {
	v.cfg.Log.Info("center changed", "device", c.device, "state", c.state, "cause", c.cause)
	v.incidents.note(c, before, now)
}

// center returns the record of a device, made when it is new. v.mu is held.
func (v *View) center(d longan.DeviceID, now time.Time) *center {
	c := v.centers[d]
	if c == nil {
		c = newCenter(d, now)
		v.centers[d] = c
		v.changed(c)
	}
	return c
}

// changed gives the center a new revision and tells the subscribers. v.mu is
// held.
func (v *View) changed(c *center) {
	v.rev++
	c.rev = v.rev
	for s := range v.subs {
		s.mark(c.device, ChangeCenter, v.rev)
	}
}

// heard tells the subscribers that only ages changed. v.mu is held.
func (v *View) heard(c *center, kind ChangeKind) {
	for s := range v.subs {
		s.mark(c.device, kind, v.rev)
	}
}
