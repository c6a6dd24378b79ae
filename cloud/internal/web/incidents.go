package web

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/cloud/internal/live"
)

// What the first page lists of incidents: the open ones, and a few that ended
// not long ago.
const (
	shownEnded = 2
	endedFor   = 30 * time.Minute
)

// incidentsView is what incidents.html shows.
type incidentsView struct {
	Rev  uint64
	Rows []incidentRow
	Open int
}

// incidentRow is one incident as an operator reads it.
type incidentRow struct {
	live.Incident
	Places []incidentPlace
}

// incidentPlace names a center of an incident.
type incidentPlace struct {
	Device longan.DeviceID
	Name   string
	State  live.State
}

// incidentsOf picks what the page shows of a snapshot's incidents.
func incidentsOf(s live.Snapshot) incidentsView {
	v := incidentsView{Rev: s.Rev}
	var centers map[longan.DeviceID]*live.Center
	ended := 0
	for _, in := range s.Incidents {
		if in.Ended.IsZero() {
			v.Open++
		} else if ended++; ended > shownEnded || s.Time.Sub(in.Ended) > endedFor {
			break
		}
		if centers == nil {
			centers = make(map[longan.DeviceID]*live.Center, len(s.Centers))
			for i := range s.Centers {
				centers[s.Centers[i].Device] = &s.Centers[i]
			}
		}
		row := incidentRow{Incident: in}
		for _, d := range in.Centers {
			if c := centers[d]; c != nil {
				row.Places = append(row.Places, incidentPlace{d, placeName(c.County, c.Township, c.Name), c.State})
			}
		}
		v.Rows = append(v.Rows, row)
	}
	return v
}

// incidentText says what happened in one sentence.
func incidentText(l lang, in live.Incident) string {
	key := "incident." + string(in.Kind)
	switch {
	case in.Kind == live.ManyLost:
		return fmt.Sprintf(text(l, key), in.Count, countiesText(l, in.Counties))
	case in.Count == 0:
		return text(l, key+".none")
	case !in.LinkBack.IsZero():
		key += ".back"
	}
	return fmt.Sprintf(text(l, key), in.Count)
}

// countiesText names the counties with how many of their centers are concerned.
func countiesText(l lang, counties []live.IncidentCounty) string {
	var parts []string
	for _, c := range counties {
		name := c.Name
		if name == "" {
			name = c.Code
		}
		parts = append(parts, fmt.Sprintf("%s %d/%d", name, c.Count, c.Of))
	}
	return strings.Join(parts, text(l, "comma.list"))
}

// incidentsAnswer is what /api/v1/incidents says.
type incidentsAnswer struct {
	Time      time.Time       `json:"time"`      // the city's
	Incidents []live.Incident `json:"incidents"` // open ones first, then the newest first
}

func (s *Server) incidents(w http.ResponseWriter, r *http.Request) {
	if _, bad := parseParams(r.URL.RawQuery); bad != nil {
		s.fail(w, r, http.StatusBadRequest, bad)
		return
	}
	s.json(w, http.StatusOK, incidentsAnswer{s.cfg.Now(), s.cfg.View.Incidents()})
}
