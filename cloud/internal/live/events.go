package live

import (
	"encoding/json"
	"time"

	"github.com/longan-edge/longan"
)

// Stored is an event with the time at which the city stored it.
type Stored struct {
	longan.Event
	Received       time.Time
	Corrected      time.Time // when it happened by a better clock of the same boot; zero is none
	CorrectedClock string    // the quality of that clock
}

// ApplyEvents folds events that were committed just now, in order within each
// stream. They may tell of long ago.
func (v *View) ApplyEvents(events []longan.Event) {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := v.cfg.Now()
	for i := range events {
		e := &events[i]
		c := v.center(e.Device, now)
		if c.noteBase(e.Boot, e.Clock, e.Time, e.Mono) {
			v.correctAlarms(c, e.Boot)
		}
		if e.Lane == longan.Alarm && (e.Type == longan.AlarmRaised || e.Type == longan.AlarmRestored) {
			v.applyAlarm(c, &Stored{Event: *e, Received: now})
		}
		if clash := c.clashEvent(e, now); c.applyEvent(e, now) || clash {
			v.changed(c)
		}
		v.alive(c, e, now)
	}
}

// Restore folds events of before the city's start, oldest first: the alarms
// that its store still holds. It touches alarms only, and events that the view
// has seen already do nothing.
func (v *View) Restore(events []Stored) {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := v.cfg.Now()
	for i := range events {
		e := &events[i].Event
		if e.Type == longan.AlarmRaised || e.Type == longan.AlarmRestored {
			v.applyAlarm(v.center(e.Device, now), &events[i])
		}
	}
}

// alive lets an event count as a word of its board. It keeps a center from
// aging and makes a stale one online, but wakes none that is offline or
// unknown: the event may have waited in a broker.
func (v *View) alive(c *center, e *longan.Event, now time.Time) {
	if !c.state.there() || e.Epoch != c.epoch || v.link.down {
		return
	}
	c.heard = now
	if before := c.state; c.become(Online, CauseLive, now) {
		v.moved(c, before, now)
		v.changed(c)
		return
	}
	v.heard(c, ChangeHeard)
}

// applyEvent changes the point or peripheral of an event that is younger than
// what is known of it, and reports whether it did.
func (c *center) applyEvent(e *longan.Event, now time.Time) bool {
	switch e.Type {
	case longan.PeripheralFault, longan.PeripheralRestored:
		return c.applyPeripheral(e)
	}
	state, ok := eventState(e)
	if !ok || e.Point == "" {
		return false
	}
	p := c.points[e.Point]
	switch {
	case p == nil && c.full:
		return false // of a point that the board no longer has
	case p == nil && len(c.points) >= longan.MaxPoints:
		return false // no status could tell of so many
	case p == nil:
		p = &point{}
		p.Kind = eventKind(e)
		c.points[e.Point] = p
	case c.full && (e.Boot == "" || e.Boot != p.boot || e.Mono <= p.mono):
		return false // history, or not comparable: the present stands
	}
	p.State, p.Since, p.boot, p.mono = state, e.Time, e.Boot, e.Mono
	p.Detail = data(e).Cause
	if e.Type == longan.AlarmRaised || e.Type == longan.AlarmRestored {
		p.Detail = "" // the cause is the kind, which is shown anyway
	}
	if state != longan.Unknown {
		p.last = state
		if at, ok := c.happened(e); ok {
			p.readAt = earlier(at, now)
		}
	}
	return true
}

func (c *center) applyPeripheral(e *longan.Event) bool {
	p := c.peripherals[e.Point]
	if p == nil || e.Boot == "" || e.Boot != c.fullBoot || e.Mono <= c.fullMono {
		return false
	}
	ok := e.Type == longan.PeripheralRestored
	if ok == p.OK {
		return false
	}
	p.OK, p.Error = ok, data(e).Error
	for _, pt := range c.points {
		if pt.Peripheral == e.Point && pt.mono < e.Mono {
			pt.State = longan.Unknown // also when restored: until it is read
		}
	}
	return true
}

// eventState returns the state that an event says its point took.
func eventState(e *longan.Event) (state longan.PointState, ok bool) {
	switch e.Type {
	case longan.DoorOpened, longan.AlarmRaised, longan.KioskFault, longan.PointActive:
		return longan.Active, true
	case longan.DoorClosed, longan.AlarmRestored, longan.KioskRestored, longan.PointNormal:
		return longan.Normal, true
	case longan.PointUnknown, longan.PointKnown:
		// The state is in the data: a faulty line is no silent one.
		err := state.UnmarshalText([]byte(data(e).State))
		return state, err == nil
	}
	return longan.Unknown, false
}

// eventKind guesses the kind of a point that no status has told of.
func eventKind(e *longan.Event) string {
	switch e.Type {
	case longan.DoorOpened, longan.DoorClosed:
		return "door"
	case longan.KioskFault, longan.KioskRestored:
		return "kiosk"
	case longan.AlarmRaised, longan.AlarmRestored:
		return data(e).Cause
	}
	return "input"
}

// eventData is what the view reads of an event's data.
type eventData struct {
	Cause string `json:"cause"`
	State string `json:"state"`
	Error string `json:"error"`
}

// data returns what can be read; data of another shape is none.
func data(e *longan.Event) eventData {
	var d eventData
	if len(e.Data) > 0 && json.Unmarshal(e.Data, &d) != nil {
		return eventData{}
	}
	return d
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
