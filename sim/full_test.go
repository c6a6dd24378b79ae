package sim

import (
	"strings"
	"testing"

	"github.com/longan-edge/longan"
	firmwareconfig "github.com/longan-edge/longan/firmware-config"
)

// TestAFullCentersSiteFile: what the simulator writes for a center with every
// peripheral passes the check.
func TestAFullCentersSiteFile(t *testing.T) {
	d := &Demo{Dir: t.TempDir(), Full: true, tally: NewTally()}
	c, err := d.newCenter(longan.Townships()[0], "agent", "127.0.0.1:1883", true)
	if err != nil {
		t.Fatal(err)
	}
	site, err := firmwareconfig.Load(d.Dir+"/"+string(c.device)+"/site.toml", firmwareconfig.English)
	if err != nil {
		t.Fatal(err)
	}
	drivers := map[string]bool{}
	for _, p := range site.Peripherals {
		drivers[p.Driver] = true
	}
	for name := range firmwareconfig.Samples(nil) {
		gpio := name == "contact" || name == "relay" || name == "wiegand" // no line of a GPIO chip here
		if drivers[name] == gpio {
			t.Errorf("driver %s in the full center: %v, want %v", name, drivers[name], !gpio)
		}
	}
	if len(c.full.all) != len(c.full.report.Appliances) {
		t.Errorf("%d appliances in the report of %d", len(c.full.report.Appliances), len(c.full.all))
	}
}

func TestFullReportCounts(t *testing.T) {
	f := &full{report: FullReport{Appliances: map[string]*ApplianceReport{"bus": {}, "panel": {}}}}
	for _, line := range []string{
		`{"msg":"accepted","type":"door.opened","point":"bus-door"}`,
		`{"msg":"accepted","type":"peripheral.fault","point":"bus-relays"}`,
		`{"msg":"accepted","type":"peripheral.restored","point":"bus-relays"}`,
		`{"msg":"accepted","type":"point.unknown","point":"panel-itself"}`,
		`{"msg":"accepted","type":"door.opened","point":"front-door"}`,
		`{"msg":"link to the city is up"}`, `no JSON`,
	} {
		f.logLine([]byte(line))
	}
	if got, want := *f.report.Appliances["bus"], (ApplianceReport{3, 1, 1}); got != want {
		t.Errorf("bus: %+v, want %+v", got, want)
	}
	if f.report.OK() {
		t.Error("the panel has not come back, and the report is content")
	}
	f.logLine([]byte(`{"msg":"accepted","type":"point.known","point":"panel-itself"}`))
	if !f.report.OK() {
		t.Errorf("all came back, and the report is not content: %+v", *f.report.Appliances["panel"])
	}
}

func TestDeclarePorts(t *testing.T) {
	got := declarePorts("[board.uart]\nA = \"/x\"\n[[peripheral]]\nport = \"/dev/1\"\nport = \"A\"\nport = \"/dev/2\"\nport = \"/dev/1\"\n")
	want := "[board.uart]\nUART-1 = \"/dev/1\"\nUART-2 = \"/dev/2\"\nA = \"/x\"\n[[peripheral]]\nport = \"UART-1\"\nport = \"A\"\nport = \"UART-2\"\nport = \"UART-1\"\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", strings.TrimSpace(got), want)
	}
}
