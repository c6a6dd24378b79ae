package modbus

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Function is a function code of the application protocol, section 6.
type Function byte

// The functions this master knows.
const (
	ReadCoils              Function = 1
	ReadDiscreteInputs     Function = 2
	ReadHoldingRegisters   Function = 3
	ReadInputRegisters     Function = 4
	WriteSingleCoil        Function = 5
	WriteSingleRegister    Function = 6
	WriteMultipleCoils     Function = 15
	WriteMultipleRegisters Function = 16
)

// exceptionBit is set in the function code of an exception's answer.
const exceptionBit = 0x80

// exceptionLength is the length of an exception's frame.
const exceptionLength = 5

// MaxFrame is the size of the largest RTU frame, in bytes.
const MaxFrame = 256

// Exception is the code with which a slave refuses a request; section 7.
type Exception byte

// Error returns the name of the exception in the specification, and its code.
func (e Exception) Error() string {
	names := map[Exception]string{
		1: "illegal function", 2: "illegal data address", 3: "illegal data value",
		4: "server device failure", 5: "acknowledge", 6: "server device busy",
		8: "memory parity error", 10: "gateway path unavailable",
		11: "gateway target device failed to respond",
	}
	if name, ok := names[e]; ok {
		return fmt.Sprintf("exception %d (%s)", byte(e), name)
	}
	return fmt.Sprintf("exception %d", byte(e))
}

// What is wrong with a frame that is not the answer.
var (
	errShort    = errors.New("the frame is too short")
	errChecksum = errors.New("the checksum is wrong")
)

// crc16 is the CRC of RTU frames: polynomial 0xA001 reflected, initial value
// 0xFFFF; "Modbus over serial line" 6.2.2.
func crc16(b []byte) uint16 {
	crc := uint16(0xFFFF)
	for _, c := range b {
		crc ^= uint16(c)
		for range 8 {
			if crc&1 != 0 {
				crc = crc>>1 ^ 0xA001
			} else {
				crc >>= 1
			}
		}
	}
	return crc
}

// appendFrame appends the frame of a PDU to dst; its checksum goes low byte first.
func appendFrame(dst []byte, slave byte, pdu []byte) []byte {
	start := len(dst)
	dst = append(append(dst, slave), pdu...)
	return binary.LittleEndian.AppendUint16(dst, crc16(dst[start:]))
}

// parseFrame returns the parts of a whole frame. The PDU shares its memory.
func parseFrame(frame []byte) (slave byte, pdu []byte, err error) {
	if len(frame) < 4 {
		return 0, nil, errShort
	}
	body := frame[:len(frame)-2]
	if crc16(body) != binary.LittleEndian.Uint16(frame[len(body):]) {
		return 0, nil, errChecksum
	}
	return body[0], body[1:], nil
}

// answerLength returns the length of the answer frame that starts with head.
// It is 0 while head is too short to tell, and -1 for a function whose answers
// have no length that could be known.
func answerLength(head []byte) int {
	if len(head) < 2 {
		return 0
	}
	switch f := head[1]; {
	case f&exceptionBit != 0:
		return exceptionLength
	case f >= 1 && f <= 4: // the reads: a byte count, and as many bytes
		if len(head) < 3 {
			return 0
		}
		return 5 + int(head[2])
	case f == 5 || f == 6 || f == 15 || f == 16: // the writes: an echo
		return 8
	}
	return -1
}

// packBits puts bits into bytes, the first one lowest; section 6.11.
func packBits(bits []bool) []byte {
	b := make([]byte, (len(bits)+7)/8)
	for i, on := range bits {
		if on {
			b[i/8] |= 1 << (i % 8)
		}
	}
	return b
}

// unpackBits is the reverse of packBits for n bits; b has enough bytes.
func unpackBits(b []byte, n int) []bool {
	bits := make([]bool, n)
	for i := range bits {
		bits[i] = b[i/8]>>(i%8)&1 != 0
	}
	return bits
}
