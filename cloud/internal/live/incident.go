package live

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/longan-edge/longan"
)

// When the loss of many centers is one incident: at least lossLeast of them
// within lossWindow, and that is a fifth of the city or half of a county.
const (
	lossWindow  = 30 * time.Second
	lossLeast   = 5
	lossCity    = 5
	lossCounty  = 2
	joinWithin  = time.Minute      // after its last center, an incident takes no more
	giveUpAfter = 10 * time.Minute // when no more return, and half have, it is over
)

// maxIncidents bounds the incidents that are remembered.
const maxIncidents = 50

// IncidentKind is what happened to many centers at once.
type IncidentKind string

// The kinds of incident.
const (
	CityLink IncidentKind = "city-link" // the city lost its own broker, and can't know
	ManyLost IncidentKind = "many-lost" // many centers went within half a minute: power, or a carrier
)

// Incident is what happened to many centers at once, told once.
type Incident struct {
	ID       string            `json:"id"`
	Kind     IncidentKind      `json:"kind"`
	Since    time.Time         `json:"since"`
	Ended    time.Time         `json:"ended,omitzero"`
	LinkBack time.Time         `json:"linkBack,omitzero"` // of CityLink: the link is up again since
	Count    int               `json:"count"`             // of centers
	Back     int               `json:"back"`              // of those, online or stale again; at Ended, as of then
	Counties []IncidentCounty  `json:"counties"`          // most centers first
	Centers  []longan.DeviceID `json:"centers"`           // in order
	Rev      uint64            `json:"rev"`
}

// IncidentCounty is the share of one county in an Incident.
type IncidentCounty struct {
	Code  string `json:"code"`
	Name  string `json:"name"`
	Count int    `json:"count"`
	Of    int    `json:"of"` // centers of the county that the city knows
}

// incidentBook holds the incidents. The view's mutex guards it.
type incidentBook struct {
	all    []*incident // oldest first
	lost   []loss      // of the last lossWindow, oldest first, each center once
	n      uint64      // incidents ever
	news   bool        // a center changed its state since judged
	judged time.Time
	gone   uint64 // the highest revision of one that was forgotten
}

// loss is a center that was there and went offline.
type loss struct {
	c  *center
	at time.Time
}

type incident struct {
	id       string
	kind     IncidentKind
	since    time.Time
	ended    time.Time
	linkBack time.Time
	grown    time.Time // when the last center was added
	moved    time.Time // when back changed
	wide     bool      // of the whole city
	centers  map[*center]bool
	back     int
	rev      uint64
}

// judge sees whether losses are an incident, and whether incidents are over.
// v.mu is held.
func (v *View) judge(now time.Time) {
	b := &v.incidents
	if !b.news && now.Sub(b.judged) < v.cfg.Tick {
		return
	}
	if b.news && len(b.lost) > 0 {
		b.lost = slices.DeleteFunc(b.lost, func(l loss) bool {
			return now.Sub(l.at) > lossWindow || l.c.state != Offline
		})
		v.judgeLosses(now)
	}
	b.news, b.judged = false, now
	for _, in := range b.all {
		if in.ended.IsZero() {
			v.follow(in, now)
		}
	}
}

// note takes a change of state that may concern incidents.
func (b *incidentBook) note(c *center, before State, now time.Time) {
	b.news = true
	if before.there() && c.state == Offline {
		b.lost = slices.DeleteFunc(b.lost, func(l loss) bool { return l.c == c })
		b.lost = append(b.lost, loss{c, now})
	}
}

// judgeLosses opens an incident for the losses of the last lossWindow, or adds
// them to the one they belong to.
func (v *View) judgeLosses(now time.Time) {
	total, inCounty, lostIn := len(v.incidents.lost), map[string]int{}, map[string]int{}
	for _, c := range v.centers {
		if c.state.there() {
			inCounty[c.device.County()]++
			total++
		}
	}
	for _, l := range v.incidents.lost {
		inCounty[l.c.device.County()]++
		lostIn[l.c.device.County()]++
	}
	wide := isMany(len(v.incidents.lost), total, lossCity)
	in := v.incidents.joinable(now)
	var hit []*center
	for _, l := range v.incidents.lost {
		county := l.c.device.County()
		joins := in != nil && (in.wide || in.has(county))
		if wide || joins || isMany(lostIn[county], inCounty[county], lossCounty) {
			hit = append(hit, l.c)
		}
	}
	if len(hit) == 0 {
		return
	}
	if in == nil {
		in = v.open(ManyLost, hit[0].since)
	}
	in.wide = in.wide || wide
	v.add(in, hit, now)
}

// isMany reports whether n of total are an incident, when one in part is.
func isMany(n, total, part int) bool { return n >= lossLeast && n*part >= total }

// joinable returns the open incident that losses of now belong to, or nil.
func (b *incidentBook) joinable(now time.Time) *incident {
	for _, in := range slices.Backward(b.all) {
		if in.kind == ManyLost && in.ended.IsZero() && now.Sub(in.grown) <= joinWithin {
			return in
		}
	}
	return nil
}

func (in *incident) has(county string) bool {
	for c := range in.centers {
		if c.device.County() == county {
			return true
		}
	}
	return false
}

// openCityLink opens the incident of the city's own link, which hit those
// centers. One of the loss of many centers, all of which are among them, was this
// already.
func (v *View) openCityLink(hit []*center, now time.Time) {
	var in *incident
	for _, old := range v.incidents.all {
		if old.ended.IsZero() && (old.kind == CityLink || old.within(hit)) {
			in = old
		}
	}
	if in == nil {
		in = v.open(CityLink, v.link.since)
	}
	in.kind, in.linkBack = CityLink, time.Time{}
	v.add(in, hit, now)
	v.touch(in)
}

// within reports whether the incident has no other centers than these.
func (in *incident) within(centers []*center) bool {
	n := 0
	for _, c := range centers {
		if in.centers[c] {
			n++
		}
	}
	return n == len(in.centers)
}

func (v *View) open(kind IncidentKind, since time.Time) *incident {
	b := &v.incidents
	b.n++
	in := &incident{kind: kind, since: since, centers: map[*center]bool{},
		id: fmt.Sprintf("%s-%d", since.UTC().Format("20060102T150405.000Z"), b.n)}
	b.all = append(b.all, in)
	if len(b.all) > maxIncidents {
		b.gone = max(b.gone, b.all[0].rev)
		b.all = slices.Delete(b.all, 0, 1)
	}
	v.cfg.Log.Warn("incident: many centers at once", "kind", kind, "since", since)
	return in
}

func (v *View) add(in *incident, hit []*center, now time.Time) {
	n := len(in.centers)
	for _, c := range hit {
		in.centers[c] = true
	}
	if len(in.centers) != n {
		in.grown, in.moved = now, now
		v.touch(in)
	}
}

// touch gives the incident a new revision and tells the subscribers.
func (v *View) touch(in *incident) {
	v.rev++
	in.rev = v.rev
	for s := range v.subs {
		s.incident(v.rev)
	}
}

// follow counts who is back, and ends an incident of which most are.
func (v *View) follow(in *incident, now time.Time) {
	back := 0
	for c := range in.centers {
		if c.state == Online || (c.state == Stale && c.cause != CauseCityLink) {
			back++
		}
	}
	changed := back != in.back
	if changed {
		in.back, in.moved = back, now
	}
	most := 5*back >= 4*len(in.centers)
	over := most || (2*back > len(in.centers) && now.Sub(in.moved) >= giveUpAfter)
	if in.kind == CityLink {
		if at := v.link.since; !v.link.down && !in.linkBack.Equal(at) {
			in.linkBack, changed = at, true
		} else if v.link.down && !in.linkBack.IsZero() {
			in.linkBack, changed = time.Time{}, true
		}
		up := now.Sub(in.linkBack)
		over = !v.link.down && up >= linkStable && (most || up >= returnWithin)
	}
	if over {
		in.ended, changed = now, true
		v.cfg.Log.Info("incident is over", "kind", in.kind, "since", in.since, "centers", len(in.centers), "back", back)
	}
	if changed {
		v.touch(in)
	}
}

// exportIncident copies an incident. v.mu is held.
func (v *View) exportIncident(in *incident) Incident {
	out := Incident{ID: in.id, Kind: in.kind, Since: in.since, Ended: in.ended, LinkBack: in.linkBack,
		Count: len(in.centers), Back: in.back, Counties: []IncidentCounty{}, Centers: []longan.DeviceID{}, Rev: in.rev}
	counties := map[string]*IncidentCounty{}
	for c := range in.centers {
		out.Centers = append(out.Centers, c.device)
		code := c.device.County()
		if counties[code] == nil {
			counties[code] = &IncidentCounty{Code: code, Name: c.place.CountyName}
		}
		counties[code].Count++
	}
	for _, c := range v.centers {
		if county := counties[c.device.County()]; county != nil {
			county.Of++
		}
	}
	for _, county := range counties {
		out.Counties = append(out.Counties, *county)
	}
	slices.Sort(out.Centers)
	slices.SortFunc(out.Counties, func(a, b IncidentCounty) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Code, b.Code))
	})
	return out
}

// exportIncidents returns those with a revision above rev, open ones first, then
// the newest first. v.mu is held.
func (v *View) exportIncidents(rev uint64) []Incident {
	out := []Incident{}
	for _, open := range []bool{true, false} {
		for _, in := range slices.Backward(v.incidents.all) {
			if in.ended.IsZero() == open && in.rev > rev {
				out = append(out, v.exportIncident(in))
			}
		}
	}
	return out
}

// Incidents returns the open incidents, then those that are over, the newest
// first; at most 50.
func (v *View) Incidents() []Incident {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.age(v.cfg.Now())
	return v.exportIncidents(0)
}
