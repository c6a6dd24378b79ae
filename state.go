package longan

// PointState is what a point is known to be. The zero value is Unknown: nobody
// may take silence for normal.
type PointState uint8

const (
	// Unknown: no reading yet, its peripheral is down, or the read failed.
	Unknown PointState = iota
	// Normal: at rest. A door is closed, a button is up, a printer has paper.
	Normal
	// Active: the condition the point watches for is there. A door is open, a
	// button is pressed, the paper is out.
	Active
	// Fault: the line itself is wrong (cut, short, between the bands).
	Fault
)

var stateNames = [...]string{Unknown: "unknown", Normal: "normal", Active: "active", Fault: "fault"}

// String returns the name used in messages.
func (s PointState) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return stateNames[Unknown]
}

// MarshalText implements encoding.TextMarshaler.
func (s PointState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. A name this program does
// not know is Unknown, never an error and never Normal.
func (s *PointState) UnmarshalText(b []byte) error {
	*s = Unknown
	for i, name := range stateNames {
		if string(b) == name {
			*s = PointState(i)
		}
	}
	return nil
}
