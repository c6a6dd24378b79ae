package longan

import (
	"slices"
	"time"
)

// Ack is the city's word that events are in its store, committed:
//
//	{"v":1,"epoch":"9f86d081884c7d65","lanes":{"alarm":5,"state":120},"time":"2026-11-23T08:15:30.123Z","credit":500}
//
// Only an Ack lets a board free events. It is cumulative: a lost one is made up
// for by the next, a repeated one changes nothing. It is published with QoS 0
// and not retained; a board that misses it sends its batch again.
type Ack struct {
	Epoch  string
	Lanes  map[Lane]uint64 // every event up to and including this Seq is stored or known lost
	Time   time.Time       // the city's time, a source for boards without a clock
	Credit uint64          // how many more events the city wants in flight; 0 leaves it to the board
	Extra  Extra
}

// Encode returns the ack's message.
func (a *Ack) Encode() ([]byte, error) {
	if err := a.validate(); err != nil {
		return nil, err
	}
	o := newObject(nil)
	o.uint("v", Version)
	o.str("epoch", a.Epoch)
	lanes := newObject(nil)
	for _, l := range Lanes {
		lanes.uint(l.String(), a.Lanes[l])
	}
	o.raw("lanes", lanes.end(nil))
	o.time("time", a.Time)
	o.uint("credit", a.Credit)
	return pack(o.end(a.Extra))
}

func (a *Ack) validate() error {
	if err := checkName("epoch", a.Epoch, false); err != nil {
		return err
	}
	for _, l := range Lanes {
		if err := checkUint("lane "+l.String(), a.Lanes[l]); err != nil {
			return err
		}
	}
	if err := checkUint("credit", a.Credit); err != nil {
		return err
	}
	return checkTime("time", a.Time)
}

// DecodeAck returns the ack in a message. Lanes that this program does not know
// are ignored.
func DecodeAck(payload []byte) (*Ack, error) {
	data, err := open(payload)
	if err != nil {
		return nil, err
	}
	a := &Ack{Lanes: map[Lane]uint64{}}
	err = eachField(data, func(key string, val []byte) (err error) {
		switch key {
		case "v": // open has seen to it
		case "epoch":
			a.Epoch, err = parseString(val)
		case "lanes":
			err = a.parseLanes(val)
		case "time":
			a.Time, err = parseTime(val)
		case "credit":
			a.Credit, err = parseUint(val)
		default:
			err = a.Extra.keep(key, val)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := checkName("epoch", a.Epoch, false); err != nil {
		return nil, err
	}
	return a, nil
}

func (a *Ack) parseLanes(data []byte) error {
	return eachField(data, func(key string, val []byte) error {
		l, err := ParseLane(key)
		if err != nil {
			return nil // a lane of a newer contract
		}
		n, err := parseUint(val)
		if err == nil && n > 0 {
			a.Lanes[l] = n
		}
		return err
	})
}

// sortedKeys returns the keys of m in order, for a stable encoding.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
