package longan

// Lane is a class of events with its own order, numbering and acknowledgement.
type Lane uint8

// The lanes, most urgent first. Everything that chooses between lanes serves
// the lower value first and gives up the higher value first.
const (
	Alarm  Lane = iota // raised and restored alarms; space is reserved for them
	State              // doors, faults, anything that changes and matters
	Sample             // measurements and counters; the first to go when space ends
)

// Lanes lists all lanes, most urgent first.
var Lanes = [...]Lane{Alarm, State, Sample}

var laneNames = [...]string{Alarm: "alarm", State: "state", Sample: "sample"}

// String returns the lane's name as it stands in topics and messages.
func (l Lane) String() string {
	if int(l) < len(laneNames) {
		return laneNames[l]
	}
	return "lane-unknown"
}

// ParseLane returns the lane of that name.
func ParseLane(s string) (Lane, error) {
	for l, name := range laneNames {
		if s == name {
			return Lane(l), nil
		}
	}
	return 0, malformed("lane %q: want alarm, state or sample", clip(s))
}

// MarshalText implements encoding.TextMarshaler.
func (l Lane) MarshalText() ([]byte, error) {
	if int(l) >= len(laneNames) {
		return nil, malformed("lane %d", l)
	}
	return []byte(laneNames[l]), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *Lane) UnmarshalText(b []byte) (err error) {
	*l, err = ParseLane(string(b))
	return err
}
