package dc09

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/longan-edge/longan"
)

// Signal is which events of a panel are for a point.
type Signal struct {
	// Code is an event code of SIA ("BA") or of Contact ID ("130"): the point is
	// Active from this event on to a restoral of it. "" is all alarms, tampers,
	// troubles and bypasses of Zone: alarms make the point Active, the others,
	// which leave the zone unwatched, Fault.
	Code string
	Zone int // of the panel; 0 is any, and only with a Code
}

// ParseSignal reads a signal as a site file names it: "zone-15", "BA", "BA-15",
// "130", "130-15".
func ParseSignal(s string) (Signal, error) {
	code, number, zoned := strings.Cut(s, "-")
	signal := Signal{Code: code}
	if code == "zone" {
		signal.Code = ""
	} else if code == "" {
		return Signal{}, badSignal(s)
	}
	if zoned {
		n, err := strconv.Atoi(number)
		if err != nil || n < 1 {
			return Signal{}, badSignal(s)
		}
		signal.Zone = n
	}
	if err := signal.check(); err != nil {
		return Signal{}, badSignal(s)
	}
	return signal, nil
}

func badSignal(s string) error {
	return fmt.Errorf("signal %q: want zone-15 for all of a zone, or an event code with or without zone, as BA, BA-15, 130 or 130-15", s)
}

func (s Signal) String() string {
	switch {
	case s.Code == "":
		return fmt.Sprintf("zone-%d", s.Zone)
	case s.Zone == 0:
		return s.Code
	}
	return fmt.Sprintf("%s-%d", s.Code, s.Zone)
}

// check is for signals that did not come from ParseSignal, too.
func (s Signal) check() error {
	sia, cid := within(s.Code, 2, 2, upper), within(s.Code, 3, 3, decimal)
	ok := (sia || cid || s.Code == "") && s.Zone >= 0 && s.Zone <= 9999
	switch {
	case !ok, s.Code == "" && s.Zone == 0:
		return badSignal(s.String())
	case s.Code != "" && s.Zone > 0 && (user(s.Code) || areaNumber(s.Code)):
		return fmt.Errorf("signal %q: the number of %s is no zone; leave it out", s.String(), s.Code)
	}
	return nil
}

// effect is what an event does to a point.
type effect byte

const (
	nothing effect = iota
	alarm          // sets a condition that is Active
	trouble        // sets a condition that is Fault
	clears         // ends conditions
)

// effect returns what e means for the signal, and the code without its qualifier.
func (s Signal) effect(e event) (effect, string) {
	if s.Zone != 0 {
		if n, err := strconv.Atoi(e.zone); err != nil || n != s.Zone {
			return nothing, ""
		}
	}
	code, back := e.code, false
	if len(code) == 4 { // Contact ID
		back, code = code[0] == 'R', code[1:]
	}
	switch {
	case s.Code == code:
		if back {
			return clears, code
		}
		return alarm, code
	case s.Code != "":
		if restores(code, s.Code) {
			return clears, code
		}
		return nothing, ""
	case len(code) == 3:
		kind := contactIDZone(code)
		if kind != nothing && back {
			kind = clears
		}
		return kind, code
	}
	return siaZone(code), code
}

// restores reports whether an event ends the condition that another one began.
func restores(code, condition string) bool {
	if code == condition { // of Contact ID
		return true
	}
	if len(code) != 2 || len(condition) != 2 {
		return false
	}
	switch code {
	case "OP", "OA", "OQ", "OR", "OS":
		return strings.Contains("CL CA CF CP CQ CS", condition)
	case "OG":
		return condition == "CG"
	case "YR":
		return condition == "YT" || condition == "YM"
	}
	const pairs = "YH-YA YK-YC YQ-YP YZ-YX LR-LT NR-NT XH-XQ EN-EM EJ-ES DR-DF DH-DL RO-RC TE-TS"
	if strings.Contains(pairs, code+"-"+condition) {
		return true
	}
	if code[0] != condition[0] || !strings.Contains("ABEFGHIKMPQSTUWXYZ", code[:1]) {
		return false
	}
	switch code[1] {
	case 'R': // the condition, whichever, is gone; a bypass is not
		return strings.Contains("ATVSMZ", condition[1:])
	case 'H': // the alarm is over
		return strings.Contains("AVM", condition[1:])
	case 'J': // the trouble is over
		return condition[1] == 'T'
	case 'U': // no longer bypassed
		return condition[1] == 'B'
	}
	return false
}

// siaZone returns what an event of SIA says of its zone.
func siaZone(code string) effect {
	if !strings.Contains("BFGHKMPQSTUWZ", code[:1]) {
		return nothing
	}
	switch code {
	case "TA":
		return trouble
	case "TS", "TE", "TX", "TP", "TC":
		return nothing
	}
	switch code[1] {
	case 'A', 'M': // alarm, or one from two zones
		return alarm
	case 'T', 'B', 'Z', 'S': // trouble, bypass, not seen any more, supervisory
		return trouble
	case 'R', 'H', 'J', 'U':
		return clears
	}
	return nothing
}

// contactIDZone returns what an event of Contact ID says of its zone.
func contactIDZone(code string) effect {
	switch code {
	case "137", "139", "143", "144", "145", "147", // tamper, module or sensor lost
		"370", "371", "372", "373", "380", "381", "382", "383", // loop, sensor
		"570", "571", "572", "573", "576", "577": // bypass
		return trouble
	}
	if code[0] == '1' && code != "121" {
		return alarm
	}
	return nothing
}

// conditions are those that a point has now, by code.
type conditions struct {
	known bool
	set   map[string]effect
}

// before is the code of a condition from before the process began.
const before = ""

// begin sets the state that was known before.
func (c *conditions) begin(state longan.PointState) {
	c.set = make(map[string]effect)
	switch state {
	case longan.Normal:
		c.known = true
	case longan.Active:
		c.known, c.set[before] = true, alarm
	case longan.Fault:
		c.known, c.set[before] = true, trouble
	}
}

// apply takes an event's effect.
func (c *conditions) apply(kind effect, code string) {
	c.known = true
	if kind != clears {
		c.set[code] = kind
		return
	}
	for condition := range c.set {
		if condition == before || restores(code, condition) {
			delete(c.set, condition)
		}
	}
}

// state returns what the point is.
func (c *conditions) state() longan.PointState {
	state := longan.Normal
	if !c.known {
		state = longan.Unknown
	}
	for _, kind := range c.set {
		if kind == alarm {
			return longan.Active
		}
		state = longan.Fault
	}
	return state
}
