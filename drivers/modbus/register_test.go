package modbus

import (
	"bytes"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/drivers/porttest"
)

// TestRegisterRequests uses the examples of the specification, 6.3, 6.4, 6.6 and
// 6.12.
func TestRegisterRequests(t *testing.T) {
	for _, test := range []struct {
		name           string
		make           func() (request, error)
		want, answer   string
		registers      string
		mostRegistered bool
	}{
		{"holding registers", func() (request, error) { return readRegisters(1, ReadHoldingRegisters, 0x6B, 3) },
			"01 03 00 6b 00 03 74 17", "01 03 06 02 2b 00 00 00 64 05 7a", "[555 0 100]", true},
		{"input register", func() (request, error) { return readRegisters(1, ReadInputRegisters, 8, 1) },
			"01 04 00 08 00 01 b0 08", "01 04 02 00 0a 39 37", "[10]", true},
		{"one register", func() (request, error) { return writeRegister(1, 1, 3) },
			"01 06 00 01 00 03 98 0b", "01 06 00 01 00 03 98 0b", "", false},
		{"two registers", func() (request, error) { return writeRegisters(1, 1, []uint16{10, 0x102}) },
			"01 10 00 01 00 02 04 00 0a 01 02 92 30", "01 10 00 01 00 02 10 08", "", false},
	} {
		r := must(t)(test.make())
		if got := r.frame(); !bytes.Equal(got, unhex(t, test.want)) {
			t.Errorf("%s: got % x, want %s", test.name, got, test.want)
		}
		pdu, err := r.match(unhex(t, test.answer))
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		} else if test.mostRegistered && fmt.Sprint(registers(pdu)) != test.registers {
			t.Errorf("%s: got %v, want %s", test.name, registers(pdu), test.registers)
		}
	}
}

func TestGauge(t *testing.T) {
	limit := func(f float64) *float64 { return &f }
	for _, test := range []struct {
		name   string
		r      Register
		counts []uint16
		want   string
	}{
		{"plain", Register{}, []uint16{0, 65535}, "0 normal, 65535 normal"},
		{"signed", Register{Signed: true, Scale: 0.1, Unit: "°C"}, []uint16{235, 0xFFF6}, "23.5 °C normal, -1 °C normal"},
		{"too warm, with hysteresis", Register{Scale: 0.1, Above: limit(30), Hysteresis: 2}, []uint16{300, 301, 290, 281, 280, 300},
			"30 normal, 30.1 active, 29 active, 28.1 active, 28 normal, 30 normal"},
		{"too low", Register{Below: limit(10), Hysteresis: 5}, []uint16{10, 9, 14, 15, 9}, "10 normal, 9 active, 14 active, 15 normal, 9 active"},
		{"a band", Register{Signed: true, Below: limit(-1), Above: limit(1)}, []uint16{0, 2, 0xFFFE, 1}, "0 normal, 2 active, -2 active, 1 normal"},
	} {
		g, got := gauge{Register: test.r}, ""
		for _, c := range test.counts {
			r := g.reading(c)
			if got += ", " + r.Detail + " " + r.State.String(); math.IsNaN(r.Value) {
				t.Errorf("%s: value of %d is %v", test.name, c, r.Value)
			}
		}
		if got = got[2:]; got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}

// TestRegistersOfAPoll reads a temperature and switches by a register.
func TestRegistersOfAPoll(t *testing.T) {
	for _, multiple := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			write, confirm := appendFrame(nil, 1, []byte{6, 0, 4, 0, 7}), appendFrame(nil, 1, []byte{6, 0, 4, 0, 7})
			if multiple {
				write, confirm = appendFrame(nil, 1, []byte{16, 0, 4, 0, 1, 2, 0, 7}), appendFrame(nil, 1, []byte{16, 0, 4, 0, 1})
			}
			var ports porttest.Ports
			script := ports.Script(line,
				porttest.Expect(unhex(t, "01 04 00 08 00 01 b0 08")...), porttest.Reply(unhex(t, "01 04 02 00 0a 39 37")...),
				porttest.Expect(write...), porttest.Reply(confirm...))
			b := start(t, &ports, Config{
				Address: 1, Poll: time.Hour, Registers: []Register{{Point: "warm", Number: 9, Scale: 2, Unit: "°C"}},
				Outputs: []Output{{Name: "fan", Number: 5, Register: true, Multiple: multiple, On: 7}},
			})
			time.Sleep(time.Second)
			if err := b.module.Act(t.Context(), "fan", true); err != nil {
				t.Errorf("multiple %v: %v", multiple, err)
			}
			b.mu.Lock()
			if r := b.readings[0]; len(b.readings) != 1 || r.Value != 20 || r.State != longan.Normal || r.Detail != "20 °C" {
				t.Errorf("readings %+v, want 20 °C", b.readings)
			}
			b.mu.Unlock()
			b.cancel()
			<-b.done
			if err := script.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
