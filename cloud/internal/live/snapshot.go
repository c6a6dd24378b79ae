package live

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/longan-edge/longan"
)

// Snapshot is the whole view at one moment.
type Snapshot struct {
	Time      time.Time     `json:"time"`     // the city's
	Instance  string        `json:"instance"` // of the view; revisions of another mean nothing
	Rev       uint64        `json:"rev"`
	Counts    map[State]int `json:"counts"`
	Centers   []Center      `json:"centers"`   // by device
	Open      []Alarm       `json:"open"`      // alarms without restored, newest first by Received
	Recent    []Alarm       `json:"recent"`    // the last 200 raised, open or not, newest first
	Incidents []Incident    `json:"incidents"` // open ones first, the newest first
}

// Center is what one center looks like. Ages are in milliseconds as of the
// moment of the copy; -1 is never, or not known.
type Center struct {
	Device     longan.DeviceID        `json:"device"`
	Name       string                 `json:"name"` // by its site file, else by its township
	Township   string                 `json:"township"`
	County     string                 `json:"county"`
	CountyCode string                 `json:"countyCode"`
	State      State                  `json:"state"`
	Cause      Cause                  `json:"cause"`
	Since      time.Time              `json:"since"`              // at the city
	Heard      time.Time              `json:"heard,omitzero"`     // the last live word, at the city
	HeardAge   int64                  `json:"heardAge"`           // ms
	AsOf       time.Time              `json:"asOf,omitzero"`      // up to then the board vouches for the states of its points
	AsOfAge    int64                  `json:"asOfAge"`            // ms
	BoardTime  time.Time              `json:"boardTime,omitzero"` // the board's clock at Heard; may be wrong
	Clock      string                 `json:"clock,omitempty"`    // quality of BoardTime
	Version    string                 `json:"version,omitempty"`  // of the agent
	Epoch      string                 `json:"epoch,omitempty"`
	Points     []Point                `json:"points"`
	Periphs    []Peripheral           `json:"peripherals"`
	Backlog    map[longan.Lane]uint64 `json:"backlog,omitempty"` // events that the board still has to send
	Streams    []StreamState          `json:"streams"`
	OpenAlarms int                    `json:"openAlarms"`
	Conflict   *Conflict              `json:"conflict,omitempty"`       // two boards use its id
	Collisions *EventConflicts        `json:"eventConflicts,omitempty"` // events whose numbers other events have
	Refusals   []Refusal              `json:"refusals,omitempty"`       // of the last hour, the latest first
	Rev        uint64                 `json:"rev"`                      // of the last material change
}

// Point is what one point looks like.
type Point struct {
	Name       string            `json:"name"`
	Label      string            `json:"label"`
	Kind       string            `json:"kind"`
	Peripheral string            `json:"peripheral,omitempty"`
	State      longan.PointState `json:"state"`          // unknown when its peripheral or the center is not there, or says nothing
	Last       longan.PointState `json:"last"`           // the last state that was known
	Since      time.Time         `json:"since,omitzero"` // of the state, at the board
	Age        int64             `json:"age"`            // of the last good reading that the city was told of, ms
	AsOf       time.Time         `json:"asOf,omitzero"`  // of that reading, at the city
	Detail     string            `json:"detail,omitempty"`
}

// Peripheral is how one peripheral fares.
type Peripheral struct {
	Name   string `json:"name"`
	Label  string `json:"label"`
	Driver string `json:"driver"`
	OK     bool   `json:"ok"`
	Age    int64  `json:"age"` // of the last good reading that the city was told of, ms
	Error  string `json:"error,omitempty"`
}

// What ended an alarm.
const (
	ByEvent      = "event"      // its alarm.restored
	ByStatus     = "status"     // the board lost its spool, and the point is at rest
	BySuperseded = "superseded" // it was raised again without a restored between
)

// Alarm is one event of an alarm, as the pages and streams show it: the raise
// in a Snapshot, either event in a Change.
type Alarm struct {
	Device   longan.DeviceID `json:"device"`
	Center   string          `json:"center"`
	Township string          `json:"township"`
	County   string          `json:"county"`
	Epoch    string          `json:"epoch"`
	Lane     longan.Lane     `json:"lane"`
	Seq      uint64          `json:"seq"`
	Type     string          `json:"type"`
	Point    string          `json:"point"`
	Label    string          `json:"label"` // of the point
	Cause    string          `json:"cause"`
	Time     time.Time       `json:"time,omitzero"` // at the board
	Clock    string          `json:"clock,omitempty"`
	// When it happened by a better clock of the same boot, known later, and that
	// clock's quality; Time stays as the board told it.
	Corrected      time.Time `json:"corrected,omitzero"`
	CorrectedClock string    `json:"correctedClock,omitempty"`
	Received       time.Time `json:"received"` // when the city had stored it
	Late           bool      `json:"late"`     // older than 60 s when stored (补传)
	Open           bool      `json:"open"`
	Raised         *Moment   `json:"raised,omitempty"`   // in an alarm.restored: its raise
	Restored       *Moment   `json:"restored,omitempty"` // in an alarm.raised that is not open
	By             string    `json:"by,omitempty"`       // what ended it
	Rev            uint64    `json:"rev"`
}

// Moment names the other event of an alarm.
type Moment struct {
	Seq      uint64    `json:"seq"`
	Time     time.Time `json:"time,omitzero"` // at the board
	Received time.Time `json:"received"`
}

// Snapshot returns the view as of now.
func (v *View) Snapshot() Snapshot {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := v.cfg.Now()
	v.age(now)
	s := Snapshot{Time: now, Instance: v.cfg.Instance, Rev: v.rev, Counts: map[State]int{},
		Centers: []Center{}, Open: []Alarm{}, Recent: []Alarm{}, Incidents: v.exportIncidents(0)}
	for _, c := range v.centers {
		s.Centers = append(s.Centers, v.export(c, now))
		s.Counts[c.state]++
	}
	slices.SortFunc(s.Centers, func(a, b Center) int { return strings.Compare(string(a.Device), string(b.Device)) })
	for _, a := range v.alarms.open {
		s.Open = append(s.Open, a.export(v.centers[a.key.device], &a.raised))
	}
	for _, a := range v.alarms.recent {
		s.Recent = append(s.Recent, a.export(v.centers[a.key.device], &a.raised))
	}
	slices.SortFunc(s.Open, newestFirst)
	slices.SortFunc(s.Recent, newestFirst)
	return s
}

func newestFirst(a, b Alarm) int {
	return cmp.Or(b.Received.Compare(a.Received), cmp.Compare(b.Rev, a.Rev))
}

// Center returns what the center of that device looks like now.
func (v *View) Center(d longan.DeviceID) (Center, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	c := v.centers[d]
	if c == nil {
		return Center{}, false
	}
	now := v.cfg.Now()
	v.ageCenter(c, now, v.patience(now)) // the others age when they are asked for, or by Run
	return v.export(c, now), true
}

// Rev returns the name of the view and its revision now.
func (v *View) Rev() (instance string, rev uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.cfg.Instance, v.rev
}

// export copies a center. v.mu is held.
func (v *View) export(c *center, now time.Time) Center {
	out := Center{Device: c.device, Name: c.title(), Township: c.place.Name, County: c.place.CountyName,
		CountyCode: c.device.County(), State: c.state, Cause: c.cause, Since: c.since, Heard: c.heard,
		HeardAge: ms(c.heard, now), BoardTime: c.board, Clock: c.clock, Version: c.version, Epoch: c.epoch,
		Points: []Point{}, Periphs: []Peripheral{}, Backlog: maps.Clone(c.backlog), Streams: c.exportStreams(),
		OpenAlarms: v.alarms.count[c.device], Rev: c.rev, AsOf: c.asOf, AsOfAge: -1}
	out.Conflict, out.Refusals = c.exportConflict(), v.refusals.refusalsOf(c.device, now)
	if c.eventConflicts.Count > 0 {
		collisions := c.eventConflicts
		out.Collisions = &collisions
	}
	if c.unsettled { // nobody knows how old the retained status is; its own clock may
		out.AsOf = c.writtenAt
	} else {
		out.AsOfAge = ms(c.asOf, now)
	}
	for name, p := range c.points {
		out.Points = append(out.Points, c.exportPoint(name, p, now))
	}
	slices.SortFunc(out.Points, func(a, b Point) int { return strings.Compare(a.Name, b.Name) })
	for name, p := range c.peripherals {
		q := Peripheral{Name: name, Label: cmp.Or(p.Label, name), Driver: p.Driver, OK: p.OK, Error: p.Error, Age: -1}
		if !c.unsettled {
			q.Age = ms(p.readAt, now)
		}
		out.Periphs = append(out.Periphs, q)
	}
	slices.SortFunc(out.Periphs, func(a, b Peripheral) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func (c *center) title() string { return cmp.Or(c.name, c.place.Name, string(c.device)) }

func (c *center) peripheralOK(name string) bool {
	p := c.peripherals[name]
	return p == nil || p.OK
}

func (c *center) exportPoint(name string, p *point, now time.Time) Point {
	out := Point{Name: name, Label: cmp.Or(p.Label, name), Kind: p.Kind, Peripheral: p.Peripheral,
		State: p.State, Last: p.last, Since: p.Since, Age: -1, Detail: p.Detail}
	// Signs of life of a session that has not told of its points say nothing of
	// those of another.
	strange := c.live && c.fullSession != c.session
	if !c.state.there() || !c.peripheralOK(p.Peripheral) || p.silent || strange {
		out.State = longan.Unknown
	}
	if !c.unsettled { // else nobody knows how old the retained status is
		out.Age = ms(p.readAt, now)
		out.AsOf = p.readAt
	} else if !c.writtenAt.IsZero() && p.Age >= 0 {
		out.AsOf = c.writtenAt.Add(-p.Age)
	}
	return out
}

// ms returns the milliseconds from t to now, or -1 for no time at all.
func ms(t, now time.Time) int64 {
	if t.IsZero() {
		return -1
	}
	return max(0, now.Sub(t).Milliseconds())
}

// export returns the alarm as its event n tells it.
func (a *alarm) export(c *center, n *notice) Alarm {
	out := Alarm{Device: a.key.device, Center: c.title(), Township: c.place.Name, County: c.place.CountyName,
		Epoch: n.key.epoch, Lane: n.key.lane, Seq: n.key.seq, Type: n.typ, Point: a.key.point, Cause: a.key.cause,
		Time: n.time, Clock: n.clock, Corrected: n.corrected, CorrectedClock: n.correctedClock, Received: n.received, Late: n.late, Open: a.restored == nil, By: a.by, Rev: n.rev}
	if p := c.points[a.key.point]; p != nil && p.Label != "" {
		a.label = p.Label
	}
	out.Label = cmp.Or(a.label, a.key.point)
	switch {
	case n.typ == longan.AlarmRestored:
		out.Raised = &Moment{a.raised.key.seq, a.raised.time, a.raised.received}
	case a.restored != nil:
		out.Restored = &Moment{a.restored.key.seq, a.restored.time, a.restored.received}
	}
	return out
}
