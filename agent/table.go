package agent

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/drivers"
	"github.com/longan-edge/longan/drivers/contact"
	"github.com/longan-edge/longan/drivers/escpos"
	"github.com/longan-edge/longan/drivers/modbus"
	"github.com/longan-edge/longan/drivers/osdp"
	firmwareconfig "github.com/longan-edge/longan/firmware-config"
)

// table makes the drivers that the site file names.
type table struct {
	cfg     Config
	last    map[string]longan.PointState // by point, as it was on disk when the agent began
	lines   map[string]*modbus.Line      // by port, for slaves that share one
	readers map[string]*osdp.Line        // by port, for card readers that share one
}

func newTable(cfg Config, last map[string]longan.PointState) *table {
	return &table{cfg: cfg, last: last, lines: map[string]*modbus.Line{}, readers: map[string]*osdp.Line{}}
}

// driver returns the driver of a peripheral. One that can't be made, for a key
// file that is not there, is a peripheral that fails, and stops no other.
func (t *table) driver(p firmwareconfig.Peripheral) drivers.Driver {
	d, err := t.make(p)
	if err != nil {
		return broken{err}
	}
	return d
}

// broken is the driver of a peripheral whose configuration can't work.
type broken struct{ error }

// Run implements drivers.Driver.
func (b broken) Run(context.Context, drivers.Emit) error { return b.error }

func (t *table) make(p firmwareconfig.Peripheral) (drivers.Driver, error) {
	switch p.Driver {
	case "contact":
		return newContact(t.cfg.Ports, p)
	case "relay":
		return t.relay(p)
	case "wiegand":
		return t.wiegand(p)
	case "modbus":
		line := t.lines[p.Port]
		if line == nil {
			line = modbus.NewLine(t.cfg.Ports, p.Port, serialMode(p))
			t.lines[p.Port] = line
		}
		return newModbus(line, p)
	case "osdp":
		return t.osdp(p)
	case "escpos":
		return newEscpos(t.cfg.Ports, p)
	case "scanner":
		return t.scanner(p)
	case "idreader":
		return t.idreader(p)
	case "ups":
		return t.ups(p)
	case "dc09":
		return t.dc09(p)
	case "kioskpc":
		return t.kioskpc(p)
	case "video":
		return t.video(p)
	}
	return nil, fmt.Errorf("no driver %q in this program", p.Driver)
}

func newContact(ports drivers.Ports, p firmwareconfig.Peripheral) (drivers.Driver, error) {
	var inputs []contact.Input
	for _, pt := range p.Points {
		pull, err := contact.ParsePull(pt.Pull)
		if err != nil {
			return nil, fmt.Errorf("point %s: %w", pt.Name, err)
		}
		inputs = append(inputs, contact.Input{
			Point: pt.Name, Line: pt.Signal, NormallyClosed: pt.NormallyClosed, Pull: pull, Debounce: pt.Debounce, Urgent: pt.Kind.Alarm(),
		})
	}
	return contact.New(ports, inputs, contact.Options{Poll: p.Poll}), nil
}

func newModbus(line *modbus.Line, p firmwareconfig.Peripheral) (drivers.Driver, error) {
	cfg := modbus.Config{Mode: serialMode(p), Address: p.Address, Poll: p.Poll, Timeout: p.Timeout}
	for _, pt := range alarmsFirst(p.Points) {
		bank, n, err := modbusSignal(pt.Signal)
		if err != nil {
			return nil, err
		}
		in := modbus.Input{Point: pt.Name, Number: n, NormallyClosed: pt.NormallyClosed}
		switch bank {
		case "di":
			cfg.Inputs = append(cfg.Inputs, in)
		case "do":
			cfg.Coils = append(cfg.Coils, in)
		case "ir":
			cfg.Registers = append(cfg.Registers, modbusRegister(pt, n))
		case "hr":
			cfg.Holding = append(cfg.Holding, modbusRegister(pt, n))
		}
	}
	for _, o := range p.Outputs {
		_, n, err := modbusSignal(o.Signal)
		if err != nil {
			return nil, err
		}
		out := modbus.Output{Name: o.Name, Number: n}
		if set := o.Set; set != nil {
			out.Register, out.Multiple, out.On, out.Off = true, set.Multiple, set.On, set.Off
		}
		cfg.Outputs = append(cfg.Outputs, out)
	}
	return modbus.NewOn(line, cfg), nil
}

func modbusRegister(pt firmwareconfig.Point, number int) modbus.Register {
	r := modbus.Register{Point: pt.Name, Number: number}
	if g := pt.Register; g != nil {
		r.Signed, r.Scale, r.Unit, r.Above, r.Below, r.Hysteresis = g.Signed, g.Scale, g.Unit, g.Above, g.Below, g.Hysteresis
	}
	return r
}

// modbusSignal divides a signal into what it is of and its number, from 1.
func modbusSignal(signal string) (bank string, number int, err error) {
	if len(signal) > 2 {
		bank = signal[:2]
		number, err = strconv.Atoi(signal[2:])
	}
	if !slices.Contains([]string{"di", "do", "ir", "hr"}, bank) || err != nil {
		return "", 0, fmt.Errorf("signal %q: want di, do, ir or hr and a number, like di1", signal)
	}
	return bank, number, nil
}

// alarmsFirst returns the points in the order in which one poll should emit
// them: each emit waits for the disk, and an alarm must not wait for a door.
func alarmsFirst(points []firmwareconfig.Point) []firmwareconfig.Point {
	return slices.SortedStableFunc(slices.Values(points), func(a, b firmwareconfig.Point) int {
		switch {
		case a.Kind.Alarm() == b.Kind.Alarm():
			return 0
		case a.Kind.Alarm():
			return -1
		}
		return 1
	})
}

func newEscpos(ports drivers.Ports, p firmwareconfig.Peripheral) (drivers.Driver, error) {
	cfg := escpos.Config{Mode: serialMode(p), Poll: p.Poll, Points: map[escpos.Signal]string{}}
	for _, pt := range p.Points {
		cfg.Points[escpos.Signal(pt.Signal)] = pt.Name
	}
	return escpos.New(ports, p.Port, cfg), nil
}

func serialMode(p firmwareconfig.Peripheral) drivers.SerialMode {
	mode := drivers.SerialMode{Baud: p.Baud, RS485: p.Driver == "modbus"}
	switch p.Parity {
	case "even":
		mode.Parity = drivers.EvenParity
	case "odd":
		mode.Parity = drivers.OddParity
	default:
		mode.Parity = drivers.NoParity
	}
	return mode
}

// clip shortens a text for people to what the contract carries.
func clip(s string) string {
	if len(s) <= longan.MaxLabel {
		return s
	}
	s = s[:longan.MaxLabel-3]
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s + "…"
}
