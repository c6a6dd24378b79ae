package web

import (
	"strconv"
	"strings"
	"time"

	"github.com/longan-edge/longan"
)

// The events of a stream:
//
//	resync     everything: a Snapshot, or {} for a page, which fetches itself
//	center     a Center as it is now; for a page its device, rev and html
//	alarm      an Alarm, raised or restored
//	alarms     for a page only: the html of its lists of alarms
//	incident   an Incident as it is now
//	incidents  for a page only: the html of its lines on incidents
//	letters    for a page only: the html of its section on dead letters
//	beat       the city's time, the revision, and who was heard since the last beat
const (
	eventResync    = "resync"
	eventCenter    = "center"
	eventAlarm     = "alarm"
	eventAlarms    = "alarms"
	eventIncident  = "incident"
	eventIncidents = "incidents"
	eventLetters   = "letters"
	eventBeat      = "beat"
)

// centerHTML is a center for a page.
type centerHTML struct {
	Device longan.DeviceID `json:"device"`
	Rev    uint64          `json:"rev"`
	HTML   string          `json:"html"`
}

// alarmsHTML is the lists of alarms for a page.
type alarmsHTML struct {
	Rev    uint64 `json:"rev"`
	Open   string `json:"open"`
	Recent string `json:"recent"`
}

// sectionHTML is a section of a page.
type sectionHTML struct {
	Rev  uint64 `json:"rev"`
	HTML string `json:"html"`
}

// beat is the heartbeat of a stream.
type beat struct {
	Time  time.Time                 `json:"time"`
	ID    string                    `json:"id"`
	Build string                    `json:"build"`
	Heard map[longan.DeviceID]int64 `json:"heard"` // ms ago
	// AsOf is since when the points of some of them may have changed, ms; those of
	// the others, since they were heard.
	AsOf map[longan.DeviceID]int64 `json:"asOf,omitempty"`
}

// eventID names a revision, for Last-Event-ID.
func eventID(instance string, rev uint64) string { return instance + "-" + strconv.FormatUint(rev, 10) }

// parseEventID returns the parts of an eventID; what is none names nothing.
func parseEventID(id string) (instance string, rev uint64, ok bool) {
	i := strings.LastIndexByte(id, '-')
	if i < 0 {
		return "", 0, false
	}
	rev, err := strconv.ParseUint(id[i+1:], 10, 64)
	return id[:i], rev, err == nil
}
