package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/longan-edge/longan"
)

// DeadLetter is a batch that the city could not take, kept for an operator to
// see.
type DeadLetter struct {
	ID         int64
	Device     longan.DeviceID // by the topic: who published it
	Lane       longan.Lane     // by the topic
	ReceivedAt time.Time       // the last time
	Reason     string
	Error      string // what is wrong with it, for people; may be ""
	CRC        uint32 // CRC-32C of the message as published
	Tries      int    // how often it was set aside
	Size       int    // of the message, bytes
	Payload    []byte // the message, maybe cut; nil in a list
}

// LetterStore is what the pages and the API read dead letters from.
type LetterStore interface {
	// DeadLetters returns the latest of a device, or of all when device is "",
	// without their payloads.
	DeadLetters(ctx context.Context, device longan.DeviceID, limit int) ([]DeadLetter, error)
	// DeadLetter returns one with its payload, and false when there is none of
	// that id.
	DeadLetter(ctx context.Context, id int64) (DeadLetter, bool, error)
}

// What the page shows of dead letters, and how often it looks for new ones.
const (
	shownLetters = 20
	lettersEvery = 10 * time.Second
)

// letterJSON is a dead letter as the API gives it.
type letterJSON struct {
	ID       int64           `json:"id"`
	Device   longan.DeviceID `json:"device"`
	Lane     longan.Lane     `json:"lane"`
	Received time.Time       `json:"received"` // the last time
	Reason   string          `json:"reason"`
	Error    string          `json:"error,omitempty"`
	CRC      string          `json:"crc"` // CRC-32C of the message, eight hex digits
	Tries    int             `json:"tries"`
	Size     int             `json:"size"`              // bytes
	Payload  []byte          `json:"payload,omitempty"` // base64
	Message  json.RawMessage `json:"message,omitempty"` // the payload's JSON, where it has any
}

func letterOf(l DeadLetter) letterJSON {
	return letterJSON{ID: l.ID, Device: l.Device, Lane: l.Lane, Received: l.ReceivedAt, Reason: l.Reason, Error: l.Error,
		CRC: fmt.Sprintf("%08x", l.CRC), Tries: l.Tries, Size: l.Size, Payload: l.Payload}
}

func (s *Server) deadLetters(w http.ResponseWriter, r *http.Request) {
	p, bad := parseParams(r.URL.RawQuery, "device", "limit")
	var limit int
	if bad == nil {
		limit, bad = p.limit(MaxLimit)
	}
	var device longan.DeviceID
	if v, ok := p["device"]; ok && bad == nil {
		d, err := longan.ParseDeviceID(v)
		if err != nil {
			bad = &badQuery{key: "err.device"}
		}
		device = d
	}
	if bad != nil {
		s.fail(w, r, http.StatusBadRequest, bad)
		return
	}
	if s.cfg.Letters == nil {
		s.fail(w, r, http.StatusServiceUnavailable, &badQuery{key: "err.nostore"})
		return
	}
	letters, err := s.cfg.Letters.DeadLetters(r.Context(), device, limit)
	if err != nil {
		s.cfg.Log.Error("query dead letters", "err", err)
		s.fail(w, r, http.StatusServiceUnavailable, &badQuery{key: "err.store"})
		return
	}
	out := make([]letterJSON, len(letters))
	for i := range letters {
		out[i] = letterOf(letters[i])
	}
	s.json(w, http.StatusOK, map[string]any{"time": s.cfg.Now(), "deadLetters": out})
}

func (s *Server) deadLetter(w http.ResponseWriter, r *http.Request) {
	_, bad := parseParams(r.URL.RawQuery)
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if bad == nil && (err != nil || id < 1) {
		bad = &badQuery{key: "err.letter"}
	}
	switch {
	case bad != nil:
		s.fail(w, r, http.StatusBadRequest, bad)
		return
	case s.cfg.Letters == nil:
		s.fail(w, r, http.StatusServiceUnavailable, &badQuery{key: "err.nostore"})
		return
	}
	l, ok, err := s.cfg.Letters.DeadLetter(r.Context(), id)
	switch {
	case err != nil:
		s.cfg.Log.Error("query dead letter", "id", id, "err", err)
		s.fail(w, r, http.StatusServiceUnavailable, &badQuery{key: "err.store"})
	case !ok:
		s.fail(w, r, http.StatusNotFound, &badQuery{key: "err.noletter"})
	default:
		out := letterOf(l)
		if text, err := longan.JSON(l.Payload); err == nil && json.Valid(text) {
			out.Message = text
		}
		s.json(w, http.StatusOK, out)
	}
}

// lettersView is what letters.html shows.
type lettersView struct {
	Version uint64 // counts the changes of the rest
	Rows    []letterRow
	Total   int
	Last    time.Time
}

// letterRow is a dead letter with the name of its center.
type letterRow struct {
	DeadLetter
	Place string
}

// letterBox is the dead letters as the pages last saw them: they all ask one
// memory, and that asks the store now and then.
type letterBox struct {
	mu    sync.Mutex
	asked time.Time
	view  lettersView
}

// letters returns what pages show of dead letters.
func (s *Server) letters(ctx context.Context) lettersView {
	b := &s.box
	b.mu.Lock()
	defer b.mu.Unlock()
	now := s.cfg.Now()
	if s.cfg.Letters == nil || (!b.asked.IsZero() && now.Sub(b.asked) < lettersEvery) {
		return b.view
	}
	b.asked = now
	all, err := s.cfg.Letters.DeadLetters(ctx, "", MaxLimit)
	if err != nil {
		s.cfg.Log.Error("query dead letters", "err", err)
		return b.view // as it was
	}
	view := lettersView{Version: b.view.Version, Total: len(all)}
	tries := 0
	for i, l := range all {
		tries += l.Tries
		if i >= shownLetters {
			continue
		}
		row := letterRow{DeadLetter: l, Place: string(l.Device)}
		if t, ok := longan.LookupTownship(l.Device.Township()); ok {
			row.Place = placeName(t.CountyName, t.Name, string(l.Device))
		}
		view.Rows = append(view.Rows, row)
		if l.ReceivedAt.After(view.Last) {
			view.Last = l.ReceivedAt
		}
	}
	if view.Total != b.view.Total || !view.Last.Equal(b.view.Last) {
		view.Version++
	}
	b.view = view
	return view
}

// Many reports whether there may be more than Total.
func (v lettersView) Many() bool { return v.Total >= MaxLimit }
