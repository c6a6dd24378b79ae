package spool

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/longan-edge/longan"
)

// The first byte of a key.
const (
	keyHead  = 0x01
	keyAcked = 0x02
	keyState = 0x03
	keyEpoch = 0x04
	keyBlock = 0x10
)

func headKey() []byte { return []byte{keyHead} }

func ackedKey(stream uint16, l longan.Lane) []byte {
	return []byte{keyAcked, byte(stream >> 8), byte(stream), byte(l)}
}

func stateKey(key string) []byte { return append([]byte{keyState}, key...) }

func epochKey(stream uint16) []byte { return []byte{keyEpoch, byte(stream >> 8), byte(stream)} }

const blockKeySize = 12

// blockKey is the key of the block of a stream and lane whose first seq is seq.
func blockKey(stream uint16, l longan.Lane, seq uint64) []byte {
	key := make([]byte, 4, blockKeySize)
	key[0], key[1], key[2], key[3] = keyBlock, byte(stream>>8), byte(stream), byte(l)
	return binary.BigEndian.AppendUint64(key, seq)
}

// lanePrefix is what the keys of a lane's blocks begin with.
func lanePrefix(stream uint16, l longan.Lane) []byte { return blockKey(stream, l, 0)[:4] }

// parseBlockKey is the opposite of blockKey.
func parseBlockKey(key []byte) (stream uint16, l longan.Lane, seq uint64, err error) {
	if len(key) != blockKeySize || key[0] != keyBlock || int(key[3]) >= len(longan.Lanes) {
		return 0, 0, 0, fmt.Errorf("key %x: %w", key, errCorrupt)
	}
	return binary.BigEndian.Uint16(key[1:]), longan.Lane(key[3]), binary.BigEndian.Uint64(key[4:]), nil
}

// head names the epoch that is being written, and counts the runs.
type head struct {
	epoch  epochID
	stream uint16
	run    uint32
}

func (h head) append(dst []byte) []byte {
	rest := binary.BigEndian.AppendUint16(h.epoch[:], h.stream)
	rest = binary.BigEndian.AppendUint32(rest, h.run)
	return append(binary.BigEndian.AppendUint32(dst, checksum(rest)), rest...)
}

func parseHead(v []byte) (h head, err error) {
	if len(v) != 4+8+2+4 || binary.BigEndian.Uint32(v) != checksum(v[4:]) {
		return h, fmt.Errorf("head: %w", errCorrupt)
	}
	copy(h.epoch[:], v[4:])
	h.stream = binary.BigEndian.Uint16(v[12:])
	h.run = binary.BigEndian.Uint32(v[14:])
	return h, nil
}

// An earlier epoch's entry is its id with a checksum.
func epochValue(e epochID) []byte {
	return append(binary.BigEndian.AppendUint32(nil, checksum(e[:])), e[:]...)
}

func parseEpochValue(v []byte) (e epochID, err error) {
	if len(v) != 12 || !bytes.Equal(epochValue(epochID(v[4:])), v) {
		return e, fmt.Errorf("epoch: %w", errCorrupt)
	}
	return epochID(v[4:]), nil
}

// leftBehind is the state that freed events left under a key, and when.
type leftBehind struct {
	state    longan.PointState
	run, ord uint32
}

// after reports whether l was left after o.
func (l leftBehind) after(o leftBehind) bool {
	return l.run > o.run || (l.run == o.run && l.ord > o.ord)
}

func (l leftBehind) append(dst []byte) []byte {
	dst = append(dst, byte(l.state))
	dst = binary.BigEndian.AppendUint32(dst, l.run)
	return binary.BigEndian.AppendUint32(dst, l.ord)
}

func parseLeft(v []byte) (leftBehind, error) {
	if len(v) != 9 {
		return leftBehind{}, fmt.Errorf("state: %w", errCorrupt)
	}
	return leftBehind{longan.PointState(v[0]), binary.BigEndian.Uint32(v[1:]), binary.BigEndian.Uint32(v[5:])}, nil
}
