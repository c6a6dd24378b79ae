package firmwareconfig

import (
	"strings"
	"testing"
)

// TestDriversCommand: the list has every driver, and every example is a site file
// that passes.
func TestDriversCommand(t *testing.T) {
	en := func(string) string { return "en_US.UTF-8" }
	var stdout, stderr strings.Builder
	if status := DriversCommand(nil, &stdout, &stderr, en); status != 0 || stderr.Len() > 0 {
		t.Fatalf("status %d: %s", status, &stderr)
	}
	golden(t, "testdata/drivers.en.txt", stdout.String())
	stdout.Reset()
	DriversCommand(nil, &stdout, &stderr, func(string) string { return "" })
	golden(t, "testdata/drivers.zh.txt", stdout.String())
	for _, name := range driverNames() {
		stdout.Reset()
		if status := DriversCommand([]string{name}, &stdout, &stderr, en); status != 0 {
			t.Errorf("%s: status %d: %s", name, status, &stderr)
		}
		site, err := Parse(name+".toml", []byte(stdout.String()), English)
		if err != nil {
			t.Errorf("%v\n%s", err, &stdout)
		} else if p := site.Peripherals[0]; p.Driver != name || len(p.Points)+len(p.Outputs) == 0 {
			t.Errorf("%s: the example has %+v", name, p)
		}
	}
	for _, args := range [][]string{{"teapot"}, {"-h"}, {"modbus", "ups"}} {
		stderr.Reset()
		if status := DriversCommand(args, &stdout, &stderr, en); status != checkWrong || stderr.Len() == 0 {
			t.Errorf("%q: status %d, %q", args, status, &stderr)
		}
	}
}
