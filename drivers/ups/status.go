package ups

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// status is the answer to Q1.
type status struct {
	input, lowest, output measure // V; lowest is the input when mains failed last
	load                  measure // percent of what the UPS can carry
	frequency             measure // Hz, of the input
	battery               measure // V, of the whole battery or, of a UPS that is always on line, of one cell
	temperature           measure // degrees Celsius
	bits                  byte
}

// measure is a number, or NaN where the UPS sends dashes.
type measure float64

func (m measure) known() bool { return !math.IsNaN(float64(m)) }

// The status bits.
const (
	mainsLost  = 1 << 7
	batteryLow = 1 << 6
	bypass     = 1 << 5 // or, of some, boost and buck
	broken     = 1 << 4
	standby    = 1 << 3 // the UPS is of the standby type
	selfTest   = 1 << 2
	shutdown   = 1 << 1
	beeper     = 1 << 0
)

// Why an answer is none.
var (
	errForm     = errors.New("the answer is no Megatec status")
	errRejected = errors.New("the UPS does not know the request")
)

// parseStatus reads "(220.4 220.4 219.9 021 50.0 27.4 25.0 00000001". Noise may
// stand before the parenthesis.
func parseStatus(answer string) (s status, err error) {
	begin := strings.LastIndexByte(answer, '(')
	if begin < 0 {
		return s, errForm
	}
	fields := strings.Fields(answer[begin+1:])
	if len(fields) != 8 {
		return s, fmt.Errorf("%w: %d values, want 8", errForm, len(fields))
	}
	numbers := []struct {
		to       *measure
		min, max float64
	}{
		{&s.input, 0, 999}, {&s.lowest, 0, 999}, {&s.output, 0, 999}, {&s.load, 0, 999},
		{&s.frequency, 0, 99}, {&s.battery, 0, 999}, {&s.temperature, -60, 150},
	}
	for i, n := range numbers {
		if *n.to, err = parseMeasure(fields[i]); err != nil {
			return s, err
		}
		if v := float64(*n.to); v < n.min || v > n.max {
			return s, fmt.Errorf("%w: value %d is %v", errForm, i+1, v)
		}
	}
	bits := fields[7]
	if len(bits) != 8 || strings.Trim(bits, "01") != "" {
		return s, fmt.Errorf("%w: want eight status bits", errForm)
	}
	for _, b := range []byte(bits) {
		s.bits = s.bits<<1 | b&1
	}
	return s, nil
}

// parseMeasure reads a number with a point or a comma, or dashes.
func parseMeasure(s string) (measure, error) {
	if strings.Trim(s, "-.,") == "" && strings.Contains(s, "--") && len(s) <= 8 {
		return measure(math.NaN()), nil
	}
	s = strings.Replace(s, ",", ".", 1)
	digits := strings.TrimPrefix(s, "-")
	if digits == "" || len(digits) > 8 || strings.Trim(digits, "0123456789.") != "" {
		return 0, fmt.Errorf("%w: %q is no number", errForm, s)
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: %q is no number", errForm, s)
	}
	return measure(v), nil
}

// rejected reports whether an answer says that the UPS does not know the request:
// it sends it back, or NAK.
func rejected(request, answer string) bool {
	answer = strings.TrimSpace(answer)
	return answer == request || answer == "NAK" || answer == "(NAK"
}

// String returns the status for people.
func (s status) String() string {
	var b strings.Builder
	add := func(name string, m measure, unit string) {
		if m.known() {
			fmt.Fprintf(&b, "%s %s %s, ", name, strconv.FormatFloat(float64(m), 'f', -1, 64), unit)
		}
	}
	add("input", s.input, "V")
	add("output", s.output, "V")
	add("load", s.load, "%")
	add("battery", s.battery, "V")
	add("temperature", s.temperature, "°C")
	for _, bit := range []struct {
		mask byte
		name string
	}{
		{mainsLost, "mains lost"}, {batteryLow, "battery low"}, {bypass, "bypass"}, {broken, "fault"},
		{selfTest, "testing"}, {shutdown, "shutting down"},
	} {
		if s.bits&bit.mask != 0 {
			b.WriteString(bit.name + ", ")
		}
	}
	return strings.TrimSuffix(b.String(), ", ")
}

// rating is the answer to F: "#220.0 004 24.00 50.0". It returns the battery's
// rated voltage, and what of it is worth telling.
func rating(answer string) (string, bool) {
	_, text, ok := strings.Cut(answer, "#")
	fields := strings.Fields(text)
	if !ok || len(fields) != 4 {
		return "", false
	}
	for _, f := range fields {
		if m, err := parseMeasure(f); err != nil || !m.known() {
			return "", false
		}
	}
	return fmt.Sprintf("made for %s V, %s A, battery of %s V", fields[0], strings.TrimLeft(fields[1], "0"), fields[2]), true
}

// maker is the answer to I: "#" and 15 characters of maker, 10 of model, 10 of
// version, each followed by a space.
func maker(answer string) (string, bool) {
	_, text, ok := strings.Cut(answer, "#")
	if !ok || len(text) < 30 || len(text) > 45 {
		return "", false
	}
	for _, b := range []byte(text) {
		if b < ' ' || b > '~' {
			return "", false
		}
	}
	text = strings.Join(strings.Fields(text), " ")
	return text, text != ""
}
