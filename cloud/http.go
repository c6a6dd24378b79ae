package cloud

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/cloud/internal/live"
	"github.com/longan-edge/longan/cloud/internal/store"
	"github.com/longan-edge/longan/cloud/internal/web"
)

// The patience with a client of the pages. Streams extend their own deadline.
const (
	httpHeaderTimeout = 10 * time.Second
	httpTimeout       = 30 * time.Second
	httpIdleTimeout   = 2 * time.Minute
	httpCloseWithin   = 3 * time.Second
	httpMaxHeader     = 32 << 10 // bytes
)

// serveHTTP serves the pages and the API until ctx ends.
func (c *Cloud) serveHTTP(ctx context.Context, st *store.Store, view *live.View) error {
	log := c.cfg.Log.With("part", "web")
	pages := web.New(web.Config{View: view, Events: eventStore{st}, Letters: letterStore{st}, Now: c.cfg.Now, Log: log})
	server := &http.Server{
		Handler:           pages.Handler(),
		ReadHeaderTimeout: httpHeaderTimeout,
		ReadTimeout:       httpTimeout,
		WriteTimeout:      httpTimeout,
		IdleTimeout:       httpIdleTimeout,
		MaxHeaderBytes:    httpMaxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	server.RegisterOnShutdown(pages.Close)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(c.cfg.HTTP) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), httpCloseWithin)
	defer cancel()
	err := server.Shutdown(closing)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	<-ended
	return err
}

// eventStore is the store as the API asks it.
type eventStore struct{ *store.Store }

// Events implements web.EventStore.
func (s eventStore) Events(ctx context.Context, q web.Query) ([]web.Stored, error) {
	events, err := s.Store.Events(ctx, store.Query(q))
	if err != nil {
		return nil, err
	}
	out := make([]web.Stored, len(events))
	for i, e := range events {
		out[i] = web.Stored(e)
	}
	return out, nil
}

// letterStore is the store's dead letters as the pages and the API ask for them.
type letterStore struct{ *store.Store }

// DeadLetters implements web.LetterStore.
func (s letterStore) DeadLetters(ctx context.Context, device longan.DeviceID, limit int) ([]web.DeadLetter, error) {
	letters, err := s.Store.DeadLetters(ctx, device, limit)
	if err != nil {
		return nil, err
	}
	out := make([]web.DeadLetter, len(letters))
	for i, l := range letters {
		out[i] = web.DeadLetter(l)
	}
	return out, nil
}

// DeadLetter implements web.LetterStore.
func (s letterStore) DeadLetter(ctx context.Context, id int64) (web.DeadLetter, bool, error) {
	l, err := s.Store.DeadLetter(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return web.DeadLetter{}, false, nil
	}
	return web.DeadLetter(l), err == nil, err
}
