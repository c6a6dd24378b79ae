package osdp

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/longan-edge/longan"
)

var errShort = errors.New("the reply's data is malformed")

// identity is what a reader says it is; 7.4, PDID.
type identity struct {
	vendor         [3]byte // IEEE OUI
	model, version byte
	firmware       [3]byte // major, minor, build
}

func parseIdentity(data []byte) (identity, error) {
	if len(data) < 12 {
		return identity{}, errShort
	}
	return identity{
		vendor: [3]byte(data[0:3]), model: data[3], version: data[4],
		firmware: [3]byte(data[9:12]), // after the serial number
	}, nil
}

// String leaves out the serial number: it is of no use to whoever reads a
// status.
func (id identity) String() string {
	return fmt.Sprintf("%X-%d.%d fw %d.%d.%d", id.vendor, id.model, id.version, id.firmware[0], id.firmware[1], id.firmware[2])
}

// Function codes of capabilities; annex B.
const (
	capInputs = 1
	capSecure = 9 // bit 0 of the level: AES-128
)

// capability is one function of a reader.
type capability struct{ level, number byte }

// parseCapabilities returns the functions by their codes; 7.5, PDCAP. A half
// record at the end is dropped.
func parseCapabilities(data []byte) map[byte]capability {
	caps := make(map[byte]capability, len(data)/3)
	for ; len(data) >= 3; data = data[3:] {
		caps[data[0]] = capability{level: data[1], number: data[2]}
	}
	return caps
}

// parseLocal returns the states of tamper and power; 7.6, LSTATR.
func parseLocal(data []byte) (tamper, power longan.PointState, err error) {
	if len(data) < 2 {
		return longan.Unknown, longan.Unknown, errShort
	}
	return status(data[0]), status(data[1]), nil
}

// parseInputs returns the states of the inputs, the first one in1; 7.7, ISTATR.
func parseInputs(data []byte) []longan.PointState {
	states := make([]longan.PointState, len(data))
	for i, b := range data {
		states[i] = status(b)
	}
	return states
}

// status is what a byte of LSTATR or ISTATR says: 2 to 4 are a supervised input
// that is short, open or otherwise at fault.
func status(b byte) longan.PointState {
	switch b {
	case 0:
		return longan.Normal
	case 1:
		return longan.Active
	case 2, 3, 4:
		return longan.Fault
	}
	return longan.Unknown
}

// parseCard returns the bits of a card, the first one the highest of bits[0], and
// their number; 7.9, RAW. The error tells nothing of the bits.
func parseCard(data []byte) (bits []byte, n int, err error) {
	if len(data) < 4 {
		return nil, 0, errShort
	}
	n = int(binary.LittleEndian.Uint16(data[2:]))
	bits = data[4:]
	if n == 0 || (n+7)/8 > len(bits) {
		return nil, 0, errShort
	}
	return bits, n, nil
}

// parseKeys returns how many keys were pressed, and forgets which; 7.11, KEYPAD.
func parseKeys(data []byte) (n int, err error) {
	if len(data) < 2 || int(data[1]) > len(data)-2 {
		return 0, errShort
	}
	n = int(data[1])
	clear(data[2:])
	return n, nil
}

// Color of an LED; 6.10.
type Color byte

// The colours.
const (
	Red   Color = 1
	Green Color = 2
	Amber Color = 3
	Blue  Color = 4
)

// ledData is the record that sets the permanent state of the first LED, and
// leaves a temporary one alone; 6.10, LED.
func ledData(on bool, c Color) []byte {
	if !on {
		c = 0
	}
	return []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, byte(c), byte(c)}
}

// buzzerData beeps half a second each second until told otherwise; 6.11, BUZ.
func buzzerData(on bool) []byte {
	if !on {
		return []byte{0, 1, 0, 0, 0}
	}
	return []byte{0, 2, 5, 5, 0}
}
