package kioskpc

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/drivers"
)

// Bounds of the endpoint: it is on the center's network, where anything may be.
const (
	maxConns    = 16
	readTimeout = 5 * time.Second
	idleTimeout = 2 * time.Minute
)

// What seq counts.
const (
	kindHeartbeat = "heartbeat"
	kindCounters  = "counters"
)

// serve answers requests until ctx ends, when it returns ctx.Err(), or l fails.
// It closes l.
func serve(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{
		Handler: h, ReadTimeout: readTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: 8 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    log.New(io.Discard, "", 0), // what scanners send is no news
	}
	var closing sync.WaitGroup
	defer closing.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	closing.Go(func() {
		<-ctx.Done()
		server.Close()
	})
	err := server.Serve(&limited{Listener: l, free: make(chan struct{}, maxConns)})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// limited lets only so many connections be open at a time; others wait unaccepted.
type limited struct {
	net.Listener
	free chan struct{}
}

// Accept implements net.Listener.
func (l *limited) Accept() (net.Conn, error) {
	l.free <- struct{}{}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.free
		return nil, err
	}
	return &counted{Conn: c, done: func() { <-l.free }}, nil
}

type counted struct {
	net.Conn
	once sync.Once
	done func()
}

// Close implements net.Conn.
func (c *counted) Close() error {
	c.once.Do(c.done)
	return c.Conn.Close()
}

// handler returns the endpoint's handler. What it takes goes to jobs.
func (r *Receiver) handler(jobs chan<- job) http.Handler {
	mux := http.NewServeMux()
	take := func(kind string, parse func([]byte) (job, error)) {
		mux.HandleFunc("POST /v1/"+kind, func(w http.ResponseWriter, q *http.Request) {
			if !r.allowed(q) {
				w.Header().Set("WWW-Authenticate", "Bearer")
				http.Error(w, "口令不对 / wrong token: want Authorization: Bearer and the board's token", http.StatusUnauthorized)
				return
			}
			body, err := io.ReadAll(http.MaxBytesReader(w, q.Body, maxBody))
			if err != nil {
				http.Error(w, "正文太长 / body too long", http.StatusRequestEntityTooLarge)
				return
			}
			j, err := parse(body)
			if err != nil {
				http.Error(w, "看不懂 / can't be taken: "+err.Error(), http.StatusBadRequest)
				return
			}
			point, ok := r.cfg.Points[j.id]
			if !ok {
				http.Error(w, "站点文件里没有这台 / the site file has no such kiosk: "+j.id, http.StatusNotFound)
				return
			}
			j.kind, j.reading.Point, j.done = kind, point, make(chan error, 1)
			if err := hand(q.Context(), jobs, j); err != nil {
				http.Error(w, "还没存下，请重发 / not stored, send it again", http.StatusServiceUnavailable)
				return
			}
			w.WriteHeader(http.StatusNoContent)
		})
	}
	take(kindHeartbeat, func(body []byte) (job, error) {
		h, err := parseHeartbeat(body)
		if err != nil {
			return job{}, err
		}
		reading := drivers.Reading{State: longan.Normal}
		if h.Status == "fault" {
			reading.State, reading.Detail = longan.Active, h.Code
		}
		return job{id: h.ID, seq: h.Seq, reading: reading}, nil
	})
	take(kindCounters, func(body []byte) (job, error) {
		c, err := parseCounters(body)
		if err != nil {
			return job{}, err
		}
		data, err := c.data()
		return job{id: c.ID, seq: c.Seq, reading: drivers.Reading{
			Happened: &drivers.Occurrence{Type: TypeCounters, Data: data, Sample: true},
		}}, err
	})
	return mux
}

// hand gives a job to Run's goroutine and waits for its result.
func hand(ctx context.Context, jobs chan<- job, j job) error {
	select {
	case jobs <- j:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-j.done:
		return err
	case <-ctx.Done():
		return errors.Join(ctx.Err(), errors.New("the board is stopping"))
	}
}

// allowed compares the token in constant time, whatever its length.
func (r *Receiver) allowed(q *http.Request) bool {
	token, ok := strings.CutPrefix(q.Header.Get("Authorization"), "Bearer ")
	got, want := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(r.cfg.Token))
	return ok && subtle.ConstantTimeCompare(got[:], want[:]) == 1
}
