package longan

import (
	"encoding/json"
	"slices"
	"time"
)

// Event types of this version. A receiver carries and stores types it does not
// know as they are.
const (
	DoorOpened         = "door.opened"         // state lane
	DoorClosed         = "door.closed"         // state lane
	AlarmRaised        = "alarm.raised"        // alarm lane; data.cause is the kind of point
	AlarmRestored      = "alarm.restored"      // alarm lane
	KioskFault         = "kiosk.fault"         // state lane; data.cause is what is wrong
	KioskRestored      = "kiosk.restored"      // state lane
	PointActive        = "point.active"        // state lane; a point that is neither door nor alarm nor kiosk
	PointNormal        = "point.normal"        // state lane
	PointUnknown       = "point.unknown"       // state lane; nobody knows what the point is now
	PeripheralFault    = "peripheral.fault"    // state lane; point is the peripheral, data.error says why
	PeripheralRestored = "peripheral.restored" // state lane
	AgentStarted       = "agent.started"       // state lane; data.version
)

// Clock qualities: where the wall time of an event came from, worst first.
const (
	ClockFloor = "floor" // a lower bound: build time or the last time known
	ClockRTC   = "rtc"   // a battery clock or a clock that was set once
	ClockCity  = "city"  // the city's time in an ack
	ClockNTP   = "ntp"   // synchronised when the event happened
)

// Event is one thing that happened at a center, once and for ever.
//
// Device, Epoch and Lane name its stream; they stand in the head of a [Batch]
// and not in the event's own JSON.
type Event struct {
	Device DeviceID
	Epoch  string
	Lane   Lane

	Seq   uint64          // 1, 2, 3 … within the stream
	Type  string          // "door.opened": two or more names joined by dots
	Point string          // the point, or the peripheral of a peripheral.*; may be ""
	Time  time.Time       // wall time at the board, UTC, milliseconds; zero when unknown
	Clock string          // quality of Time, one of the Clock constants
	Boot  string          // random id of the board's running since power-on
	Mono  time.Duration   // since that boot, milliseconds; orders events when Time is a guess
	Data  json.RawMessage // a JSON object, at most MaxData bytes, or nil
	Extra Extra           // fields of a newer contract
}

// Validate returns an error that wraps ErrMalformed or ErrTooLarge and names
// the field, or nil. It does not look at Device, Epoch and Lane.
func (e *Event) Validate() error {
	if e.Seq == 0 {
		return malformed("seq: want 1 or more")
	}
	if !validType(e.Type) {
		return malformed("type %q: want names of a-z, 0-9 and - joined by dots", clip(e.Type))
	}
	if err := checkName("point", e.Point, true); err != nil {
		return err
	}
	if err := checkName("boot", e.Boot, true); err != nil {
		return err
	}
	if err := checkName("clock", e.Clock, true); err != nil {
		return err
	}
	if !e.Time.IsZero() && (e.Time.Year() < 1970 || e.Time.Year() > 9999) {
		return malformed("time %v: want 1970 to 9999", e.Time)
	}
	if e.Mono < 0 {
		return malformed("mono %v: is negative", e.Mono)
	}
	if len(e.Data) > MaxData {
		return tooLarge("data", len(e.Data), MaxData)
	}
	if len(e.Data) > 0 && (e.Data[0] != '{' || !json.Valid(e.Data)) {
		return malformed("data: want a JSON object")
	}
	return nil
}

func validType(s string) bool {
	if s == "" || len(s) > MaxName {
		return false
	}
	dots, start := 0, 0
	for i := 0; i <= len(s); i++ {
		if i == len(s) || s[i] == '.' {
			if !ValidName(s[start:i]) {
				return false
			}
			start = i + 1
			if i < len(s) {
				dots++
			}
		}
	}
	return dots > 0
}

// AppendJSON appends the event's JSON to dst. It does not validate.
func (e *Event) AppendJSON(dst []byte) []byte {
	o := newObject(dst)
	o.uint("seq", e.Seq)
	o.str("type", e.Type)
	o.str("point", e.Point)
	o.time("time", e.Time)
	o.str("clock", e.Clock)
	o.str("boot", e.Boot)
	o.uint("mono", uint64(max(0, e.Mono.Milliseconds())))
	o.raw("data", e.Data)
	return o.end(e.Extra)
}

// ParseEvent returns the event in data, valid by Validate, without its stream.
func ParseEvent(data []byte) (Event, error) {
	if len(data) > MaxEvent {
		return Event{}, tooLarge("event", len(data), MaxEvent)
	}
	if !json.Valid(data) {
		return Event{}, malformed("event: not JSON")
	}
	return parseEvent(data)
}

// parseEvent is ParseEvent for data that has passed json.Valid.
func parseEvent(data []byte) (Event, error) {
	var e Event
	if len(data) > MaxEvent {
		return e, tooLarge("event", len(data), MaxEvent)
	}
	err := eachField(data, func(key string, val []byte) (err error) {
		switch key {
		case "seq":
			e.Seq, err = parseUint(val)
		case "type":
			e.Type, err = parseString(val)
		case "point":
			e.Point, err = parseString(val)
		case "time":
			e.Time, err = parseTime(val)
		case "clock":
			e.Clock, err = parseString(val)
		case "boot":
			e.Boot, err = parseString(val)
		case "mono":
			e.Mono, err = parseMillis(val)
		case "data":
			e.Data = slices.Clone(val)
		default:
			err = e.Extra.keep(key, val)
		}
		return err
	})
	if err != nil {
		return e, err
	}
	return e, e.Validate()
}

func parseMillis(val []byte) (time.Duration, error) {
	n, err := parseUint(val)
	if err != nil {
		return 0, err
	}
	if n > uint64(1<<62/time.Millisecond) {
		return 0, malformed("%d ms: want less than 146 years", n)
	}
	return time.Duration(n) * time.Millisecond, nil
}
