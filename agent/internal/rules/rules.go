// Package rules turns what drivers saw into what happened: readings into
// events. It holds no clock, no lock and no storage; the agent asks for the
// events of a reading, makes them durable, and only then tells the rules that
// they are so. An event that could not be stored is thus asked for again with
// the next reading.
package rules

import (
	"encoding/json"

	"github.com/longan-edge/longan"
	firmwareconfig "github.com/longan-edge/longan/firmware-config"
)

// Change is an event that follows from a reading, before it has a time.
type Change struct {
	Lane  longan.Lane
	Type  string
	Point string
	Data  json.RawMessage
	// Key and State are what a restart must find again; Key "" is nothing.
	Key   string
	State longan.PointState
}

// Point is the rule of one point. It remembers the last definite state that
// was reported, across restarts, and whether the city was told since that
// nobody knows the point's state any more.
type Point struct {
	name     string
	kind     firmwareconfig.Kind
	signal   string
	reported longan.PointState // Unknown, Normal or Active; Unknown is "never reported"
	unknowns int               // readings since the last definite one
	doubt    bool              // point.unknown was the last event
}

// NewPoint returns the rule of a point whose last reported state was last.
func NewPoint(p firmwareconfig.Point, last longan.PointState) *Point {
	return &Point{name: p.Name, kind: p.Kind, signal: p.Signal, reported: last}
}

// Changes returns what a reading of state makes happen, given that everything
// told by Done happened before; up is whether the point's peripheral is.
//
// A point that nobody can read is an event of its own only while its peripheral
// is up, and from the second such reading on: a failing driver tells every point
// unknown before it gives up, and then one peripheral.fault says it all.
func (p *Point) Changes(state longan.PointState, up bool) []Change {
	switch {
	case !definite(state):
		if !p.doubtful(up) || p.doubt {
			return nil
		}
		return []Change{{Lane: longan.State, Type: longan.PointUnknown, Point: p.name, Data: data("state", state.String())}}
	case state == p.reported || (p.reported == longan.Unknown && state == longan.Normal):
		if !p.doubt {
			return nil
		}
		return []Change{{Lane: longan.State, Type: longan.PointKnown, Point: p.name, Data: data("state", state.String())}}
	}
	lane, typ := p.event(state)
	c := Change{Lane: lane, Type: typ, Point: p.name, Key: p.name, State: state}
	switch {
	case p.kind.Alarm():
		c.Data = data("cause", string(p.kind))
	case p.kind == firmwareconfig.KindKiosk:
		c.Data = data("cause", p.signal)
	}
	return []Change{c}
}

// Done tells that the changes of this reading are durable.
func (p *Point) Done(state longan.PointState, up bool) {
	if definite(state) {
		p.reported, p.doubt, p.unknowns = state, false, 0
		return
	}
	p.doubt = p.doubt || p.doubtful(up)
	p.unknowns++
}

// doubtful reports whether another unknown reading is worth an event. Where
// nothing was ever known nobody believes otherwise.
func (p *Point) doubtful(up bool) bool {
	return p.reported != longan.Unknown && up && p.unknowns > 0
}

func definite(s longan.PointState) bool { return s == longan.Normal || s == longan.Active }

// event returns the lane and type of a definite change.
func (p *Point) event(state longan.PointState) (longan.Lane, string) {
	pick := func(active, normal string) string {
		if state == longan.Active {
			return active
		}
		return normal
	}
	switch {
	case p.kind.Alarm():
		return longan.Alarm, pick(longan.AlarmRaised, longan.AlarmRestored)
	case p.kind == firmwareconfig.KindDoor:
		return longan.State, pick(longan.DoorOpened, longan.DoorClosed)
	case p.kind == firmwareconfig.KindKiosk:
		return longan.State, pick(longan.KioskFault, longan.KioskRestored)
	}
	return longan.State, pick(longan.PointActive, longan.PointNormal)
}

// Peripheral is the rule of one peripheral's health.
type Peripheral struct {
	name  string
	fault bool
}

// NewPeripheral returns the rule of a peripheral whose last reported state was
// last; Fault is down.
func NewPeripheral(name string, last longan.PointState) *Peripheral {
	return &Peripheral{name: name, fault: last == longan.Fault}
}

// PeripheralKey is the key under which a peripheral's state outlives a restart.
// Points have no slash in their names.
func PeripheralKey(name string) string { return "peripheral/" + name }

// Changes returns what news of the peripheral's health makes happen. A
// peripheral that was never seen and works makes no event.
func (p *Peripheral) Changes(ok bool, why string) []Change {
	if ok != p.fault {
		return nil
	}
	c := Change{Lane: longan.State, Type: longan.PeripheralRestored, Point: p.name, Key: PeripheralKey(p.name), State: longan.Normal}
	if !ok {
		c.Type, c.State, c.Data = longan.PeripheralFault, longan.Fault, data("error", why)
	}
	return []Change{c}
}

// Done tells that the changes are durable.
func (p *Peripheral) Done(ok bool) { p.fault = !ok }

// data returns a JSON object with one text.
func data(key, text string) json.RawMessage {
	if len(text) > longan.MaxLabel {
		text = text[:longan.MaxLabel]
	}
	b, err := json.Marshal(map[string]string{key: text})
	if err != nil { // a map of strings has no error
		return nil
	}
	return b
}
