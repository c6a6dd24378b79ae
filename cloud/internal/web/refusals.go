package web

import (
	"fmt"
	"net/http"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/cloud/internal/live"
)

// refusalsAnswer is what /api/v1/refusals says.
type refusalsAnswer struct {
	Time     time.Time      `json:"time"`     // the city's
	Refusals []live.Refusal `json:"refusals"` // since the city's start, the latest first
}

func (s *Server) refusals(w http.ResponseWriter, r *http.Request) {
	p, bad := parseParams(r.URL.RawQuery, "device", "limit")
	var limit int
	if bad == nil {
		limit, bad = p.limit(MaxLimit)
	}
	device := longan.DeviceID(p["device"])
	if _, err := longan.ParseDeviceID(string(device)); bad == nil && device != "" && err != nil {
		bad = &badQuery{key: "err.device"}
	}
	if bad != nil {
		s.fail(w, r, http.StatusBadRequest, bad)
		return
	}
	out := []live.Refusal{}
	for _, x := range s.cfg.View.Refusals() {
		if len(out) < limit && (device == "" || x.Device == device) {
			out = append(out, x)
		}
	}
	s.json(w, http.StatusOK, refusalsAnswer{s.cfg.Now(), out})
}

// refusedText says what was refused of a device and why; a clone has a line of
// its own.
func refusedText(l lang, c live.Center) string {
	said := ""
	for _, r := range c.Refusals {
		if r.Reason == longan.RefusedClone {
			continue
		}
		if said != "" {
			said += text(l, "comma")
		}
		said += fmt.Sprintf(text(l, "refused"), r.Count, refusedWhy(l, r.Reason), clockText(r.Last))
	}
	return said
}

// refusedWhy says a reason in the reader's language where it is one of ours.
func refusedWhy(l lang, reason string) string {
	if _, ok := texts["refused."+reason]; ok {
		return text(l, "refused."+reason)
	}
	return reason
}
