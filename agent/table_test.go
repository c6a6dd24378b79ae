package agent

import (
	"bytes"
	"os"
	"path/filepath"
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
	table := newTable(Config{}, nil)
	for _, p := range site.Peripherals {
		if _, err := table.make(p); err != nil {
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

// TestEveryDriverOfTheTableIsMade: what a site file can name, this program has.
func TestEveryDriverOfTheTableIsMade(t *testing.T) {
	dir := t.TempDir()
	secret := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	samples := firmwareconfig.Samples(map[string]string{
		"key_file":   secret("reader.key", "000102030405060708090a0b0c0d0e0f"),
		"keys_file":  secret("panels.keys", "# account key\n1234 30313233343536373839414243444546"),
		"token_file": secret("kiosk.token", "a token of the board"),
	})
	if len(samples) < 12 {
		t.Errorf("%d samples", len(samples))
	}
	for name, text := range samples {
		t.Run(name, func(t *testing.T) {
			site, err := firmwareconfig.Parse(name+".toml", []byte(text), firmwareconfig.English)
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			table := newTable(Config{Dir: dir, Clock: testClock(), Network: &systemNetwork{}}, nil)
			for _, p := range site.Peripherals {
				if _, err := table.make(p); err != nil {
					t.Errorf("%v\n%s", err, text)
				}
			}
		})
	}
	if _, err := newTable(Config{}, nil).make(firmwareconfig.Peripheral{Driver: "x"}); err == nil {
		t.Error("a driver that nobody knows was made")
	}
}

func TestAMissingKeyIsAFaultOfItsPeripheral(t *testing.T) {
	p := firmwareconfig.Peripheral{Name: "panels", Driver: "scanner", Port: "/dev/ttyS1"}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, cardKeyFile), []byte("not hex"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := newTable(Config{Dir: dir}, nil).driver(p).Run(t.Context(), nil)
	if err == nil || !strings.Contains(err.Error(), "hex digits") {
		t.Errorf("Run: %v, want what is wrong with the key", err)
	}
}

// TestTheCardKeyIsMadeOnce and is for its owner's eyes.
func TestTheCardKeyIsMadeOnce(t *testing.T) {
	dir := t.TempDir()
	first, err := cardKey(dir)
	if err != nil || len(first) != cardKeySize {
		t.Fatalf("%d bytes, %v", len(first), err)
	}
	again, err := cardKey(dir)
	if err != nil || !bytes.Equal(first, again) {
		t.Errorf("another key the second time: %v", err)
	}
	info, err := os.Stat(filepath.Join(dir, cardKeyFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info.Mode(), err)
	}
	other, err := cardKey(t.TempDir())
	if err != nil || bytes.Equal(first, other) {
		t.Errorf("two boards have one key: %v", err)
	}
}
