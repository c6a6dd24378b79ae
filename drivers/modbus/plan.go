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
	unit    string // "di" or "do"
}

// plan checks the configuration and returns the requests of one poll.
func (m *Module) plan() ([]span, error) {
	for _, o := range m.cfg.Outputs {
		if o.Number < 1 || o.Number > 1<<16 {
			return nil, fmt.Errorf("output %s: number %d: want do1 to do65536", o.Name, o.Number)
		}
	}
	spans, err := m.cover("di", ReadDiscreteInputs, m.cfg.Inputs)
	if err != nil {
		return nil, err
	}
	coils := m.cfg.Coils
	if len(m.cfg.Inputs) == 0 && len(coils) == 0 { // outputs alone: read them to see that it lives
		for _, o := range m.cfg.Outputs {
			coils = append(coils, Input{Number: o.Number})
		}
	}
	more, err := m.cover("do", ReadCoils, coils)
	if err != nil {
		return nil, err
	}
	if spans = append(spans, more...); len(spans) == 0 {
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
		name := fmt.Sprintf("%s%d", unit, first)
		if count > 1 {
			name += fmt.Sprintf(" to %s%d", unit, first+count-1)
		}
		points := slices.DeleteFunc(slices.Clone(given), func(in Input) bool { return in.Number < first || in.Number >= first+count })
		spans = append(spans, span{request: r, name: name, first: first, count: count, points: points, unit: unit})
		inputs = inputs[n:]
	}
	return spans, nil
}

// readings turns an answer into a reading for each point of the span.
func (s *span) readings(pdu []byte) []drivers.Reading {
	on := bits(pdu, s.count)
	var out []drivers.Reading
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
