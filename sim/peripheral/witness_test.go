//go:build linux

package peripheral

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/longan-edge/longan/drivers"
	"github.com/longan-edge/longan/drivers/modbus"
)

// Witnesses that know nothing of this code: mbpoll as the master of our module,
// libmodbus as the slave of our driver.

// need skips the test where something is not installed, but not in CI.
func need(t *testing.T, what, install string) {
	t.Helper()
	message := what + " is not here: apt-get install " + install
	if os.Getenv("LONGAN_CI") != "" {
		t.Fatal(message)
	}
	t.Skip(message)
}

func mbpoll(t *testing.T, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	args = append([]string{"-m", "rtu", "-b", "9600", "-P", "none", "-1"}, args...)
	out, err := exec.CommandContext(ctx, "mbpoll", args...).CombinedOutput()
	return string(out), err
}

func TestMbpollReadsAndSwitchesOurModule(t *testing.T) {
	if _, err := exec.LookPath("mbpoll"); err != nil {
		need(t, "mbpoll", "mbpoll")
	}
	m := NewModule(ModuleConfig{Address: 1, Inputs: 8, Coils: 4, Registers: 2, Holding: 3})
	m.SetInput(1, true)
	m.SetInput(4, true)
	m.SetRegister(2, 235)
	path := onPTY(t, m).Path()

	out, err := mbpoll(t, "-a", "1", "-t", "1", "-r", "1", "-c", "8", path)
	if err != nil {
		t.Fatalf("inputs: %v: %s", err, out)
	}
	for _, want := range []string{"[1]: \t1", "[2]: \t0", "[3]: \t0", "[4]: \t1", "[5]: \t0", "[8]: \t0"} {
		if !strings.Contains(out, want) {
			t.Errorf("inputs: got %s, want %q", out, want)
		}
	}
	if out, err := mbpoll(t, "-a", "1", "-t", "0", "-r", "2", path, "1"); err != nil || !m.Coil(2) || m.Coil(1) {
		t.Errorf("one coil: coils are %v %v: %v: %s", m.Coil(1), m.Coil(2), err, out)
	}
	if out, err := mbpoll(t, "-a", "1", "-t", "0", "-r", "1", path, "1", "0", "1"); err != nil || !m.Coil(1) || m.Coil(2) || !m.Coil(3) {
		t.Errorf("several coils: coils are %v %v %v: %v: %s", m.Coil(1), m.Coil(2), m.Coil(3), err, out)
	}
	out, err = mbpoll(t, "-a", "1", "-t", "0", "-r", "1", "-c", "4", path)
	if err != nil || !strings.Contains(out, "[3]: \t1") || !strings.Contains(out, "[4]: \t0") {
		t.Errorf("coils: %v: %s", err, out)
	}
	if out, err := mbpoll(t, "-a", "1", "-t", "1", "-r", "5", "-c", "8", path); err == nil || !strings.Contains(out, "Illegal data address") {
		t.Errorf("past the end: %v: %s", err, out)
	}
	if out, err := mbpoll(t, "-a", "1", "-t", "3", "-r", "1", "-c", "2", path); err != nil || !strings.Contains(out, "[2]: \t235") {
		t.Errorf("input registers: %v: %s", err, out)
	}
	if out, err := mbpoll(t, "-a", "1", "-t", "4", "-r", "1", path, "7"); err != nil || m.Holding(1) != 7 {
		t.Errorf("one register: %d: %v: %s", m.Holding(1), err, out)
	}
	if out, err := mbpoll(t, "-a", "1", "-t", "4", "-r", "2", path, "8", "9"); err != nil || m.Holding(2) != 8 || m.Holding(3) != 9 {
		t.Errorf("several registers: %d %d: %v: %s", m.Holding(2), m.Holding(3), err, out)
	}
	if out, err := mbpoll(t, "-a", "1", "-t", "4", "-r", "1", "-c", "3", path); err != nil || !strings.Contains(out, "[3]: \t9") {
		t.Errorf("holding registers: %v: %s", err, out)
	}
	if out, err := mbpoll(t, "-a", "1", "-t", "4", "-r", "3", "-c", "2", path); err == nil || !strings.Contains(out, "Illegal data address") {
		t.Errorf("registers past the end: %v: %s", err, out)
	}
	if out, err := mbpoll(t, "-a", "2", "-t", "1", "-r", "1", "-o", "0.3", path); err == nil || !strings.Contains(out, "timed out") {
		t.Errorf("another slave: %v: %s", err, out)
	}
}

// libmodbusSlave compiles and starts the slave on a device file.
func libmodbusSlave(t *testing.T, path string) {
	if _, err := exec.LookPath("cc"); err != nil {
		need(t, "a C compiler", "gcc libc6-dev libmodbus-dev")
	}
	if _, err := os.Stat("/usr/include/modbus/modbus.h"); err != nil {
		need(t, "libmodbus", "libmodbus-dev")
	}
	program := filepath.Join(t.TempDir(), "slave")
	build := exec.CommandContext(t.Context(), "cc", "-Wall", "-o", program, "-I/usr/include/modbus", "testdata/libmodbus_slave.c", "-lmodbus")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("compile: %v: %s", err, out)
	}
	slave := exec.CommandContext(t.Context(), program, path)
	slave.Stderr = os.Stderr
	stdout, err := slave.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := slave.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = slave.Process.Kill()
		_ = slave.Wait() // says that it was killed
	})
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
		t.Fatalf("slave: got %q, %v", line, err)
	}
}

// master gives a driver the pseudo-terminal's own side, whose far side the slave
// has open.
type master struct {
	drivers.Ports
	pty *PTY
}

func (m master) Serial(context.Context, string, drivers.SerialMode) (drivers.Serial, error) {
	return keepOpen{m.pty}, nil
}

// keepOpen leaves the pseudo-terminal open for the next Run.
type keepOpen struct{ *PTY }

func (k keepOpen) Close() error { return k.SetReadDeadline(time.Unix(1, 0)) }

func TestOurDriverReadsAndSwitchesALibmodbusSlave(t *testing.T) {
	pty, err := OpenPTY()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pty.Close() })
	libmodbusSlave(t, pty.Path())

	t.Run("what it has", func(t *testing.T) { libmodbusHistory(t, pty) })
	t.Run("an input it does not have", func(t *testing.T) {
		d := modbus.New(master{pty: pty}, "libmodbus", modbus.Config{Address: 1, Inputs: []modbus.Input{{Point: "x", Number: 9}}})
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		err := d.Run(ctx, func(context.Context, drivers.Reading) error { return nil })
		if want := modbus.Exception(2); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	})
}

func libmodbusHistory(t *testing.T, pty *PTY) {
	d := modbus.New(master{pty: pty}, "libmodbus", modbus.Config{
		Address: 1,
		Inputs: []modbus.Input{
			{Point: "a", Number: 1}, {Point: "b", Number: 2}, {Point: "d", Number: 4}, {Point: "h", Number: 8},
		},
		Coils:     []modbus.Input{{Point: "relay", Number: 1}, {Point: "other", Number: 4}},
		Registers: []modbus.Register{{Point: "warm", Number: 2, Scale: 0.1, Above: new(30.0)}},
		Holding:   []modbus.Register{{Point: "fan", Number: 1, Above: new(0.0)}, {Point: "pump", Number: 2, Above: new(0.0)}},
		Outputs: []modbus.Output{
			{Name: "siren", Number: 1}, {Name: "none", Number: 5},
			{Name: "fan", Number: 1, Register: true, On: 3}, {Name: "pump", Number: 2, Register: true, Multiple: true, On: 1},
		},
	})
	w := run(t, d)
	w.await(t, "start", "a=active b=normal d=active h=normal relay=normal other=normal warm=active fan=normal pump=normal")
	for _, output := range []string{"fan", "pump"} {
		if err := d.Act(t.Context(), output, true); err != nil {
			t.Error(err)
		}
	}
	w.await(t, "registers", "fan=active pump=active")
	if err := d.Act(t.Context(), "siren", true); err != nil {
		t.Error(err)
	}
	w.await(t, "on", "a=active b=normal h=active relay=active other=normal")
	if err := d.Act(t.Context(), "siren", false); err != nil {
		t.Error(err)
	}
	w.await(t, "off", "h=normal relay=normal")
	if err := d.Act(t.Context(), "none", true); err == nil || !strings.Contains(err.Error(), "illegal data address") {
		t.Errorf("a coil it does not have: got %v", err)
	}
}
