package cloud

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/cloud/internal/broker"
	"github.com/longan-edge/longan/cloud/internal/ingest"
	"github.com/longan-edge/longan/cloud/internal/live"
	"github.com/longan-edge/longan/cloud/internal/store"
)

// Store is the city's store; see [OpenStore].
type Store = store.Store

// OpenStore opens the store in the file at path for reading, whether a city
// runs on it or not.
func OpenStore(ctx context.Context, path string) (*Store, error) {
	return store.Open(ctx, path, store.Options{ReadOnly: true})
}

// SetPassword writes the line of a device into a password file for
// Config.PasswordFile. A running city takes it at the device's next connection.
func SetPassword(path string, device longan.DeviceID, password []byte) error {
	return broker.SetPassword(path, device, password)
}

// Cloud is a city, to be run once.
type Cloud struct {
	cfg    Config
	ready  chan struct{}
	secure net.Listener // Config.MQTTS with TLS, or nil

	mu     sync.Mutex // guards what Run sets and Metrics reads
	ingest *ingest.Ingest
	broker *broker.Broker
}

// New returns a city, or an error that says what of the configuration is wrong.
func New(cfg Config) (*Cloud, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("configure city: %w", err)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	c := &Cloud{cfg: cfg, ready: make(chan struct{})}
	if cfg.MQTTS != nil {
		log := cfg.Log.With("part", "broker")
		cert, err := openCertificate(cfg.TLSCert, cfg.TLSKey, cfg.Now, log)
		if err != nil {
			return nil, fmt.Errorf("configure city: %w", err)
		}
		c.secure = &tlsListener{Listener: cfg.MQTTS, config: cert.config(), log: log}
	}
	return c, nil
}

// Run is New and Cloud.Run in one.
func Run(ctx context.Context, cfg Config) error {
	c, err := New(cfg)
	if err != nil {
		return err
	}
	return c.Run(ctx)
}

// Ready returns a channel that is closed when the city takes messages in for
// the first time.
func (c *Cloud) Ready() <-chan struct{} { return c.ready }

// Run runs the city until ctx ends, which is no error, or until a part of it
// fails for good. It returns when everything it started has ended, some seconds
// later at most.
func (c *Cloud) Run(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("run city: %w", err)
		}
	}()
	defer c.closeListeners()
	st, err := store.Open(ctx, c.cfg.StorePath, store.Options{Log: c.cfg.Log.With("part", "store")})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	view := live.New(live.Config{Now: c.cfg.Now, Log: c.cfg.Log.With("part", "live")})
	if err := preload(ctx, st, view); err != nil {
		return err
	}
	src, err := c.cfg.openSource(func(client, what, why string) {
		reason, _, _ := strings.Cut(what, " ") // connect, publish, subscribe
		view.ApplyRefusal(longan.DeviceID(client), live.AtBroker, reason, what+": "+why)
	})
	if err != nil {
		return err
	}
	in, err := ingest.New(ingest.Config{
		Dial: src.dial, Username: src.username, Password: src.password,
		ClientID: "longan-ingest-" + strings.ToLower(rand.Text()[:10]), Counties: c.cfg.Counties,
		Store: st, View: view, Now: c.cfg.Now, Log: c.cfg.Log.With("part", "ingest"),
	})
	if err != nil {
		if src.broker != nil {
			err = errors.Join(err, src.broker.Close())
		}
		return err
	}
	c.mu.Lock()
	c.ingest, c.broker = in, src.broker
	c.mu.Unlock()
	return c.serve(ctx, st, view, in, src.broker)
}

// serve runs the parts until ctx ends or one of them fails.
func (c *Cloud) serve(ctx context.Context, st *store.Store, view *live.View, in *ingest.Ingest, b *broker.Broker) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	start := func(run func(context.Context) error) {
		wg.Go(func() {
			if err := run(ctx); err != nil && ctx.Err() == nil {
				cancel(&partError{err})
			}
		})
	}
	ingestEnded := make(chan struct{})
	start(func(ctx context.Context) error {
		defer close(ingestEnded)
		return in.Run(ctx)
	})
	start(view.Run)
	start(func(ctx context.Context) error {
		select {
		case <-in.Ready():
			close(c.ready)
		case <-ctx.Done():
		}
		return nil
	})
	for _, l := range []net.Listener{c.cfg.MQTT, c.secure} {
		if b != nil && l != nil {
			start(func(context.Context) error { return b.Serve(l) })
		}
	}
	if c.cfg.HTTP != nil {
		start(func(ctx context.Context) error { return c.serveHTTP(ctx, st, view) })
	}
	<-ctx.Done()
	<-ingestEnded // it leaves the broker by itself
	var err error
	if b != nil {
		err = b.Close()
	}
	wg.Wait()
	if part, failed := errors.AsType[*partError](context.Cause(ctx)); failed {
		err = errors.Join(part.error, err)
	}
	return err
}

// partError is the failure of a part, told from the end of the caller's
// context.
type partError struct{ error }

// closeListeners closes what Run was given but may not have come to use.
func (c *Cloud) closeListeners() {
	for _, l := range []net.Listener{c.cfg.MQTT, c.cfg.MQTTS, c.cfg.HTTP} {
		if l != nil {
			l.Close()
		}
	}
}

// preload shows what the store knows: every center with its last status, which
// proves nothing about now, its streams, the alarms that are open, however old,
// and the latest others.
func preload(ctx context.Context, st *store.Store, view *live.View) error {
	devices, err := st.Devices(ctx)
	if err != nil {
		return err
	}
	for _, d := range devices {
		if d.Status != nil {
			view.ApplySaved(d.Status)
		}
	}
	streams, err := st.Streams(ctx, "")
	if err != nil {
		return err
	}
	type key struct {
		device longan.DeviceID
		epoch  string
	}
	done := map[key]bool{}
	for _, s := range streams {
		if k := (key{s.Device, s.Epoch}); !done[k] {
			done[k] = true
			lanes, err := st.Progress(ctx, s.Device, s.Epoch)
			if err != nil {
				return err
			}
			view.ApplyStreams(s.Device, s.Epoch, ingest.Streams(lanes))
		}
	}
	conflicts, err := st.Conflicts(ctx)
	if err != nil {
		return err
	}
	for _, k := range conflicts {
		view.ApplyConflicts(k.Device, k.Count, k.Last)
	}
	open, err := st.OpenAlarms(ctx)
	if err != nil {
		return err
	}
	recent, err := st.RecentAlarms(ctx, store.MaxLimit)
	if err != nil {
		return err
	}
	alarms := append(open, recent...)
	slices.SortFunc(alarms, func(a, b store.Stored) int { return cmp.Compare(a.ID, b.ID) })
	alarms = slices.CompactFunc(alarms, func(a, b store.Stored) bool { return a.ID == b.ID })
	old := make([]live.Stored, 0, len(alarms))
	for _, a := range alarms {
		old = append(old, live.Stored{Event: a.Event, Received: a.StoredAt, Corrected: a.Corrected, CorrectedClock: a.CorrectedClock})
	}
	view.Restore(old)
	return nil
}
