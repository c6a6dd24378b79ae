package idreader

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// request is one of the two commands that this package knows.
type request [2]byte

var (
	askStatus = request{0x11, 0xFF} // is the module alive
	askCard   = request{0x20, 0x01} // is there a card
)

// result is the three status bytes of an answer.
type result [3]byte

// What modules answer.
var (
	resultAlive    = result{0, 0, 0x90}
	resultFound    = result{0, 0, 0x9F}
	resultNone     = result{0, 0, 0x80}
	resultSelfTest = result{0, 0, 0x60}
	resultNoRight  = result{0, 0, 0x66}
)

// String returns the result in hex, with what is known of it.
func (r result) String() string {
	s := fmt.Sprintf("%02X %02X %02X", r[0], r[1], r[2])
	switch r {
	case resultSelfTest:
		s += ", self test failed / 自检失败"
	case resultNoRight:
		s += ", module not licensed / 模块未授权"
	}
	return s
}

var preamble = []byte{0xAA, 0xAA, 0xAA, 0x96, 0x69}

const (
	headLength = 5 + 2 // preamble and length
	// longest is the length field of the longest answer to our requests, with
	// room: a status is 4, a found card 8. What says it is longer is none of ours.
	longest = 32
)

// frame returns the bytes of a request.
func (r request) frame() []byte { return appendFrame(r[:]) }

// appendFrame returns the frame of a payload.
func appendFrame(payload []byte) []byte {
	b := binary.BigEndian.AppendUint16(bytes.Clone(preamble), uint16(len(payload)+1))
	b = append(b, payload...)
	return append(b, xor(b[len(preamble):]))
}

func xor(b []byte) (x byte) {
	for _, c := range b {
		x ^= c
	}
	return x
}

// What is wrong with what was received.
var (
	errMore     = errors.New("no answer yet")
	errChecksum = errors.New("the checksum is wrong: noise on the line")
	errForeign  = errors.New("an answer to a request that was not made")
)

// parse looks for the first whole frame in b and returns the status bytes of the
// answer, and errMore while there is none. Broken frames are passed over; when
// there is nothing else, the error says what was wrong with the last.
func parse(b []byte) (result, error) {
	wrong := errMore
	for {
		i := bytes.Index(b, preamble)
		if i < 0 {
			return result{}, wrong
		}
		b = b[i:]
		if len(b) < headLength {
			return result{}, errMore
		}
		n := int(binary.BigEndian.Uint16(b[len(preamble):]))
		switch whole := headLength + n; {
		case n > longest || n < 4:
			wrong = errForeign
		case len(b) < whole:
			return result{}, errMore
		case xor(b[len(preamble):whole]) != 0:
			wrong = errChecksum
		default:
			return result(b[headLength : headLength+3]), nil
		}
		b = b[1:]
	}
}
