package spool

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/longan-edge/longan"
)

// errCorrupt: a block's checksum does not hold, or the file lacks what every
// spool has. bbolt keeps no checksum of data pages, so a flipped bit would
// otherwise be handed on as an event.
var errCorrupt = errors.New("corrupt")

// epochID is the random id of an epoch; its text is 16 hex digits.
type epochID [8]byte

func (e epochID) String() string { return hex.EncodeToString(e[:]) }

// parseEpoch is the opposite of String.
func parseEpoch(s string) (e epochID, err error) {
	if n, err := hex.Decode(e[:], []byte(s)); err != nil || n != len(e) || len(s) != 2*len(e) {
		return epochID{}, fmt.Errorf("epoch %q: %w", s, errCorrupt)
	}
	return e, nil
}

// What a block is.
const (
	kindEvents = 0 // events, numbered first to last without a hole
	kindGap    = 1 // one event, spool.gap, in the place of the events first to last
	kindAck    = 2 // no event: the city has everything up to first
	kindMask   = 0x0f
	flagFlate  = 0x80 // the payload is DEFLATE
)

// block is what the spool writes and deletes as one: the events that a commit
// accepts for a lane, or a gap, or how far a lane is acknowledged. A block says
// in itself what it is, so that a scan of a file whose tree is gone still finds
// it:
//
//	magic (4)  CRC-32C of what follows (4)  kind and flags (1)  lane (1)
//	epoch (8)  first seq (8)  run (4)  ordinal (4)  last-first, count,
//	length of states, length of payload (uvarints)
//	states: length of key (1), key, state (1); and again
//	payload: JSON of the events, each ended by 0x1e, which no JSON contains
//
// Run counts the starts on the file and ordinal the attempts to commit within a
// run: of two blocks for the same numbers the later one is the true one.
type block struct {
	kind        byte
	lane        longan.Lane
	epoch       epochID
	first, last uint64
	run, ord    uint32
	count       uint64
	states      []byte
	payload     []byte // as it is in the file
	flate       bool
	size        int // of the whole block, when it was parsed
}

const (
	blockMagic   = "\x9fLS1"
	blockFixed   = 4 + 4 + 1 + 1 + 8 + 8 + 4 + 4
	endOfEvent   = 0x1e
	maxEvents    = 400     // of a block
	maxJSON      = 8 << 10 // of a block of more than one event: several then fill a page of the tree well
	maxInflated  = maxJSON + longan.MaxEvent
	maxStates    = maxEvents * 257
	maxBlockSize = blockFixed + 4*binary.MaxVarintLen64 + maxStates + maxInflated + 1024
)

// append appends the block's bytes.
func (b *block) append(dst []byte) []byte {
	start := len(dst)
	flags := b.kind
	if b.flate {
		flags |= flagFlate
	}
	dst = append(dst, blockMagic...)
	dst = append(dst, 0, 0, 0, 0, flags, byte(b.lane))
	dst = append(dst, b.epoch[:]...)
	dst = binary.BigEndian.AppendUint64(dst, b.first)
	dst = binary.BigEndian.AppendUint32(dst, b.run)
	dst = binary.BigEndian.AppendUint32(dst, b.ord)
	dst = binary.AppendUvarint(dst, b.last-b.first)
	dst = binary.AppendUvarint(dst, b.count)
	dst = binary.AppendUvarint(dst, uint64(len(b.states)))
	dst = binary.AppendUvarint(dst, uint64(len(b.payload)))
	dst = append(dst, b.states...)
	dst = append(dst, b.payload...)
	binary.BigEndian.PutUint32(dst[start+4:], checksum(dst[start+8:]))
	return dst
}

func checksum(b []byte) uint32 {
	return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) // the table is made once by the library
}

// parseBlock returns the block that v begins with. Its slices point into v.
func parseBlock(v []byte) (*block, error) {
	if len(v) < blockFixed || string(v[:4]) != blockMagic {
		return nil, fmt.Errorf("block: no magic: %w", errCorrupt)
	}
	b := &block{kind: v[8] & kindMask, flate: v[8]&flagFlate != 0, lane: longan.Lane(v[9])}
	copy(b.epoch[:], v[10:])
	b.first = binary.BigEndian.Uint64(v[18:])
	b.run = binary.BigEndian.Uint32(v[26:])
	b.ord = binary.BigEndian.Uint32(v[30:])
	at := blockFixed
	var numbers [4]uint64
	for i := range numbers {
		n, size := binary.Uvarint(v[at:])
		if size <= 0 {
			return nil, fmt.Errorf("block: cut off: %w", errCorrupt)
		}
		numbers[i] = n
		at += size
	}
	if numbers[2] > maxStates || numbers[3] > maxInflated || uint64(len(v)-at) < numbers[2]+numbers[3] {
		return nil, fmt.Errorf("block: cut off: %w", errCorrupt)
	}
	b.last, b.count = b.first+numbers[0], numbers[1]
	b.states = v[at : at+int(numbers[2])]
	at += int(numbers[2])
	b.payload = v[at : at+int(numbers[3])]
	b.size = at + int(numbers[3])
	if binary.BigEndian.Uint32(v[4:]) != checksum(v[8:b.size]) {
		return nil, fmt.Errorf("block: checksum: %w", errCorrupt)
	}
	return b, b.check()
}

// check looks for what a right checksum does not vouch for.
func (b *block) check() error {
	switch {
	case int(b.lane) >= len(longan.Lanes), b.kind > kindAck, b.last < b.first,
		b.kind != kindAck && b.first == 0,
		b.kind == kindEvents && b.count != b.last-b.first+1:
		return fmt.Errorf("block: %w", errCorrupt)
	}
	return nil
}

// records returns the block's events.
func (b *block) records(in *inflater) ([]Record, error) {
	text := b.payload
	if b.flate {
		var err error
		if text, err = in.inflate(b.payload); err != nil {
			return nil, err
		}
	} else {
		text = bytes.Clone(text) // the file's page is gone when the caller reads
	}
	seq, n := b.first, b.count
	if b.kind == kindGap {
		seq, n = b.last, 1
	}
	if n > maxEvents {
		return nil, fmt.Errorf("block of %d events: %w", n, errCorrupt)
	}
	records := make([]Record, 0, n)
	for len(text) > 0 {
		end := bytes.IndexByte(text, endOfEvent)
		if end < 0 {
			break
		}
		records = append(records, Record{Seq: seq, JSON: text[:end:end]})
		seq, text = seq+1, text[end+1:]
	}
	if uint64(len(records)) != n || len(text) > 0 {
		return nil, fmt.Errorf("block holds %d events, %d are announced: %w", len(records), n, errCorrupt)
	}
	return records, nil
}

// eachState calls f with what the block's events left behind, in their order.
func (b *block) eachState(f func(key string, state longan.PointState) error) error {
	for s := b.states; len(s) > 0; {
		n := int(s[0])
		if len(s) < n+2 {
			return fmt.Errorf("states of block: %w", errCorrupt)
		}
		if err := f(string(s[1:1+n]), longan.PointState(s[1+n])); err != nil {
			return err
		}
		s = s[n+2:]
	}
	return nil
}

func appendState(dst []byte, key string, state longan.PointState) []byte {
	dst = append(dst, byte(len(key)))
	dst = append(dst, key...)
	return append(dst, byte(state))
}
