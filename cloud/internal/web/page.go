package web

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"

	"github.com/longan-edge/longan/cloud/internal/live"
)

// What the first page lists at most; the API has the rest.
const (
	shownOpen   = 60
	shownRecent = 40
)

// pageView is what page.html shows.
type pageView struct {
	Lang, Other lang
	Build       string
	ID          string // of the revision, for the stream to go on from
	Snap        live.Snapshot
	States      []stateCount
	Counties    []county
	Alarms      alarmsView
	Incidents   incidentsView
	Letters     lettersView
	Time        int64 // of the city, ms since 1970
}

type stateCount struct {
	State live.State
	N     int
}

// county groups the centers of one county.
type county struct {
	Code, Name string
	Centers    []live.Center
}

// alarmsView is what alarms.html shows.
type alarmsView struct {
	ID        string
	Rev       uint64
	Open      []live.Alarm
	OpenTotal int
	Recent    []live.Alarm
	Now       int64 // ms since 1970, to tell ages
}

// AgeOf returns how long ago the city stored the alarm, in ms.
func (v alarmsView) AgeOf(a live.Alarm) int64 { return max(0, v.Now-a.Received.UnixMilli()) }

func (s *Server) page(w http.ResponseWriter, r *http.Request) {
	l := langOf(r)
	snap := s.cfg.View.Snapshot()
	v := pageView{Lang: l, Other: zh, Build: s.build, ID: eventID(snap.Instance, snap.Rev), Snap: snap,
		Counties: byCounty(snap.Centers), Alarms: alarmsOf(snap), Incidents: incidentsOf(snap), Letters: s.letters(r.Context()), Time: snap.Time.UnixMilli()}
	if l == zh {
		v.Other = en
	}
	for _, state := range live.States {
		v.States = append(v.States, stateCount{state, snap.Counts[state]})
	}
	var body bytes.Buffer
	if err := s.pages[l].ExecuteTemplate(&body, "page.html", v); err != nil {
		s.cfg.Log.Error("render page", "err", err)
		http.Error(w, "内部错误 internal error", http.StatusInternalServerError)
		return
	}
	rememberLang(w, r)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Language", string(l))
	w.Header().Set("Vary", "Accept-Language, Cookie")
	s.write(w, body.Bytes())
}

// render returns one of the templates that the page's script puts in.
func (s *Server) render(l lang, name string, v any) (string, error) {
	var out bytes.Buffer
	if err := s.pages[l].ExecuteTemplate(&out, name, v); err != nil {
		return "", fmt.Errorf("render %s: %w", name, err)
	}
	return out.String(), nil
}

// alarmsOf lists the open alarms with the most severe first, else the newest.
func alarmsOf(s live.Snapshot) alarmsView {
	slices.SortStableFunc(s.Open, func(a, b live.Alarm) int { return severity(a.Cause) - severity(b.Cause) })
	return alarmsView{ID: eventID(s.Instance, s.Rev), Rev: s.Rev, OpenTotal: len(s.Open), Now: s.Time.UnixMilli(),
		Open: s.Open[:min(len(s.Open), shownOpen)], Recent: s.Recent[:min(len(s.Recent), shownRecent)]}
}

// More is the number of open alarms that are not listed.
func (v alarmsView) More() int { return v.OpenTotal - len(v.Open) }

// byCounty groups centers, which are in the order of their devices.
func byCounty(centers []live.Center) []county {
	var out []county
	for _, c := range centers {
		i := slices.IndexFunc(out, func(g county) bool { return g.Code == c.CountyCode })
		if i < 0 {
			out = append(out, county{Code: c.CountyCode, Name: c.County})
			i = len(out) - 1
		}
		if out[i].Name == "" {
			out[i].Name = c.County
		}
		out[i].Centers = append(out[i].Centers, c)
	}
	return out
}
