//go:build linux

package peripheral

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/longan-edge/longan/drivers/ups"
)

func TestUPSAnswers(t *testing.T) {
	for _, test := range []struct {
		name    string
		do      func(u *UPS)
		request string
		want    string
	}{
		// As NUT's nutdrv_qx asked, and what it accepted.
		{"on line", func(*UPS) {}, "Q1\r", "(220.4 220.4 219.9 021 50.0 27.4 25.0 00000001\r"},
		{"rating", func(*UPS) {}, "F\r", "#220.0 004 24.00 50.0\r"},
		{"maker", func(*UPS) {}, "I\r", "#LONGNANSIM      TC-1000    V1.00     \r"},
		{"not known", func(*UPS) {}, "QGS\r", "QGS\r"},
		{"not known either", func(*UPS) {}, "QPI\r", "QPI\r"},
		{"nothing", func(*UPS) {}, "\r", "\r"},
		{"mains lost", func(u *UPS) { u.SetMains(false); u.SetLoad(40) }, "Q1\r", "(000.0 220.0 220.0 040 50.0 24.6 25.0 10000001\r"},
		{"battery low", func(u *UPS) { u.SetMains(false); u.SetBatteryLow(true) }, "Q1\r", "(000.0 220.0 220.0 021 50.0 21.1 25.0 11000001\r"},
		{"back", func(u *UPS) { u.SetMains(false); u.SetBatteryLow(true); u.SetBatteryLow(false); u.SetMains(true) }, "Q1\r", "(220.4 220.4 219.9 021 50.0 27.4 25.0 00000001\r"},
		{"broken and bypassed", func(u *UPS) { u.SetBroken(true); u.SetBypass(true) }, "Q1\r", "(220.4 220.4 219.9 021 50.0 27.4 25.0 00110001\r"},
		{"cold", func(u *UPS) { u.SetTemperature(-3.5) }, "Q1\r", "(220.4 220.4 219.9 021 50.0 27.4 -3.5 00000001\r"},
		{"no thermometer", func(u *UPS) { u.SetNoThermometer(true) }, "Q1\r", "(220.4 220.4 219.9 021 50.0 27.4 --.- 00000001\r"},
		{"compatible", func(u *UPS) { u.SetUnknown("F", "I") }, "F\rI\r", "F\rI\r"},
		{"half", func(u *UPS) { u.SetFault(HalfFrame) }, "F\r", "#220.0 004 "},
		{"silent", func(u *UPS) { u.SetFault(Silent) }, "Q1\r", ""},
		{"not ended", func(*UPS) {}, "Q1", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := NewUPS()
				test.do(u)
				if got := string(talk(t, plug(t, u), []byte(test.request), time.Second)); got != test.want {
					t.Errorf("got %q, want %q", got, test.want)
				}
			})
		})
	}
}

func upsConfig() ups.Config {
	return ups.Config{Poll: 20 * time.Millisecond, Timeout: 100 * time.Millisecond, Points: map[ups.Signal]string{
		ups.Mains: "mains", ups.BatteryLow: "low", ups.Fault: "fault", ups.Load: "load", ups.Temperature: "temperature",
	}}
}

// upsHistory is what driver and UPS go through together on any line.
func upsHistory(t *testing.T, u *UPS, d *ups.UPS) {
	w := run(t, d)
	const healthy = "mains=normal low=normal fault=normal load=normal temperature=normal"
	const nothing = "mains=unknown low=unknown fault=unknown load=unknown temperature=unknown"
	for _, step := range []struct {
		name string
		do   func()
		want string
	}{
		{"start", func() {}, healthy},
		{"outage", func() { u.SetMains(false) }, "mains=active low=normal"},
		{"almost empty", func() { u.SetBatteryLow(true) }, "mains=active low=active"},
		{"back", func() { u.SetBatteryLow(false); u.SetMains(true) }, healthy},
		{"overloaded", func() { u.SetLoad(120) }, "load=active"},
		{"broken", func() { u.SetLoad(10); u.SetBroken(true) }, "load=normal fault=active"},
		{"mended", func() { u.SetBroken(false) }, healthy},
		{"no thermometer", func() { u.SetNoThermometer(true) }, "mains=normal temperature=unknown"},
		{"thermometer", func() { u.SetNoThermometer(false) }, healthy},
		{"silent", func() { u.SetFault(Silent) }, nothing},
		{"back again", func() { u.SetFault(NoFault) }, healthy},
		{"half", func() { u.SetFault(HalfFrame) }, nothing},
		{"whole", func() { u.SetFault(NoFault) }, healthy},
		{"babbling", func() { u.SetFault(Babbling) }, nothing},
		{"quiet", func() { u.SetFault(NoFault) }, healthy},
		{"compatible", func() { u.SetUnknown("Q1") }, nothing},
		{"original", func() { u.SetUnknown() }, healthy},
	} {
		step.do()
		w.await(t, step.name, step.want)
	}
}

func TestUPSAndDriverOnAPipe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := NewUPS()
		upsHistory(t, u, ups.New(pipes{t: t, device: u}, "pipe", upsConfig()))
	})
}

// FuzzUPS gives any request an answer that ends.
func FuzzUPS(f *testing.F) {
	for _, seed := range []string{"Q1", "F", "I", "QGS", "T.2", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, request string) {
		u := NewUPS()
		u.SetTemperature(-3.5)
		if answer := u.answer(request); len(answer) == 0 || answer[len(answer)-1] != '\r' || len(answer) > max(64, len(request)+1) {
			t.Errorf("%q: got %q", request, answer)
		}
	})
}
