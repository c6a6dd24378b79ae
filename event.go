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
	PointKnown         = "point.known"         // state lane; known again, and as it was: data.state
	PeripheralFault    = "peripheral.fault"    // state lane; point is the peripheral, data.error says why
	PeripheralRestored = "peripheral.restored" // state lane
	AgentStarted       = "agent.started"       // state lane; data.version
	// SpoolGap stands in a lane for events that the board had accepted and then
	// lost: data.from to data.to, which is the event's own Seq, data.count of
	// them, data.reason "full" or "damaged". The city shows the hole and passes it.
	SpoolGap = "spool.gap" // the lane that lost them; data.lane
	// SpoolRecovered is the first event of an epoch that begins because the spool's
	// file was lost or damaged: data.reason, data.epochs with what was salvaged and
	// lost of each, data.exact when nothing else can have been.
	SpoolRecovered = "spool.recovered" // state lane
	DeviceFault    = "device.fault"    // state lane; data.cause is what of the board is wrong, data.error says why
	DeviceRestored = "device.restored" // state lane; data.cause
	// ClockSynced tells that the board's clock is better than before in this boot:
	// data.from and data.clock are the qualities, data.offset is how many
	// milliseconds the time jumped ahead.
	ClockSynced = "clock.synced" // state lane
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
	if err := e.validate(); err != nil {
		return err
	}
	if len(e.Data) > 0 && !validJSON(e.Data) {
		return malformed("data: want a JSON object in UTF-8")
	}
	return nil
}

// validate is Validate for an event whose data is known to be JSON.
func (e *Event) validate() error {
	if e.Seq == 0 {
		return malformed("seq: want 1 or more")
	}
	if err := checkUint("seq", e.Seq); err != nil {
		return err
	}
	if len(e.Type) > MaxName {
		return tooLarge("type", len(e.Type), MaxName)
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
	if err := checkTime("time", e.Time); err != nil {
		return err
	}
	if err := checkMono(e.Mono); err != nil {
		return err
	}
	if len(e.Data) > MaxData {
		return tooLarge("data", len(e.Data), MaxData)
	}
	if len(e.Data) > 0 && e.Data[0] != '{' {
		return malformed("data: want a JSON object in UTF-8")
	}
	return nil
}

// checkMono keeps a time since boot within what parseMillis takes.
func checkMono(d time.Duration) error {
	if d < 0 || d > maxMono {
		return malformed("mono %v: want 0 to 146 years", d)
	}
	return nil
}

func validType(s string) bool {
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
	const usual = 192 // bytes
	o := newObject(slices.Grow(dst, usual+len(e.Data)))
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
	if !validJSON(data) {
		return Event{}, malformed("event: not JSON in UTF-8")
	}
	return parseEvent(data, known{})
}

// parseEvent is ParseEvent for data that has passed validJSON.
func parseEvent(data []byte, texts known) (Event, error) {
	var e Event
	if len(data) > MaxEvent {
		return Event{}, tooLarge("event", len(data), MaxEvent)
	}
	err := eachField(data, func(key string, val []byte) (err error) {
		switch key {
		case "seq":
			e.Seq, err = parseUint(val)
		case "type":
			e.Type, err = texts.parse(val)
		case "point":
			e.Point, err = texts.parse(val)
		case "time":
			e.Time, err = parseTime(val)
		case "clock":
			e.Clock, err = texts.parse(val)
		case "boot":
			e.Boot, err = texts.parse(val)
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
		return Event{}, err
	}
	if err := e.validate(); err != nil {
		return Event{}, err
	}
	return e, nil
}

// maxMono bounds times since boot and ages, in whole milliseconds.
const maxMono = (1 << 62) / time.Millisecond * time.Millisecond

func parseMillis(val []byte) (time.Duration, error) {
	n, err := parseUint(val)
	if err != nil {
		return 0, err
	}
	if n > uint64(maxMono/time.Millisecond) {
		return 0, malformed("%d ms: want less than 146 years", n)
	}
	return time.Duration(n) * time.Millisecond, nil
}
