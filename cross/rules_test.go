package cross

import (
	"strings"
	"testing"
)

// TestRulesBite breaks every rule once: a rule that can't fail is none.
func TestRulesBite(t *testing.T) {
	imports := func(pkg, path string) string { return "package " + pkg + "\n\nimport _ \"" + path + "\"\n" }
	for _, tt := range []struct{ path, text, want string }{
		{"event.go", imports("longan", module+"/drivers"), "event.go:3: imports drivers, but the root package may import only nothing"},
		{"event_test.go", imports("longan_test", module+"/sim"), "imports sim"},
		{"event_test.go", imports("longan_test", module), ""},
		{"drivers/modbus/modbus.go", imports("modbus", module), ""},
		{"drivers/modbus/modbus.go", imports("modbus", module+"/drivers"), ""},
		{"drivers/modbus/modbus.go", imports("modbus", module+"/agent"), "imports agent, but drivers may import only the root package, drivers"},
		{"drivers/modbus/modbus_test.go", imports("modbus", module+"/sim/peripheral"), "imports sim/peripheral"},
		{"drivers/modbus/modbus.go", imports("modbus", "periph.io/x/conn/v3/gpio"), ""},
		{"drivers/modbus/modbus.go", imports("modbus", "periph.io/x/host/v3"), "which belongs only in drivers/hw"},
		{"drivers/modbus/modbus.go", imports("modbus", "github.com/tarm/serial"), "which belongs only in drivers/hw"},
		{"drivers/modbus/modbus_test.go", imports("modbus", "github.com/tarm/serial"), ""},
		{"drivers/modbus/modbus.go", imports("modbus", module+"/drivers/porttest"), "fakes are for tests and the simulator"},
		{"drivers/hw/serial.go", imports("hw", "github.com/tarm/serial"), ""},
		{"drivershw/serial.go", imports("drivershw", "fmt"), `folder "drivershw" has no rule`},
		{"firmware-config/site.go", imports("firmwareconfig", module+"/drivers"), "imports drivers, but firmware-config"},
		{"firmware-config/site.go", imports("firmwareconfig", "github.com/pelletier/go-toml/v2"), ""},
		{"agent/agent.go", imports("agent", module+"/firmware-config"), ""},
		{"agent/agent.go", imports("agent", module+"/cloud"), "agent/agent.go:3: imports cloud, but agent"},
		{"agent/agent_test.go", imports("agent", module+"/cloud"), "board and city share only the contract"},
		{"agent/agent_test.go", imports("agent", module+"/cross"), "imports cross"},
		{"agent/agent.go", imports("agent", "go.etcd.io/bbolt"), "which belongs only in agent/internal/spool"},
		{"agent/internal/spool/spool.go", imports("spool", "go.etcd.io/bbolt"), ""},
		{"agent/agent.go", imports("agent", "periph.io/x/conn/v3/gpio"), "which belongs only in drivers"},
		{"agent/agent.go", imports("agent", "github.com/eclipse/paho.mqtt.golang"), "one owner of MQTT"},
		{"cloud/cloud.go", imports("cloud", module+"/agent"), "imports agent, but cloud"},
		{"cloud/cloud.go", imports("cloud", module+"/drivers"), "imports drivers, but cloud"},
		{"cloud/cloud.go", imports("cloud", "modernc.org/sqlite"), "which belongs only in cloud/internal/store"},
		{"cloud/internal/web/web.go", imports("web", "github.com/mochi-mqtt/server/v2/listeners"), "which belongs only in cloud/internal/broker"},
		{"sim/sim.go", imports("sim", module+"/cloud"), ""},
		{"sim/sim.go", imports("sim", module+"/cross"), "imports cross, but sim"},
		{"sim/sim_test.go", imports("sim", "github.com/stretchr/testify/require"), "belongs only in nothing"},
		{"sim/sim.go", imports("sim", "pgregory.net/rapid"), "properties are for tests"},
		{"sim/sim.go", imports("sim", "example.com/new"), "not agreed"},
		{"agent/a.go", "package agent\n\nfunc init() {}\n", "agent/a.go:3: func init"},
		{"agent/a.go", "package agent\n\ntype t int\n\nfunc (t) init() {}\n", ""},
		{"agent/internal/util/a.go", "package util\n", "name it after what it provides"},
		{"agent/internal/types/a.go", "package kinds\n", "name it after what it provides"},
		{"agent/a.go", "package main\n", "package main outside"},
		{"agent/cmd/longan-agent/main.go", "package main\n", ""},
		{"agent/a.go", "package agent\n" + strings.Repeat("\n", maxLines), "401 lines"},
		{"agent/a_test.go", "package agent\n" + strings.Repeat("\n", maxLines), ""},
		{"agent/a_test.go", "package agent\n\nimport \"time\"\n\nfunc f() {\n\ttime.Sleep(1)\n}\n", "agent/a_test.go:6: time.Sleep"},
		{"agent/a.go", "package agent\n\nimport \"time\"\n\nfunc f() {\n\ttime.Sleep(1)\n}\n", ""},
		{"agent/a_test.go", "package agent\n\nimport (\n\t_ \"testing/synctest\"\n\t\"time\"\n)\n\nfunc f() {\n\ttime.Sleep(1)\n}\n", ""},
		{"agent/a.go", "//go:build linux && !simulation\n\npackage agent\n", "agent/a.go:1: build tag simulation"},
		{"agent/a.go", "//go:build linux && arm\n\npackage agent\n", ""},
		{"agent/a.go", "package agent\n\n// See shared" + "/notes.\n", "agent/a.go:3: refers to"},
		{"agent/a.go", "package agent\n\nvar _ = now().Unix()\n", "agent/a.go:3: Unix loses the monotonic reading"},
		{"drivers/osdp/a.go", "package osdp\n\nvar _ = now().UnixNano()\n", "UnixNano loses"},
		{"drivers/osdp/a.go", "package osdp\n\nvar _ = now().Round(0)\n", "Round loses"},
		{"drivers/osdp/a.go", "package osdp\n\nvar _ = d.Round(time.Second)\n", ""},
		{"drivers/osdp/a.go", "package osdp\n\nvar _ = time.Unix(1, 0)\n", ""},
		{"drivers/osdp/a_test.go", "package osdp\n\nvar _ = now().Unix()\n", ""},
		{"cloud/a.go", "package cloud\n\nvar _ = now().Unix()\n", ""},
	} {
		s, err := parseSource(tt.path, tt.text)
		if err != nil {
			t.Fatal(err)
		}
		broken := append(checkModuleImports(s), checkOutsideImports(s)...)
		for _, rule := range houseRules {
			broken = append(broken, rule(s)...)
		}
		got := strings.Join(broken, "\n")
		if (tt.want == "") != (got == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%s with %q:\n got %q\nwant %q", tt.path, clip(tt.text), got, tt.want)
		}
	}
}

func clip(s string) string { return s[:min(len(s), 80)] }
