package ups

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/drivers"
)

// Signal is what a point of a UPS watches.
type Signal string

// The signals. The first four are Active when it is so; the others are measured,
// and Normal but for a Load over 100 %.
const (
	Mains          Signal = "mains"           // mains are lost: the UPS runs on its battery
	BatteryLow     Signal = "battery-low"     // the UPS is about to switch off
	Fault          Signal = "fault"           // the UPS itself is broken
	Bypass         Signal = "bypass"          // what hangs on it is not protected
	Load           Signal = "load"            // percent
	BatteryVoltage Signal = "battery-voltage" // V, of the battery, or of one cell
	Temperature    Signal = "temperature"     // °C
	InputVoltage   Signal = "input-voltage"   // V
)

// signals are all, in the order in which one poll emits them: alarms first.
func signals() []Signal {
	return []Signal{Mains, Fault, BatteryLow, Bypass, Load, BatteryVoltage, Temperature, InputVoltage}
}

// check returns an error that names the first signal no UPS has.
func check(points map[Signal]string) error {
	for _, s := range slices.Sorted(maps.Keys(points)) {
		if !slices.Contains(signals(), s) {
			var names []string
			for _, known := range signals() {
				names = append(names, string(known))
			}
			return fmt.Errorf("signal %q: want one of %s", s, strings.Join(names, ", "))
		}
	}
	return nil
}

// readings returns what a status says about the points.
func readings(points map[Signal]string, s status, about []string) (out []drivers.Reading) {
	detail := strings.Join(append([]string{s.String()}, about...), "; ")
	for _, signal := range signals() {
		if point, ok := points[signal]; ok {
			r := reading(signal, s)
			r.Point = point
			if r.Detail == "" {
				r.Detail = clip(detail)
			}
			out = append(out, r)
		}
	}
	return out
}

func reading(signal Signal, s status) drivers.Reading {
	flag := func(mask byte) drivers.Reading {
		if s.bits&mask != 0 {
			return drivers.Reading{State: longan.Active}
		}
		return drivers.Reading{State: longan.Normal}
	}
	number := func(m measure, unit string) drivers.Reading {
		if !m.known() {
			return drivers.Reading{Detail: "the UPS does not measure it"}
		}
		text := strconv.FormatFloat(float64(m), 'f', -1, 64) + " " + unit
		return drivers.Reading{State: longan.Normal, Value: float64(m), Detail: text}
	}
	switch signal {
	case Mains:
		return flag(mainsLost)
	case BatteryLow:
		return flag(batteryLow)
	case Fault:
		return flag(broken)
	case Bypass:
		return flag(bypass)
	case BatteryVoltage:
		return number(s.battery, "V")
	case Temperature:
		return number(s.temperature, "°C")
	case InputVoltage:
		return number(s.input, "V")
	}
	r := number(s.load, "%")
	if s.load > 100 {
		r.State = longan.Active
	}
	return r
}
