// Package web is the city center's pages and API: one first page that shows
// what every center looks like now, kept alive by server-sent events, and the
// same as JSON under /api/v1.
//
// The page is rendered here, in Chinese or English, and so are the parts that
// its script puts in later: there is one renderer, and html/template escapes
// what boards call themselves. Nothing is loaded from anywhere else.
package web

import (
	"cmp"
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"path"
	"sync"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/cloud/internal/live"
)

//go:embed assets
var assets embed.FS

// Stored is an event with what the store knows of it.
type Stored struct {
	ID       int64 // order of arrival, over all streams
	StoredAt time.Time
	longan.Event
	// When it happened by the best clock of the same boot, and the quality of that
	// clock; zero and "" when the event's own Time is as good.
	Corrected      time.Time
	CorrectedClock string
}

// Query selects events; zero fields select all.
type Query struct {
	Device longan.DeviceID
	Type   string       // exact
	Lane   *longan.Lane // nil is every lane
	Before int64        // only IDs below it
	Limit  int          // 1 to MaxLimit
}

// EventStore is what the API reads events from.
type EventStore interface {
	// Events returns the events of a query, the latest arrival first.
	Events(ctx context.Context, q Query) ([]Stored, error)
}

// Config is what a Server needs from outside.
type Config struct {
	View    *live.View
	Events  EventStore       // nil: /api/v1/events answers 503
	Letters LetterStore      // nil: no dead letters are shown, and /api/v1/dead-letters answers 503
	Now     func() time.Time // nil is time.Now
	Log     *slog.Logger     // nil is slog.Default
	// MaxStreams bounds the clients of /api/v1/stream; zero is 256.
	MaxStreams int
}

// Server is the pages and the API. Its methods may be called from any
// goroutine.
type Server struct {
	cfg   Config
	build string                      // of the assets: a page of another build reloads itself
	pages map[lang]*template.Template // by language
	box   letterBox
	slots chan struct{} // one per open stream
	done  chan struct{}
	close sync.Once
}

// New returns a Server. It panics only if its embedded templates are broken.
func New(cfg Config) *Server {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.Log = cmp.Or(cfg.Log, slog.Default())
	s := &Server{
		cfg:   cfg,
		build: buildOf(assets),
		pages: map[lang]*template.Template{},
		slots: make(chan struct{}, cmp.Or(cfg.MaxStreams, 256)),
		done:  make(chan struct{}),
	}
	for _, l := range langs {
		s.pages[l] = template.Must(template.New("").Funcs(funcs(l)).ParseFS(assets, "assets/*.html"))
	}
	return s
}

// Close ends all streams, so that http.Server.Shutdown can end; give it to
// RegisterOnShutdown.
func (s *Server) Close() { s.close.Do(func() { close(s.done) }) }

// Handler returns the routes. The caller sets the timeouts of its http.Server;
// streams extend their own write deadline.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.page)
	mux.HandleFunc("GET /assets/{name}", s.asset)
	mux.HandleFunc("GET /api/v1/centers", s.centers)
	mux.HandleFunc("GET /api/v1/centers/{device}", s.center)
	mux.HandleFunc("GET /api/v1/alarms", s.alarms)
	mux.HandleFunc("GET /api/v1/incidents", s.incidents)
	mux.HandleFunc("GET /api/v1/refusals", s.refusals)
	mux.HandleFunc("GET /api/v1/dead-letters", s.deadLetters)
	mux.HandleFunc("GET /api/v1/dead-letters/{id}", s.deadLetter)
	mux.HandleFunc("GET /api/v1/events", s.events)
	mux.HandleFunc("GET /api/v1/stream", s.stream)
	mux.HandleFunc("GET /api/", s.notFound) // another method is answered 405
	mux.HandleFunc("GET /healthz", s.healthz)
	return secured(mux)
}

// secured sets the headers that every answer carries.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// asset serves the script, the style and the icon. Their addresses carry the
// build, so they may be kept for ever.
func (s *Server) asset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	switch path.Ext(name) {
	case ".js":
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
	case ".css":
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
	case ".svg":
		w.Header().Set("Content-Type", "image/svg+xml")
	default:
		http.NotFound(w, r)
		return
	}
	data, err := assets.ReadFile("assets/" + name)
	if err != nil {
		w.Header().Del("Content-Type")
		http.NotFound(w, r)
		return
	}
	if r.URL.Query().Get("v") == s.build {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	s.write(w, data)
}

// healthz answers as long as the view can be asked.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	_, rev := s.cfg.View.Rev()
	s.json(w, http.StatusOK, map[string]any{"ok": true, "time": s.cfg.Now(), "rev": rev})
}

func (s *Server) json(w http.ResponseWriter, code int, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		s.cfg.Log.Error("encode answer", "err", err)
		http.Error(w, `{"error":"内部错误 internal error"}`, http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(code)
	s.write(w, append(data, '\n'))
}

// write sends a body. A client that has gone is no error of ours.
func (s *Server) write(w http.ResponseWriter, data []byte) {
	if _, err := w.Write(data); err != nil {
		s.cfg.Log.Debug("client left", "err", err)
	}
}

// buildOf names the content of the assets.
func buildOf(files fs.FS) string {
	sum := fnv.New64a()
	names, err := fs.Glob(files, "assets/*")
	if err != nil { // only a bad pattern is an error
		panic("web: " + err.Error())
	}
	for _, name := range names {
		data, err := fs.ReadFile(files, name)
		if err != nil {
			panic("web: embedded " + err.Error())
		}
		fmt.Fprintf(sum, "%s %d\n", name, len(data))
		sum.Write(data)
	}
	return fmt.Sprintf("%016x", sum.Sum64())
}
