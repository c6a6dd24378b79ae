package dc09

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/drivers"
)

// Config is what a Receiver needs to know. Zero values take the defaults.
type Config struct {
	// Listen opens the TCP listener, ListenPacket the UDP one; each Run calls
	// them and closes what it got. Nil is none; there must be one.
	Listen       func(context.Context) (net.Listener, error)
	ListenPacket func(context.Context) (net.PacketConn, error)
	Accounts     []Account
	// Now returns the time, and whether it is sure. Where it is not, or Now is
	// nil, no message is refused for its time, and nothing else with a NAK either.
	Now func() (now time.Time, sure bool)
	// A message may be Past behind or Future ahead of Now: 40 s and 20 s by
	// default, as the standard has it.
	Past, Future time.Duration
	// MaxConns bounds the TCP connections, 8 by default. One more takes the place
	// of the one that has been silent longest.
	MaxConns int
	// Idle is how long a connection may be silent: by default 5 minutes, or twice
	// the longest Silence where that is more.
	Idle time.Duration
}

// Account is one panel.
type Account struct {
	Number string // 3 to 16 hexadecimal digits, without the #
	// Key is that of AES, of 16, 24 or 32 bytes, see ParseKey. With one the panel
	// is believed only what it encrypts; nil is a panel that does not encrypt.
	Key []byte
	// Silence is how long the panel may say nothing, 5 minutes by default; it
	// should be three times the panel's supervision interval. Negative is for ever.
	Silence time.Duration
	// Point is the panel's own: Normal while the panel reports, and where events
	// happen that no other point is for. There must be one.
	Point  string
	Points []Point
}

// Point is a point at a panel.
type Point struct {
	Point  string // name of the point
	Signal Signal
	// Last is the state that was on disk when the process began. It is taken for
	// the present as soon as the panel reports anything; Unknown is nothing known.
	Last longan.PointState
}

const (
	defaultPast    = 40 * time.Second
	defaultFuture  = 20 * time.Second
	defaultConns   = 8
	defaultIdle    = 5 * time.Minute
	defaultSilence = 5 * time.Minute
)

// Stats counts frames since New.
type Stats struct {
	Accepted uint64 // answered with ACK, supervision included
	Repeated uint64 // of them, repeats of one that was accepted before
	Refused  uint64 // an unknown account, a wrong key, a wrong time: NAK or nothing
	Puzzling uint64 // sound, but not understood: DUH
	Broken   uint64 // wrong CRC or length, no header: never answered
}

// Receiver is where panels report to.
type Receiver struct {
	cfg    Config
	panels map[string]*panel // by account
	order  []*panel
	fault  error // of the configuration

	// turn is full while somebody handles a message, through emit: one after the
	// other. It is no mutex, so that virtual time passes for those who wait.
	turn chan struct{}

	mu    sync.Mutex
	stats Stats
}

var _ drivers.Driver = (*Receiver)(nil)

// New returns a receiver. It opens nothing; a configuration that can't work is
// reported by Run. What was accepted is remembered from one Run to the next.
func New(cfg Config) *Receiver {
	or := func(d *time.Duration, standard time.Duration) {
		if *d <= 0 {
			*d = standard
		}
	}
	or(&cfg.Past, defaultPast)
	or(&cfg.Future, defaultFuture)
	if cfg.MaxConns <= 0 {
		cfg.MaxConns = defaultConns
	}
	if cfg.Now == nil {
		cfg.Now = func() (time.Time, bool) { return time.Now(), false }
	}
	r := &Receiver{panels: make(map[string]*panel), turn: make(chan struct{}, 1)}
	longest := time.Duration(0)
	for _, a := range cfg.Accounts {
		if a.Silence == 0 {
			a.Silence = defaultSilence
		}
		longest = max(longest, a.Silence)
		p := newPanel(a)
		if err := p.check(); err != nil {
			r.fault = errors.Join(r.fault, err)
		}
		if r.panels[p.number] != nil {
			r.fault = errors.Join(r.fault, fmt.Errorf("account %s stands there twice", p.number))
		}
		r.panels[p.number] = p
		r.order = append(r.order, p)
	}
	or(&cfg.Idle, max(defaultIdle, 2*longest))
	switch {
	case cfg.Listen == nil && cfg.ListenPacket == nil:
		r.fault = errors.Join(r.fault, errors.New("want TCP or UDP to listen on"))
	case len(cfg.Accounts) == 0:
		r.fault = errors.Join(r.fault, errors.New("want the account of a panel"))
	}
	r.cfg = cfg
	return r
}

// Stats returns what was counted since New.
func (r *Receiver) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stats
}

func (r *Receiver) count(what func(*Stats)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	what(&r.stats)
}

// Run implements drivers.Driver. While one panel of several is silent its points
// are emitted as Unknown; when all are, Run ends with an error that wraps
// drivers.ErrSilent. It calls emit from one goroutine at a time.
func (r *Receiver) Run(ctx context.Context, emit drivers.Emit) error {
	if r.fault != nil {
		return r.fail(ctx, emit, r.fault)
	}
	all, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s := &session{Receiver: r, ctx: ctx, all: all, cancel: cancel, emit: emit, conns: make(map[net.Conn]time.Time)}
	if err := s.open(); err != nil {
		return r.fail(ctx, emit, err)
	}
	for _, p := range r.order {
		p.begin(time.Now())
	}
	var wg sync.WaitGroup
	if s.listener != nil {
		wg.Go(s.accept)
	}
	if s.packets != nil {
		wg.Go(s.receive)
	}
	wg.Go(s.watch)
	<-all.Done()
	s.close()
	wg.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if s.unstored != nil {
		return s.unstored
	}
	return r.fail(ctx, emit, context.Cause(all))
}

// fail emits all points as Unknown and returns err, unless ctx has ended.
func (r *Receiver) fail(ctx context.Context, emit drivers.Emit, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	err = fmt.Errorf("alarm panel: %w", err)
	for _, p := range r.order {
		for _, reading := range p.unknown(err.Error()) {
			if err := emit(ctx, reading); err != nil {
				return err
			}
		}
	}
	return err
}

// clip cuts a text to the length of a reading's detail.
func clip(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), longan.MaxLabel)], "")
}
