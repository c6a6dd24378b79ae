package osdp

import (
	"encoding/binary"
	"errors"
)

// Frame bytes; 5.7 and 5.9 of the standard.
const (
	mark      = 0xFF // driven before a frame, no part of it
	som       = 0x53
	replyBit  = 0x80 // in the address of a reply
	broadcast = 0x7F

	ctrlSequence = 0x03
	ctrlCRC      = 0x04
	ctrlBlock    = 0x08
	ctrlReserved = 0xF0

	headSize = 5 // SOM, address, length, control
	macSize  = 4 // of the MAC's 16 bytes on the wire
)

// MaxFrame is the size of the largest frame, in bytes, without the mark.
const MaxFrame = 1440

// Security blocks; annex D.
const (
	scs11 = 0x11 // challenge
	scs12 = 0x12 // client cryptogram
	scs13 = 0x13 // server cryptogram
	scs14 = 0x14 // initial reply MAC
	scs15 = 0x15 // command with MAC
	scs16 = 0x16 // reply with MAC
	scs17 = 0x17 // command with MAC, data encrypted
	scs18 = 0x18 // reply with MAC, data encrypted
)

// frame is a message in its parts. Its slices may share memory with the bytes
// that it was parsed from.
type frame struct {
	address byte   // 0 to 127
	reply   bool   // from a reader to the panel
	seq     byte   // 0 to 3
	crc     bool   // CRC-16, not the checksum
	block   []byte // security block without its length: type and data; nil without one
	code    byte
	data    []byte // encrypted under SCS 17 and 18
	mac     []byte // 4 bytes under SCS 15 to 18
	signed  []byte // what the MAC is over, of a parsed frame
}

// What is wrong with bytes that are no frame.
var (
	errMore     = errors.New("the frame is cut short")
	errStart    = errors.New("no start of a frame")
	errLength   = errors.New("the frame's length is wrong")
	errControl  = errors.New("the frame's control byte is wrong")
	errChecksum = errors.New("the checksum is wrong")
	errLate     = errors.New("the reader answers too late: an answer to an earlier command came")
)

// blockType is the type of the security block, 0 without one.
func (f *frame) blockType() byte {
	if len(f.block) == 0 {
		return 0
	}
	return f.block[0]
}

func signedBlock(t byte) bool { return t >= scs15 && t <= scs18 }

// checkSize is the length of the checksum.
func checkSize(crc bool) int {
	if crc {
		return 2
	}
	return 1
}

// head returns the frame up to its data, which is what the MAC is over together
// with the data, for a MAC of so many bytes to follow.
func (f *frame) head(mac int) []byte {
	size := headSize + 1 + len(f.data) + mac + checkSize(f.crc)
	if f.block != nil {
		size += 1 + len(f.block)
	}
	address, control := f.address, f.seq
	if f.reply {
		address |= replyBit
	}
	if f.crc {
		control |= ctrlCRC
	}
	if f.block != nil {
		control |= ctrlBlock
	}
	b := make([]byte, 0, size)
	b = append(b, som, address, byte(size), byte(size>>8), control)
	if f.block != nil {
		b = append(b, byte(1+len(f.block)))
		b = append(b, f.block...)
	}
	return append(append(b, f.code), f.data...)
}

// bytes returns the frame as it goes on the wire, without the mark.
func (f *frame) bytes() []byte {
	b := append(f.head(len(f.mac)), f.mac...)
	if !f.crc {
		return append(b, checksum(b))
	}
	return binary.LittleEndian.AppendUint16(b, crc16(b))
}

// frameLength returns the length that the frame which begins with b says it has.
// The errors are errMore, errStart, errLength and errControl.
func frameLength(b []byte) (int, error) {
	switch {
	case len(b) > 0 && b[0] != som:
		return 0, errStart
	case len(b) < headSize:
		return 0, errMore
	case b[4]&ctrlReserved != 0:
		return 0, errControl
	}
	n := int(binary.LittleEndian.Uint16(b[2:]))
	least := headSize + 1 + checkSize(b[4]&ctrlCRC != 0)
	if n < least || n > MaxFrame {
		return 0, errLength
	}
	return n, nil
}

// parseFrame returns the frame that b is, no more and no less.
func parseFrame(b []byte) (*frame, error) {
	n, err := frameLength(b)
	switch {
	case err != nil:
		return nil, err
	case len(b) < n:
		return nil, errMore
	case len(b) > n:
		return nil, errLength
	}
	f := &frame{address: b[1] &^ replyBit, reply: b[1]&replyBit != 0, seq: b[4] & ctrlSequence, crc: b[4]&ctrlCRC != 0}
	body := b[:n-checkSize(f.crc)]
	if f.crc && crc16(body) != binary.LittleEndian.Uint16(b[len(body):]) || !f.crc && checksum(body) != b[len(body)] {
		return nil, errChecksum
	}
	rest := body[headSize:]
	if b[4]&ctrlBlock != 0 {
		size := int(rest[0])
		if size < 2 || size >= len(rest) {
			return nil, errLength
		}
		f.block, rest = rest[1:size], rest[size:]
	}
	if signedBlock(f.blockType()) {
		if len(rest) < 1+macSize {
			return nil, errLength
		}
		f.signed = body[:len(body)-macSize]
		rest, f.mac = rest[:len(rest)-macSize], rest[len(rest)-macSize:]
	}
	f.code, f.data = rest[0], rest[1:]
	return f, nil
}

// scan looks for the answer of one reader in what was received: the first sound
// reply from it that takes wants. Anything else is passed over: noise, the echo
// of the command, another reader, an answer that comes late. The error is
// errMore while the answer may still be coming, and says what was wrong with the
// last thing like an answer otherwise. patient is not to look for one inside a
// frame that isn't whole yet: what looks like one may be its data.
func scan(received []byte, address byte, patient bool, wants func(*frame) bool) (f *frame, err error) {
	err = errMore
	for i := 0; i < len(received); i++ {
		b := received[i:]
		n, bad := frameLength(b)
		if errors.Is(bad, errMore) {
			return nil, err
		}
		if bad != nil || b[1] != address|replyBit {
			continue
		}
		if len(b) < n {
			if patient {
				return nil, err
			}
			continue
		}
		f, bad := parseFrame(b[:n])
		if bad != nil {
			err = bad
			continue
		}
		if wants(f) {
			return f, nil
		}
		err = errLate
		i += n - 1
	}
	return nil, err
}

// crc16 is the CRC of frames: polynomial 0x1021, initial value 0x1D0F, over
// everything from the SOM on; annex C.
func crc16(b []byte) uint16 {
	crc := uint16(0x1D0F)
	for _, c := range b {
		crc ^= uint16(c) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}

// checksum is the two's complement of the sum of all bytes; 5.9.
func checksum(b []byte) byte {
	var sum byte
	for _, c := range b {
		sum += c
	}
	return -sum
}
