package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/longan-edge/longan"
)

// The first byte of a key.
const (
	keyEpoch  = 0x01
	keyAcked  = 0x02
	keyState  = 0x03
	keyRecord = 0x10
)

// errCorrupt: a record's checksum does not hold, or the file lacks what every
// spool has. bbolt keeps no checksum of data pages, so a flipped bit would
// otherwise be handed on as an event.
var errCorrupt = errors.New("corrupt")

func recordKey(l longan.Lane, seq uint64) []byte {
	key := make([]byte, 10)
	key[0], key[1] = keyRecord, byte(l)
	binary.BigEndian.PutUint64(key[2:], seq)
	return key
}

// parseRecordKey returns the lane and seq of a record's key.
func parseRecordKey(key []byte) (longan.Lane, uint64, error) {
	if len(key) != 10 || key[0] != keyRecord || int(key[1]) >= len(longan.Lanes) {
		return 0, 0, fmt.Errorf("key %x: %w", key, errCorrupt)
	}
	return longan.Lane(key[1]), binary.BigEndian.Uint64(key[2:]), nil
}

func ackedKey(l longan.Lane) []byte { return []byte{keyAcked, byte(l)} }

func stateKey(key string) []byte { return append([]byte{keyState}, key...) }

// encodeRecord returns the record of an entry whose event has its seq.
func encodeRecord(key []byte, e Entry) []byte {
	b := make([]byte, 6, 6+len(e.Key)+256)
	b[4], b[5] = byte(e.State), byte(len(e.Key))
	b = append(b, e.Key...)
	b = e.Event.AppendJSON(b)
	binary.BigEndian.PutUint32(b, checksum(key, b[4:]))
	return b
}

func checksum(key, rest []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli) // made once by the library
	return crc32.Update(crc32.Checksum(key, table), table, rest)
}

// record is a decoded record.
type record struct {
	key   string // of States, or ""
	state longan.PointState
	json  []byte // points into the bytes it came from
}

func decodeRecord(key, val []byte) (record, error) {
	if len(val) < 6 || len(val) < 6+int(val[5]) {
		return record{}, fmt.Errorf("record %x: too short: %w", key, errCorrupt)
	}
	if binary.BigEndian.Uint32(val) != checksum(key, val[4:]) {
		return record{}, fmt.Errorf("record %x: checksum: %w", key, errCorrupt)
	}
	end := 6 + int(val[5])
	return record{key: string(val[6:end]), state: longan.PointState(val[4]), json: val[end:]}, nil
}
