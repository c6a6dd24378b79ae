package longan

import (
	"fmt"
	"slices"
	"strconv"
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
	Epoch string          // "" only in one that carries nothing but Refused
	Lanes map[Lane]uint64 // every event up to and including this Seq is stored or known lost
	Time  time.Time       // the city's time, a source for boards without a clock
	// Credit is how many events of the lanes state and sample together the board
	// may have unacknowledged, so that the city paces its own recovery. 0 leaves
	// it to the board. Alarms are never paced.
	Credit uint64
	// Hello: the city's ingest has just begun to listen. What was under way to it
	// before is lost where Lanes do not tell of it, and is sent again at once.
	Hello   bool
	Refused *Refusal // what the city could not take, or nil
	Extra   Extra
}

// Refusal is the city's word that it can't take something, and has set it aside
// for an operator to see. Sending the same again is of no use.
type Refusal struct {
	Lane   Lane   // of the batch
	CRC    uint32 // CRC-32C (Castagnoli) of the batch's message as it was published; 0 when it is no batch that is refused
	Reason string // one of the Refused constants; lower case
}

// Reasons of a Refusal.
const (
	RefusedMalformed = "malformed" // the message is not of the contract
	RefusedForeign   = "foreign"   // the message is of another device or lane than its topic
	RefusedByStore   = "store"     // the store takes other batches, but not this one
	RefusedClone     = "clone"     // two boards use this device id; no batch in particular
)

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
	if a.Hello {
		o.raw("hello", []byte("true"))
	}
	if r := a.Refused; r != nil {
		refused := newObject(nil)
		refused.str("lane", r.Lane.String())
		refused.str("crc", fmt.Sprintf("%08x", r.CRC))
		refused.str("reason", r.Reason)
		o.raw("refused", refused.end(nil))
	}
	return pack(o.end(a.Extra))
}

func (a *Ack) validate() error {
	if err := checkName("epoch", a.Epoch, a.Refused != nil); err != nil {
		return err
	}
	if a.Refused != nil {
		if err := checkName("reason", a.Refused.Reason, false); err != nil {
			return err
		}
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
		case "hello":
			a.Hello, err = parseBool(val)
		case "refused":
			a.Refused, err = parseRefusal(val)
		default:
			err = a.Extra.keep(key, val)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := a.validate(); err != nil {
		return nil, err
	}
	return a, nil
}

// parseRefusal returns nil for a lane of a newer contract: it is none of ours.
func parseRefusal(data []byte) (*Refusal, error) {
	r, known := &Refusal{}, true
	err := eachField(data, func(key string, val []byte) (err error) {
		var text string
		switch key {
		case "lane", "crc", "reason":
			if text, err = parseString(val); err != nil {
				return err
			}
		}
		switch key {
		case "lane":
			if r.Lane, err = ParseLane(text); err != nil {
				known, err = false, nil
			}
		case "crc":
			var crc uint64
			crc, err = strconv.ParseUint(text, 16, 32)
			r.CRC = uint32(crc)
			if err != nil {
				err = malformed("crc %q: want eight hex digits", clip(text))
			}
		case "reason":
			r.Reason = text
		}
		return err
	})
	if err != nil || !known {
		return nil, err
	}
	return r, nil
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
