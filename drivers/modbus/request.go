package modbus

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// Limits of one request, in bits; sections 6.1, 6.2 and 6.11.
const (
	maxReadBits  = 2000
	maxWriteBits = 1968
)

// request is what a master asks one slave for: a PDU, and what the PDU of its
// answer must look like.
type request struct {
	slave  byte
	pdu    []byte
	answer int    // length of the answer's PDU
	prefix []byte // how the answer's PDU begins: function and byte count, or the echo
}

// readBits asks for n coils or inputs from the 0-based address on.
func readBits(slave byte, f Function, address, n int) (request, error) {
	if err := checkRange(slave, address, n, maxReadBits); err != nil {
		return request{}, fmt.Errorf("read bits: %w", err)
	}
	count := (n + 7) / 8
	return request{
		slave:  slave,
		pdu:    appendRange([]byte{byte(f)}, address, n),
		answer: 2 + count,
		prefix: []byte{byte(f), byte(count)},
	}, nil
}

// writeCoil switches one coil. The answer repeats the request.
func writeCoil(slave byte, address int, on bool) (request, error) {
	if err := checkRange(slave, address, 1, 1); err != nil {
		return request{}, fmt.Errorf("write coil: %w", err)
	}
	value := 0
	if on {
		value = 0xFF00
	}
	pdu := appendRange([]byte{byte(WriteSingleCoil)}, address, value)
	return request{slave: slave, pdu: pdu, answer: len(pdu), prefix: pdu}, nil
}

// writeCoils switches coils from the 0-based address on. The answer repeats
// address and number.
func writeCoils(slave byte, address int, on []bool) (request, error) {
	if err := checkRange(slave, address, len(on), maxWriteBits); err != nil {
		return request{}, fmt.Errorf("write coils: %w", err)
	}
	head := appendRange([]byte{byte(WriteMultipleCoils)}, address, len(on))
	data := packBits(on)
	pdu := append(append(bytes.Clone(head), byte(len(data))), data...)
	return request{slave: slave, pdu: pdu, answer: len(head), prefix: head}, nil
}

func checkRange(slave byte, address, n, most int) error {
	switch {
	case slave < 1 || slave > 247:
		return fmt.Errorf("address %d: want a slave of 1 to 247", slave)
	case n < 1 || n > most:
		return fmt.Errorf("%d at once: want 1 to %d in one request", n, most)
	case address < 0 || address+n > 1<<16:
		return fmt.Errorf("numbers %d to %d: want 1 to 65536", address+1, address+n)
	}
	return nil
}

// appendRange appends an address and a number, high bytes first as all numbers
// of the application protocol.
func appendRange(pdu []byte, address, n int) []byte {
	pdu = binary.BigEndian.AppendUint16(pdu, uint16(address))
	return binary.BigEndian.AppendUint16(pdu, uint16(n))
}

func (r request) frame() []byte { return appendFrame(nil, r.slave, r.pdu) }

// function returns the code of the request.
func (r request) function() byte { return r.pdu[0] }

// frameLength is the length of the answer's frame.
func (r request) frameLength() int { return 1 + r.answer + 2 }

// match returns the PDU of the answer if frame is exactly the answer, and an
// Exception if the slave refuses. Any other error says in what the frame
// differs from an answer.
func (r request) match(frame []byte) ([]byte, error) {
	slave, pdu, err := parseFrame(frame)
	switch {
	case err != nil:
		return nil, err
	case slave != r.slave:
		return nil, fmt.Errorf("slave %d answered instead of %d", slave, r.slave)
	case pdu[0] == r.function()|exceptionBit && len(pdu) == 2:
		return nil, Exception(pdu[1])
	case pdu[0] != r.function():
		return nil, fmt.Errorf("the answer is to function %d instead of %d", pdu[0], r.function())
	case len(pdu) != r.answer:
		return nil, fmt.Errorf("the answer has %d bytes instead of %d", len(frame), r.frameLength())
	case !bytes.HasPrefix(pdu, r.prefix):
		return nil, fmt.Errorf("the answer is to another request: % x", frame)
	}
	return pdu, nil
}

// bits returns the n bits in the PDU of a matched answer to readBits.
func bits(pdu []byte, n int) []bool { return unpackBits(pdu[2:], n) }
