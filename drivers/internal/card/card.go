// Package card turns what a reader read into what may leave the board: a keyed
// hash of the card, a count of the keys pressed, and never the number or the
// digits themselves.
//
// The hash is HMAC-SHA-256 (RFC 2104), cut to 64 bits. The key stays on the
// board: without it the few million numbers of a 26-bit card are tried in a
// second, so a hash without a key would be the number itself. The same bits give
// the same hash at every reader with the same key, whatever line it is on.
package card

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/longan-edge/longan/drivers"
)

// MinKey is the length of the shortest key, in bytes.
const MinKey = 16

// Types of what happens at a reader.
const (
	TypeCard = "access.card"  // a card was held to it
	TypeKeys = "access.keys"  // keys were pressed
	TypeCode = "code.scanned" // a bar code or QR code was held to it
)

// hashSize is how much of the hash is told, in bytes.
const hashSize = 8

var errKey = errors.New("the key for card numbers is missing or shorter than 16 bytes: give the board one")

// Hasher makes occurrences of what is read, with one key.
type Hasher struct{ key []byte }

// NewHasher returns a Hasher with a copy of key, which must have MinKey bytes or
// more.
func NewHasher(key []byte) (*Hasher, error) {
	if len(key) < MinKey {
		return nil, errKey
	}
	return &Hasher{key: append([]byte(nil), key...)}, nil
}

// Card returns the occurrence of a card of n bits, the first one the highest bit
// of data[0]. What data has beyond them is not looked at; it must have as many.
func (h *Hasher) Card(data []byte, n int, f Format) *drivers.Occurrence {
	return &drivers.Occurrence{
		Type: TypeCard,
		Data: fmt.Appendf(nil, `{"card":"%s","bits":%d,"format":"%s"}`, h.hash(data, n), n, f),
	}
}

// Keys returns the occurrence of n keys pressed, which ones it isn't told.
func Keys(n int) *drivers.Occurrence {
	return &drivers.Occurrence{Type: TypeKeys, Data: fmt.Appendf(nil, `{"keys":%d}`, n)}
}

// Code returns the occurrence of a scanned code. Its hash is none of a card's: no
// card has as many bits as stand before it.
func (h *Hasher) Code(code []byte) *drivers.Occurrence {
	m := hmac.New(sha256.New, h.key)
	m.Write([]byte{0xFF, 0xFF})
	m.Write(code)
	return &drivers.Occurrence{
		Type: TypeCode,
		Data: fmt.Appendf(nil, `{"code":"%x","length":%d}`, m.Sum(nil)[:hashSize], len(code)),
	}
}

// hash is over the number of bits, as two bytes with the high one first, and the
// bits, filled up with zeros to whole bytes.
func (h *Hasher) hash(data []byte, n int) string {
	m := hmac.New(sha256.New, h.key)
	whole := n / 8
	m.Write(binary.BigEndian.AppendUint16(nil, uint16(n)))
	m.Write(data[:whole])
	if rest := n % 8; rest > 0 {
		m.Write([]byte{data[whole] &^ (0xFF >> rest)})
	}
	return hex.EncodeToString(m.Sum(nil)[:hashSize])
}
