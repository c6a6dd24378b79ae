package agent

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/drivers"
	"github.com/longan-edge/longan/drivers/contact"
	"github.com/longan-edge/longan/drivers/escpos"
	"github.com/longan-edge/longan/drivers/modbus"
	firmwareconfig "github.com/longan-edge/longan/firmware-config"
)

// newDriver is the table of drivers: it makes the one that the site file names.
func newDriver(ports drivers.Ports, p firmwareconfig.Peripheral) (drivers.Driver, error) {
	switch p.Driver {
	case "contact":
		return newContact(ports, p)
	case "modbus":
		return newModbus(ports, p)
	case "escpos":
		return newEscpos(ports, p)
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

func newModbus(ports drivers.Ports, p firmwareconfig.Peripheral) (drivers.Driver, error) {
	cfg := modbus.Config{Mode: serialMode(p), Address: p.Address, Poll: p.Poll}
	for _, pt := range alarmsFirst(p.Points) {
		in := modbus.Input{Point: pt.Name, NormallyClosed: pt.NormallyClosed}
		var err error
		if n, ok := strings.CutPrefix(pt.Signal, "do"); ok {
			in.Number, err = strconv.Atoi(n)
			cfg.Coils = append(cfg.Coils, in)
		} else {
			in.Number, err = strconv.Atoi(strings.TrimPrefix(pt.Signal, "di"))
			cfg.Inputs = append(cfg.Inputs, in)
		}
		if err != nil {
			return nil, fmt.Errorf("signal %q: want di1, di2 … or do1, do2 …", pt.Signal)
		}
	}
	for _, o := range p.Outputs {
		n, err := strconv.Atoi(strings.TrimPrefix(o.Signal, "do"))
		if err != nil {
			return nil, fmt.Errorf("output signal %q: want do1, do2 …", o.Signal)
		}
		cfg.Outputs = append(cfg.Outputs, modbus.Output{Name: o.Name, Number: n})
	}
	return modbus.New(ports, p.Port, cfg), nil
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
