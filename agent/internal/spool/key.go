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
	keyTail  = 0xff // behind all blocks, in the page that an append writes anyway
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

// lasts are the last numbers of an epoch's lanes. bbolt would not notice when a
// page loses its last keys; the blocks that stand behind the last number would be
// gone, and the numbers given out again.
type lasts [len(longan.Lanes)]uint64

func (st *stream) lasts() (all lasts) {
	for l := range all {
		all[l] = st.lanes[l].Last
	}
	return all
}

// epochEntry is what there is of an epoch besides its blocks.
type epochEntry struct {
	epoch epochID
	lasts lasts
}

func (e epochEntry) append(dst []byte) []byte {
	rest := e.epoch[:]
	for _, last := range e.lasts {
		rest = binary.BigEndian.AppendUint64(rest, last)
	}
	return append(binary.BigEndian.AppendUint32(dst, checksum(rest)), rest...)
}

func parseEpochEntry(v []byte) (e epochEntry, err error) {
	if len(v) != 4+8+8*len(e.lasts) || binary.BigEndian.Uint32(v) != checksum(v[4:]) {
		return e, fmt.Errorf("epoch: %w", errCorrupt)
	}
	e.epoch = epochID(v[4:])
	for l := range e.lasts {
		e.lasts[l] = binary.BigEndian.Uint64(v[12+8*l:])
	}
	return e, nil
}

func tailKey() []byte { return []byte{keyTail} }

// leftBehind is the state that freed events left under a key, and when.
type leftBehind struct {
	state    longan.PointState
	run, ord uint32
}

// after reports whether l was left after o.
func (l leftBehind) after(o leftBehind) bool {
	return l.run > o.run || (l.run == o.run && l.ord > o.ord)
}

// append appends the value of stateKey(key).
func (l leftBehind) append(dst []byte, key string) []byte {
	rest := binary.BigEndian.AppendUint32([]byte{byte(l.state)}, l.run)
	rest = binary.BigEndian.AppendUint32(rest, l.ord)
	dst = append(dst, rest...)
	return binary.BigEndian.AppendUint32(dst, checksum(append(rest, key...)))
}

func parseLeft(key string, v []byte) (l leftBehind, err error) {
	if len(v) != 13 {
		return l, fmt.Errorf("state: %w", errCorrupt)
	}
	l = leftBehind{longan.PointState(v[0]), binary.BigEndian.Uint32(v[1:]), binary.BigEndian.Uint32(v[5:])}
	if !bytes.Equal(l.append(nil, key), v) {
		return l, fmt.Errorf("state: checksum: %w", errCorrupt)
	}
	return l, nil
}
