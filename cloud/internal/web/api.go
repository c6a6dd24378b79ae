package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/cloud/internal/live"
)

// Limits of the lists in the API.
const (
	MaxLimit     = 1000 // events in one answer
	MaxAlarms    = 200  // alarms in one answer: what the view remembers
	defaultLimit = 100
)

// badQuery is a query that breaks the rules; its texts tell what to do.
type badQuery struct {
	key  string // of texts
	args []any
}

func (b *badQuery) Error() string { return b.in(en) }

func (b *badQuery) in(l lang) string { return fmt.Sprintf(text(l, b.key), b.args...) }

// params is a query in which every parameter is known and stands once.
type params map[string]string

// parseParams returns the parameters of a raw query; lang is always allowed.
func parseParams(raw string, known ...string) (params, *badQuery) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, &badQuery{key: "err.query"}
	}
	known = append(known, "lang")
	out := params{}
	for key, v := range values {
		if !slices.Contains(known, key) {
			return nil, &badQuery{"err.param", []any{clip(key), strings.Join(known, ", ")}}
		}
		if len(v) > 1 {
			return nil, &badQuery{"err.twice", []any{key}}
		}
		out[key] = v[0]
	}
	return out, nil
}

// limit returns the parameter limit, at most most.
func (p params) limit(most int) (int, *badQuery) {
	v, ok := p["limit"]
	if !ok {
		return min(defaultLimit, most), nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > most {
		return 0, &badQuery{"err.limit", []any{most}}
	}
	return n, nil
}

// parseEventsQuery returns the query for events in a raw query string.
func parseEventsQuery(raw string) (q Query, bad *badQuery) {
	p, bad := parseParams(raw, "device", "type", "lane", "before", "limit")
	if bad != nil {
		return Query{}, bad
	}
	if q.Limit, bad = p.limit(MaxLimit); bad != nil {
		return Query{}, bad
	}
	if v, ok := p["device"]; ok {
		d, err := longan.ParseDeviceID(v)
		if err != nil {
			return Query{}, &badQuery{key: "err.device"}
		}
		q.Device = d
	}
	if v, ok := p["lane"]; ok {
		lane, err := longan.ParseLane(v)
		if err != nil {
			return Query{}, &badQuery{key: "err.lane"}
		}
		q.Lane = &lane
	}
	if v, ok := p["type"]; ok {
		if (&longan.Event{Seq: 1, Type: v}).Validate() != nil {
			return Query{}, &badQuery{key: "err.type"}
		}
		q.Type = v
	}
	if v, ok := p["before"]; ok {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < 1 {
			return Query{}, &badQuery{key: "err.before"}
		}
		q.Before = n
	}
	return q, nil
}

func (s *Server) centers(w http.ResponseWriter, r *http.Request) {
	if _, bad := parseParams(r.URL.RawQuery); bad != nil {
		s.fail(w, r, http.StatusBadRequest, bad)
		return
	}
	s.json(w, http.StatusOK, withDelivery(s.cfg.View.Snapshot()))
}

func (s *Server) center(w http.ResponseWriter, r *http.Request) {
	if _, bad := parseParams(r.URL.RawQuery); bad != nil {
		s.fail(w, r, http.StatusBadRequest, bad)
		return
	}
	device, err := longan.ParseDeviceID(r.PathValue("device"))
	if err != nil {
		s.fail(w, r, http.StatusBadRequest, &badQuery{key: "err.device"})
		return
	}
	c, ok := s.cfg.View.Center(device)
	if !ok {
		s.fail(w, r, http.StatusNotFound, &badQuery{key: "err.nocenter"})
		return
	}
	s.json(w, http.StatusOK, centerJSON{c, deliveryOf(c)})
}

// alarmsAnswer is what /api/v1/alarms says.
type alarmsAnswer struct {
	Time   time.Time    `json:"time"`   // the city's
	Open   []live.Alarm `json:"open"`   // all of them, newest first
	Recent []live.Alarm `json:"recent"` // the last limit raised, open or not, newest first
}

func (s *Server) alarms(w http.ResponseWriter, r *http.Request) {
	p, bad := parseParams(r.URL.RawQuery, "limit")
	var limit int
	if bad == nil {
		limit, bad = p.limit(MaxAlarms)
	}
	if bad != nil {
		s.fail(w, r, http.StatusBadRequest, bad)
		return
	}
	snap := s.cfg.View.Snapshot()
	s.json(w, http.StatusOK, alarmsAnswer{snap.Time, snap.Open, snap.Recent[:min(limit, len(snap.Recent))]})
}

// eventJSON is a stored event as the API gives it.
type eventJSON struct {
	ID       int64           `json:"id"`
	Device   longan.DeviceID `json:"device"`
	Epoch    string          `json:"epoch"`
	Lane     longan.Lane     `json:"lane"`
	Seq      uint64          `json:"seq"`
	Type     string          `json:"type"`
	Point    string          `json:"point,omitempty"`
	Time     time.Time       `json:"time,omitzero"` // at the board
	Clock    string          `json:"clock,omitempty"`
	Boot     string          `json:"boot,omitempty"`
	Mono     int64           `json:"mono"` // ms since Boot
	Data     json.RawMessage `json:"data,omitempty"`
	Received time.Time       `json:"received"` // when the city had stored it
	// When it happened by a better clock of the same boot, known later, and that
	// clock's quality. Time and Clock stay as the board sent them.
	Corrected      time.Time `json:"corrected,omitzero"`
	CorrectedClock string    `json:"correctedClock,omitempty"`
}

func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	q, bad := parseEventsQuery(r.URL.RawQuery)
	if bad != nil {
		s.fail(w, r, http.StatusBadRequest, bad)
		return
	}
	if s.cfg.Events == nil {
		s.fail(w, r, http.StatusServiceUnavailable, &badQuery{key: "err.nostore"})
		return
	}
	stored, err := s.cfg.Events.Events(r.Context(), q)
	if err != nil {
		s.cfg.Log.Error("query events", "err", err)
		s.fail(w, r, http.StatusServiceUnavailable, &badQuery{key: "err.store"})
		return
	}
	out := make([]eventJSON, len(stored))
	for i := range stored {
		e := &stored[i]
		out[i] = eventJSON{e.ID, e.Device, e.Epoch, e.Lane, e.Seq, e.Type, e.Point, e.Time, e.Clock,
			e.Boot, e.Mono.Milliseconds(), e.Data, e.StoredAt, e.Corrected, e.CorrectedClock}
	}
	s.json(w, http.StatusOK, map[string]any{"time": s.cfg.Now(), "events": out})
}

func (s *Server) notFound(w http.ResponseWriter, r *http.Request) {
	s.fail(w, r, http.StatusNotFound, &badQuery{key: "err.notfound"})
}

// fail answers with {"error": text} in the language of the request.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, code int, why *badQuery) {
	s.json(w, code, map[string]string{"error": why.in(langOf(r))})
}

// clip bounds foreign text in an answer.
func clip(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return s
}
