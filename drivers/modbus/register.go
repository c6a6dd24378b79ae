package modbus

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/drivers"
)

// Limits of one request, in registers; sections 6.3, 6.4 and 6.12.
const (
	maxReadRegisters  = 125
	maxWriteRegisters = 123
)

// Register is a point at an input register or a holding register: a measurement,
// and what it means.
type Register struct {
	Point  string // name of the point
	Number int    // 1-based: 1 is ir1, or hr1 of a holding register
	// Signed: the register is in two's complement.
	Signed bool
	// Scale is what one count is worth; 0 is 1. Unit is written behind the value,
	// for people.
	Scale float64
	Unit  string
	// Above and Below are the limits beyond which the point is Active, in units;
	// nil is none. Back within by Hysteresis it is Normal again.
	Above, Below *float64
	Hysteresis   float64
}

// readRegisters asks for n registers from the 0-based address on.
func readRegisters(slave byte, f Function, address, n int) (request, error) {
	if err := checkRange(slave, address, n, maxReadRegisters); err != nil {
		return request{}, fmt.Errorf("read registers: %w", err)
	}
	return request{
		slave:  slave,
		pdu:    appendRange([]byte{byte(f)}, address, n),
		answer: 2 + 2*n,
		prefix: []byte{byte(f), byte(2 * n)},
	}, nil
}

// writeRegister sets one holding register. The answer repeats the request.
func writeRegister(slave byte, address int, value uint16) (request, error) {
	if err := checkRange(slave, address, 1, 1); err != nil {
		return request{}, fmt.Errorf("write register: %w", err)
	}
	pdu := appendRange([]byte{byte(WriteSingleRegister)}, address, int(value))
	return request{slave: slave, pdu: pdu, answer: len(pdu), prefix: pdu}, nil
}

// writeRegisters sets holding registers from the 0-based address on. The answer
// repeats address and number.
func writeRegisters(slave byte, address int, values []uint16) (request, error) {
	if err := checkRange(slave, address, len(values), maxWriteRegisters); err != nil {
		return request{}, fmt.Errorf("write registers: %w", err)
	}
	head := appendRange([]byte{byte(WriteMultipleRegisters)}, address, len(values))
	pdu := append(bytes.Clone(head), byte(2*len(values)))
	for _, v := range values {
		pdu = binary.BigEndian.AppendUint16(pdu, v)
	}
	return request{slave: slave, pdu: pdu, answer: len(head), prefix: head}, nil
}

// registers returns the values in the PDU of a matched answer to readRegisters.
func registers(pdu []byte) []uint16 {
	values := make([]uint16, 0, (len(pdu)-2)/2)
	for b := pdu[2:]; len(b) >= 2; b = b[2:] {
		values = append(values, binary.BigEndian.Uint16(b))
	}
	return values
}

// coverRegisters is cover for registers.
func (m *Module) coverRegisters(unit string, f Function, all []Register) ([]span, error) {
	given := all // whose order the readings keep
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b Register) int { return a.Number - b.Number })
	var spans []span
	for len(all) > 0 {
		first := all[0].Number
		n := 1
		for n < len(all) && all[n].Number < first+maxReadRegisters {
			n++
		}
		count := all[n-1].Number - first + 1
		if m.cfg.Address < 1 || m.cfg.Address > 247 {
			return nil, fmt.Errorf("address %d: want a slave of 1 to 247", m.cfg.Address)
		}
		r, err := readRegisters(byte(m.cfg.Address), f, first-1, count)
		if err != nil {
			return nil, err
		}
		s := span{request: r, name: spanName(unit, first, count), first: first, count: count, unit: unit}
		for _, p := range given {
			if p.Number >= first && p.Number < first+count {
				s.registers = append(s.registers, &gauge{Register: p})
			}
		}
		spans = append(spans, s)
		all = all[n:]
	}
	return spans, nil
}

// gauge is a register's point, and on which side of its limits it was last.
type gauge struct {
	Register
	active bool
}

// reading returns what a count means.
func (g *gauge) reading(count uint16) drivers.Reading {
	value := float64(count)
	if g.Signed {
		value = float64(int16(count))
	}
	if g.Scale != 0 {
		value *= g.Scale
	}
	slack := 0.0 // how far within its limits the value must be
	if g.active {
		slack = g.Hysteresis
	}
	g.active = (g.Above != nil && value > *g.Above-slack) || (g.Below != nil && value < *g.Below+slack)
	r := drivers.Reading{Point: g.Point, State: longan.Normal, Value: value, Detail: strconv.FormatFloat(value, 'g', 6, 64)}
	if g.Unit != "" {
		r.Detail += " " + g.Unit
	}
	if g.active {
		r.State = longan.Active
	}
	return r
}
