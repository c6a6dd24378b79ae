package peripheral

import (
	"context"
	"encoding/binary"
	"io"
	"sync"
)

// ModuleConfig describes a simulated digital I/O module.
type ModuleConfig struct {
	Address byte // on the bus, 1 to 247
	Inputs  int
	Coils   int
	// Registers and Holding are the numbers of its input and holding registers.
	Registers, Holding int
}

// Module is a digital I/O module: a Modbus RTU slave with discrete inputs and
// coils, after "MODBUS over Serial Line V1.02" and "MODBUS Application Protocol
// V1.1b3". It knows functions 1 to 6, 15 and 16 and refuses all others.
type Module struct {
	faults
	address byte

	mu        sync.Mutex
	inputs    []bool
	coils     []bool
	registers []uint16 // input registers
	holding   []uint16
	requests  int
}

// NewModule returns a module with all inputs open and all relays off.
func NewModule(cfg ModuleConfig) *Module {
	return &Module{address: cfg.Address, inputs: make([]bool, cfg.Inputs), coils: make([]bool, cfg.Coils),
		registers: make([]uint16, cfg.Registers), holding: make([]uint16, cfg.Holding)}
}

// SetInput closes or opens the circuit at input n, counted from 1; one it does not have is ignored.
func (m *Module) SetInput(n int, closed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n >= 1 && n <= len(m.inputs) {
		m.inputs[n-1] = closed
	}
}

// Coil reports whether relay n, counted from 1, is on.
func (m *Module) Coil(n int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return n >= 1 && n <= len(m.coils) && m.coils[n-1]
}

// SetRegister sets input register n, counted from 1; one it does not have is ignored.
func (m *Module) SetRegister(n int, value uint16) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n >= 1 && n <= len(m.registers) {
		m.registers[n-1] = value
	}
}

// Holding returns holding register n, counted from 1; one it does not have is 0.
func (m *Module) Holding(n int) uint16 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n < 1 || n > len(m.holding) {
		return 0
	}
	return m.holding[n-1]
}

// Requests returns how many requests were addressed to it.
func (m *Module) Requests() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.requests
}

// Serve answers requests on port until ctx ends, when it returns nil and leaves
// the port open, or the port fails. It may be called again, as after a replug;
// the relays keep their state.
func (m *Module) Serve(ctx context.Context, port Port) error {
	return Chain{m}.Serve(ctx, port)
}

// maxRTU is the size of the largest frame.
const maxRTU = 256

// cutRequest returns the first sound frame in b and what follows it. A real
// slave finds the frame by the silences around it; pipes and pseudo-terminals
// have none, so the checksum must do.
func cutRequest(b []byte) (frame, rest []byte, ok bool) {
	for i := range b {
		tail := b[i:]
		if n := requestLength(tail); n > 0 {
			return tail[:n], tail[n:], true
		}
	}
	return nil, b[max(0, len(b)-maxRTU):], false
}

// requestLength is the length of the sound request that b starts with, or 0.
// Over a whole frame, checksum included, the checksum is 0.
func requestLength(b []byte) int {
	if len(b) < 4 {
		return 0
	}
	n := 0
	switch f := b[1]; {
	case f >= 1 && f <= 6:
		n = 8
	case f == 15 || f == 16:
		if len(b) < 7 {
			return 0
		}
		n = 9 + int(b[6])
	case f == 0 || f >= 0x80:
		return 0
	default:
		return unknownLength(b)
	}
	if n > len(b) || rtuChecksum(b[:n]) != 0 {
		return 0
	}
	return n
}

// unknownLength is requestLength for a function whose length is not known.
func unknownLength(b []byte) int {
	register := rtuChecksum(b[:3])
	for n := 4; n <= min(len(b), maxRTU); n++ {
		if register = rtuStep(register, b[n-1]); register == 0 {
			return n
		}
	}
	return 0
}

// rtuChecksum divides by the polynomial x^16 + x^15 + x^2 + 1 as the
// specification draws it, on the message with its bits in the order of the wire.
func rtuChecksum(message []byte) uint16 {
	register := uint16(0xFFFF)
	for _, b := range message {
		register = rtuStep(register, b)
	}
	return register
}

func rtuStep(register uint16, b byte) uint16 {
	for bit := range 8 {
		feedback := register&1 ^ uint16(b>>bit&1)
		register >>= 1
		if feedback == 1 {
			register ^= 0xA001
		}
	}
	return register
}

func (m *Module) handle(ctx context.Context, w io.Writer, frame []byte) error {
	if frame[0] != m.address && frame[0] != 0 {
		return nil // for another slave, or its answer
	}
	answer := m.carryOut(frame[1 : len(frame)-2])
	if frame[0] == 0 {
		return nil // a broadcast is carried out, and never answered
	}
	answer = append([]byte{m.address}, answer...)
	return m.reply(ctx, w, binary.LittleEndian.AppendUint16(answer, rtuChecksum(answer)))
}

// Exception codes.
const (
	illegalFunction = 1
	illegalAddress  = 2
	illegalValue    = 3
)

// carryOut returns the PDU of the answer to a PDU.
func (m *Module) carryOut(pdu []byte) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests++
	refuse := func(code byte) []byte { return []byte{pdu[0] | 0x80, code} }
	known := (pdu[0] >= 1 && pdu[0] <= 6) || pdu[0] == 15 || pdu[0] == 16
	if !known {
		return refuse(illegalFunction)
	}
	if len(pdu) < 5 {
		return refuse(illegalValue)
	}
	if pdu[0] == 3 || pdu[0] == 4 || pdu[0] == 6 || pdu[0] == 16 {
		answer, code := m.carryOutRegisters(pdu)
		if code != 0 {
			return refuse(code)
		}
		return answer
	}
	address, value := int(binary.BigEndian.Uint16(pdu[1:])), int(binary.BigEndian.Uint16(pdu[3:]))
	bank := m.coils
	if pdu[0] == 2 {
		bank = m.inputs
	}
	switch pdu[0] {
	case 1, 2:
		if value < 1 || value > 2000 {
			return refuse(illegalValue)
		}
		if address+value > len(bank) {
			return refuse(illegalAddress)
		}
		return append([]byte{pdu[0]}, bitBytes(bank[address:address+value])...)
	case 5:
		if value != 0 && value != 0xFF00 {
			return refuse(illegalValue)
		}
		if address >= len(bank) {
			return refuse(illegalAddress)
		}
		bank[address] = value != 0
		return pdu
	default:
		if value < 1 || value > 1968 || len(pdu) != 6+(value+7)/8 || int(pdu[5]) != (value+7)/8 {
			return refuse(illegalValue)
		}
		if address+value > len(bank) {
			return refuse(illegalAddress)
		}
		for i := range value {
			bank[address+i] = pdu[6+i/8]>>(i%8)&1 == 1
		}
		return pdu[:5]
	}
}

// carryOutRegisters is carryOut for registers: the answer's PDU, or an exception
// code. m.mu is held.
func (m *Module) carryOutRegisters(pdu []byte) (answer []byte, code byte) {
	address, value := int(binary.BigEndian.Uint16(pdu[1:])), int(binary.BigEndian.Uint16(pdu[3:]))
	bank := m.holding
	if pdu[0] == 4 {
		bank = m.registers
	}
	switch {
	case pdu[0] == 6 && address >= len(bank):
		return nil, illegalAddress
	case pdu[0] == 6:
		bank[address] = uint16(value)
		return pdu, 0
	case pdu[0] == 16 && (value < 1 || value > 123 || len(pdu) != 6+2*value || int(pdu[5]) != 2*value):
		return nil, illegalValue
	case value < 1 || value > 125:
		return nil, illegalValue
	case address+value > len(bank):
		return nil, illegalAddress
	case pdu[0] == 16:
		for i := range value {
			bank[address+i] = binary.BigEndian.Uint16(pdu[6+2*i:])
		}
		return pdu[:5], 0
	}
	answer = []byte{pdu[0], byte(2 * value)}
	for _, v := range bank[address : address+value] {
		answer = binary.BigEndian.AppendUint16(answer, v)
	}
	return answer, 0
}

// bitBytes returns a byte count and the bits, the first one lowest.
func bitBytes(bits []bool) []byte {
	b := make([]byte, 1+(len(bits)+7)/8)
	b[0] = byte(len(b) - 1)
	for i, on := range bits {
		if on {
			b[1+i/8] |= 1 << (i % 8)
		}
	}
	return b
}
