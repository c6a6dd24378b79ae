package peripheral

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
)

// UPS is a line-interactive uninterruptible power supply for 220 V with a battery
// of 24 V that answers Megatec's Q1, F and I. As real ones do, it sends back any
// request that it does not know.
type UPS struct {
	faults

	mu                           sync.Mutex
	mainsLost, low, broken, dash bool
	bypass                       bool
	load                         int
	battery, celsius             float64
	unknown                      []string
	asked                        map[string]int
}

// NewUPS returns a UPS on mains, with a full battery and 21 % of load at 25 °C.
func NewUPS() *UPS {
	return &UPS{load: 21, battery: 27.4, celsius: 25, asked: make(map[string]int)}
}

// SetMains cuts the mains, or brings them back; the battery's voltage follows.
func (u *UPS) SetMains(on bool) {
	u.change(func() {
		u.mainsLost, u.battery = !on, 27.4
		if !on {
			u.battery = 24.6
		}
	})
}

// SetBatteryLow empties the battery but for the last minutes, or charges it.
func (u *UPS) SetBatteryLow(low bool) {
	u.change(func() {
		u.low, u.battery = low, 27.4
		if low {
			u.battery = 21.1
		}
	})
}

// SetLoad sets the load in percent.
func (u *UPS) SetLoad(percent int) { u.change(func() { u.load = percent }) }

// SetTemperature sets the temperature in degrees Celsius.
func (u *UPS) SetTemperature(celsius float64) { u.change(func() { u.celsius = celsius }) }

// SetNoThermometer makes it a UPS that sends dashes for its temperature.
func (u *UPS) SetNoThermometer(none bool) { u.change(func() { u.dash = none }) }

// SetBroken breaks the inverter, or mends it.
func (u *UPS) SetBroken(broken bool) { u.change(func() { u.broken = broken }) }

// SetBypass leads the mains around the UPS.
func (u *UPS) SetBypass(on bool) { u.change(func() { u.bypass = on }) }

// SetUnknown makes it a UPS that does not know these requests, of Q1, F and I.
func (u *UPS) SetUnknown(requests ...string) { u.change(func() { u.unknown = requests }) }

// Asked returns how often a request came.
func (u *UPS) Asked(request string) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.asked[request]
}

func (u *UPS) change(do func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	do()
}

// Serve answers requests on port until ctx ends, when it returns nil and leaves
// the port open, or the port fails. It may be called again.
func (u *UPS) Serve(ctx context.Context, port Port) error {
	var line []byte
	return u.serve(ctx, port, func(ctx context.Context, w io.Writer, b []byte) error {
		line = append(line, b...)
		for {
			request, rest, ok := bytes.Cut(line, []byte{'\r'})
			if !ok {
				line = line[max(0, len(line)-64):]
				return nil
			}
			line = rest
			if err := u.reply(ctx, w, []byte(u.answer(string(request)))); err != nil {
				return err
			}
		}
	})
}

// answer returns what it says to a request.
func (u *UPS) answer(request string) string {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.asked) < 64 || u.asked[request] > 0 { // it may be noise
		u.asked[request]++
	}
	if slices.Contains(u.unknown, request) {
		return request + "\r"
	}
	switch request {
	case "Q1":
		return u.status()
	case "F":
		return "#220.0 004 24.00 50.0\r"
	case "I":
		return fmt.Sprintf("#%-15s %-10s %-10s\r", "LONGNANSIM", "TC-1000", "V1.00")
	}
	return request + "\r"
}

// status is the answer to Q1; u.mu is held.
func (u *UPS) status() string {
	input, lowest, output := 220.4, 220.4, 219.9
	if u.mainsLost {
		input, lowest, output = 0, 220, 220
	}
	temperature := fmt.Sprintf("%04.1f", u.celsius)
	if u.dash {
		temperature = "--.-"
	}
	var bits strings.Builder
	for _, on := range []bool{u.mainsLost, u.low, u.bypass, u.broken, false, false, false, true} {
		if on {
			bits.WriteByte('1')
		} else {
			bits.WriteByte('0')
		}
	}
	return fmt.Sprintf("(%05.1f %05.1f %05.1f %03d %04.1f %04.1f %s %s\r",
		input, lowest, output, u.load, 50.0, u.battery, temperature, bits.String())
}
