package peripheral

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// ModuleConfig describes a simulated digital I/O module.
type ModuleConfig struct {
	Address byte // on the bus
	Inputs  int
	Coils   int
}

// Module is a digital I/O module on RS-485: a Modbus RTU server (Modbus over
// serial line v1.02) with discrete inputs and coils, function codes 01, 02, 05
// and 15.
type Module struct {
	cfg ModuleConfig

	mu     sync.Mutex
	inputs []bool
	coils  []bool
	fault  Fault
}

// Fault is a way in which a simulated device misbehaves.
type Fault int

// The faults.
const (
	NoFault   Fault = iota
	Silent          // does not answer
	Babbling        // answers with noise
	HalfFrame       // answers with the first half only
	WrongCRC        // answers with a wrong checksum
	Late            // answers lateBy after the question
)

// lateBy is how late a Late answer is.
const lateBy = 700 * time.Millisecond

// NewModule returns a module with all inputs open and all relays off.
func NewModule(cfg ModuleConfig) *Module {
	return &Module{cfg: cfg, inputs: make([]bool, cfg.Inputs), coils: make([]bool, cfg.Coils)}
}

// SetInput closes or opens the circuit at input n, which counts from 1.
func (m *Module) SetInput(n int, closed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.inputs[n-1] = closed
}

// Coil reports whether relay n, which counts from 1, is on.
func (m *Module) Coil(n int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.coils[n-1]
}

// SetFault makes the module misbehave from the next answer on.
func (m *Module) SetFault(f Fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = f
}

// frameGap ends a frame. It is longer than the standard's 3.5 characters: a
// pseudo-terminal has no baud rate, and a busy machine pauses between writes.
const frameGap = 20 * time.Millisecond

// Serve answers on a port until ctx ends; then it returns nil.
func (m *Module) Serve(ctx context.Context, p Port) error {
	defer closeOnDone(ctx, p)()
	var frame []byte
	buf := make([]byte, 256)
	for {
		var deadline time.Time // none while nothing of a frame is there
		if len(frame) > 0 {
			deadline = time.Now().Add(frameGap)
		}
		if err := p.SetReadDeadline(deadline); err != nil {
			return m.end(ctx, err)
		}
		if ctx.Err() != nil {
			return nil
		}
		n, err := p.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil {
			frame = frame[:0] // a gap: what came was no frame
			continue
		}
		if err != nil {
			return m.end(ctx, err)
		}
		frame = append(frame, buf[:n]...)
		if len(frame) > 256 {
			frame = frame[:0]
		}
		if want := requestLength(frame); want > 0 && len(frame) >= want {
			if err := m.reply(ctx, p, frame[:want]); err != nil {
				return m.end(ctx, err)
			}
			frame = frame[:0]
		}
	}
}

func (m *Module) end(ctx context.Context, err error) error {
	if ended(ctx, err) || ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("serve module: %w", err)
}

// requestLength returns how long the request is that begins with b, or 0 when
// that can't be told yet.
func requestLength(b []byte) int {
	switch {
	case len(b) < 2:
		return 0
	case b[1] == 0x0f || b[1] == 0x10:
		if len(b) < 7 {
			return 0
		}
		return 9 + int(b[6])
	}
	return 8
}

func (m *Module) reply(ctx context.Context, p Port, request []byte) error {
	if crc := crc16(request[:len(request)-2]); request[len(request)-2] != byte(crc) || request[len(request)-1] != byte(crc>>8) {
		return nil // a server does not answer what it can't trust
	}
	broadcast := request[0] == 0
	if request[0] != m.cfg.Address && !broadcast {
		return nil
	}
	answer := m.answer(request[1 : len(request)-2])
	if broadcast {
		return nil
	}
	return m.send(ctx, p, append([]byte{m.cfg.Address}, answer...))
}

func (m *Module) send(ctx context.Context, p Port, b []byte) error {
	crc := crc16(b)
	m.mu.Lock()
	fault := m.fault
	m.mu.Unlock()
	switch fault {
	case Silent:
		return nil
	case Babbling:
		b, crc = []byte("\x00\xff\x55\xaa noise \x00\x01\x02"), 0x1234
	case WrongCRC:
		crc ^= 0x0101
	case Late:
		select {
		case <-time.After(lateBy):
		case <-ctx.Done():
			return nil
		}
	}
	b = append(b, byte(crc), byte(crc>>8))
	if fault == HalfFrame {
		b = b[:len(b)/2]
	}
	_, err := p.Write(b)
	return err
}

// answer returns function code and data of the answer to a request's function
// code and data.
func (m *Module) answer(pdu []byte) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	const illegalFunction, illegalAddress, illegalValue = 1, 2, 3
	exception := func(code byte) []byte { return []byte{pdu[0] | 0x80, code} }
	from, n := int(pdu[1])<<8|int(pdu[2]), int(pdu[3])<<8|int(pdu[4])
	switch pdu[0] {
	case 0x01, 0x02:
		bits := m.coils
		if pdu[0] == 0x02 {
			bits = m.inputs
		}
		if n == 0 || n > 2000 {
			return exception(illegalValue)
		}
		if from+n > len(bits) {
			return exception(illegalAddress)
		}
		packed := packBits(bits[from : from+n])
		return append([]byte{pdu[0], byte(len(packed))}, packed...)
	case 0x05:
		if from >= len(m.coils) {
			return exception(illegalAddress)
		}
		if n != 0 && n != 0xff00 {
			return exception(illegalValue)
		}
		m.coils[from] = n != 0
		return pdu
	case 0x0f:
		if n == 0 || n > 1968 || int(pdu[5]) != (n+7)/8 {
			return exception(illegalValue)
		}
		if from+n > len(m.coils) {
			return exception(illegalAddress)
		}
		for i := range n {
			m.coils[from+i] = pdu[6+i/8]>>(i%8)&1 != 0
		}
		return pdu[:5]
	}
	return exception(illegalFunction)
}

func packBits(bits []bool) []byte {
	out := make([]byte, (len(bits)+7)/8)
	for i, b := range bits {
		if b {
			out[i/8] |= 1 << (i % 8)
		}
	}
	return out
}

// crc16 is the CRC of Modbus RTU, written anew here so that the simulated
// module does not share a mistake with the driver.
func crc16(b []byte) uint16 {
	crc := uint16(0xffff)
	for _, c := range b {
		crc ^= uint16(c)
		for range 8 {
			carry := crc & 1
			crc >>= 1
			if carry != 0 {
				crc ^= 0xa001
			}
		}
	}
	return crc
}
