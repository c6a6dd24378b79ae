package modbus

import (
	"fmt"
	"slices"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/drivers"
)

// span is one request of a poll and the points that its bits give.
type span struct {
	request request
	name    string // for errors: "di1 to di8"
	first   int    // 1-based number of the first bit
	count   int
	points  []Input
	unit    string // "di", "do", "ir" or "hr"

	registers []*gauge // in place of points, of a request for registers
}

// plan checks the configuration and returns the requests of one poll.
func (m *Module) plan() ([]span, error) {
	for _, o := range m.cfg.Outputs {
		if o.Number < 1 || o.Number > 1<<16 {
			return nil, fmt.Errorf("output %s: number %d: want do1 to do65536, or hr1 to hr65536", o.Name, o.Number)
		}
	}
	spans, err := m.cover("di", ReadDiscreteInputs, m.cfg.Inputs)
	if err != nil {
		return nil, err
	}
	coils := m.cfg.Coils
	holding := m.cfg.Holding
	if len(m.cfg.Inputs)+len(coils)+len(m.cfg.Registers)+len(holding) == 0 { // outputs alone: read them to see that it lives
		for _, o := range m.cfg.Outputs {
			if o.Register {
				holding = append(holding, Register{Number: o.Number})
			} else {
				coils = append(coils, Input{Number: o.Number})
			}
		}
	}
	more, err := m.cover("do", ReadCoils, coils)
	if err != nil {
		return nil, err
	}
	spans = append(spans, more...)
	for _, bank := range []struct {
		unit string
		f    Function
		all  []Register
	}{{"ir", ReadInputRegisters, m.cfg.Registers}, {"hr", ReadHoldingRegisters, holding}} {
		more, err := m.coverRegisters(bank.unit, bank.f, bank.all)
		if err != nil {
			return nil, err
		}
		spans = append(spans, more...)
	}
	if len(spans) == 0 {
		return nil, fmt.Errorf("slave %d has neither inputs nor outputs: name some in the site file", m.cfg.Address)
	}
	return spans, nil
}

// cover returns requests for all inputs: as few as their numbers allow.
func (m *Module) cover(unit string, f Function, inputs []Input) ([]span, error) {
	given := inputs // whose order the readings keep
	inputs = slices.Clone(inputs)
	slices.SortFunc(inputs, func(a, b Input) int { return a.Number - b.Number })
	var spans []span
	for len(inputs) > 0 {
		first := inputs[0].Number
		n := 1
		for n < len(inputs) && inputs[n].Number < first+maxReadBits {
			n++
		}
		count := inputs[n-1].Number - first + 1
		if m.cfg.Address < 1 || m.cfg.Address > 247 {
			return nil, fmt.Errorf("address %d: want a slave of 1 to 247", m.cfg.Address)
		}
		r, err := readBits(byte(m.cfg.Address), f, first-1, count)
		if err != nil {
			return nil, err
		}
		points := slices.DeleteFunc(slices.Clone(given), func(in Input) bool { return in.Number < first || in.Number >= first+count })
		spans = append(spans, span{request: r, name: spanName(unit, first, count), first: first, count: count, points: points, unit: unit})
		inputs = inputs[n:]
	}
	return spans, nil
}

// spanName is how errors call a span.
func spanName(unit string, first, count int) string {
	if count == 1 {
		return fmt.Sprintf("%s%d", unit, first)
	}
	return fmt.Sprintf("%s%d to %s%d", unit, first, unit, first+count-1)
}

// readings turns an answer into a reading for each point of the span.
func (s *span) readings(pdu []byte) []drivers.Reading {
	var out []drivers.Reading
	if s.registers != nil {
		values := registers(pdu)
		for _, g := range s.registers {
			if g.Point != "" {
				out = append(out, g.reading(values[g.Number-s.first]))
			}
		}
		return out
	}
	on := bits(pdu, s.count)
	for _, p := range s.points {
		if p.Point == "" {
			continue
		}
		bit := on[p.Number-s.first]
		r := drivers.Reading{Point: p.Point, State: longan.Normal, Detail: fmt.Sprintf("%s%d off", s.unit, p.Number)}
		if bit {
			r.Detail = fmt.Sprintf("%s%d on", s.unit, p.Number)
		}
		if bit != p.NormallyClosed {
			r.State = longan.Active
		}
		out = append(out, r)
	}
	return out
}

// defaults of Config.
const (
	defaultBaud    = 9600
	defaultPoll    = 100 * time.Millisecond
	defaultTimeout = 300 * time.Millisecond
	defaultRetries = 2
)

func (c Config) withDefaults() Config {
	if c.Mode.Baud <= 0 {
		c.Mode.Baud = defaultBaud
	}
	if c.Poll <= 0 {
		c.Poll = defaultPoll
	}
	if c.Timeout <= 0 {
		c.Timeout = defaultTimeout
	}
	if c.Retries == 0 {
		c.Retries = defaultRetries
	}
	c.Retries = max(c.Retries, 0)
	return c
}
