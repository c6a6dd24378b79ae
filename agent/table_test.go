package agent

import (
	"strings"
	"testing"

	firmwareconfig "github.com/longan-edge/longan/firmware-config"
)

func TestAlarmsFirst(t *testing.T) {
	points := []firmwareconfig.Point{
		{Name: "a", Kind: firmwareconfig.KindDoor}, {Name: "b", Kind: firmwareconfig.KindPanic},
		{Name: "c", Kind: firmwareconfig.KindKiosk}, {Name: "d", Kind: firmwareconfig.KindFire},
	}
	var got strings.Builder
	for _, p := range alarmsFirst(points) {
		got.WriteString(p.Name)
	}
	if want := "bdac"; got.String() != want {
		t.Errorf("order %s, want %s", got.String(), want)
	}
}

// TestSlavesShareALine makes the drivers of a site file with two slaves on one
// line, registers among their signals.
func TestSlavesShareALine(t *testing.T) {
	site, err := firmwareconfig.Parse("site.toml", []byte(`[center]
device = "621202107-01"
name = "马街镇综治中心"
[uplink]
brokers = ["mqtt://city"]
[board.uart]
RS485-1 = "/dev/ttyS1"
RS485-2 = "/dev/ttyS2"
[[peripheral]]
name = "io"
driver = "modbus"
port = "RS485-1"
  [[peripheral.point]]
  name = "front-door"
  kind = "door"
  signal = "di1"
[[peripheral]]
name = "meter"
driver = "modbus"
port = "RS485-1"
address = 2
timeout = "500ms"
  [[peripheral.point]]
  name = "cabinet-warm"
  kind = "input"
  signal = "ir7"
  scale = 0.1
  signed = true
  unit = "°C"
  above = 45.0
  hysteresis = 2
  [[peripheral.output]]
  name = "fan"
  signal = "hr9"
  on = 7
  multiple = true
[[peripheral]]
name = "other"
driver = "modbus"
port = "RS485-2"
  [[peripheral.output]]
  name = "siren"
  signal = "do1"
`), firmwareconfig.English)
	if err != nil {
		t.Fatal(err)
	}
	table := newTable(nil)
	for _, p := range site.Peripherals {
		if _, err := table.driver(p); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
	}
	if len(table.lines) != 2 {
		t.Errorf("%d lines, want 2: two slaves share one", len(table.lines))
	}
	g := site.Peripherals[1].Points[0].Register
	if g == nil || *g.Above != 45 || g.Below != nil || g.Hysteresis != 2 || g.Scale != 0.1 || !g.Signed || g.Unit != "°C" {
		t.Errorf("the register is %+v", g)
	}
	if set := site.Peripherals[1].Outputs[0].Set; set == nil || set.On != 7 || set.Off != 0 || !set.Multiple {
		t.Errorf("the output is set by %+v", set)
	}
}
