//go:build linux

package peripheral

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/longan-edge/longan/drivers"
	"github.com/longan-edge/longan/drivers/escpos"
	"github.com/longan-edge/longan/drivers/hw"
	"github.com/longan-edge/longan/drivers/modbus"
)

// pipes gives a driver the near end of a pipe for each opening, with the device
// served at the far end.
type pipes struct {
	drivers.Ports
	t      *testing.T
	device device
}

func (p pipes) Serial(context.Context, string, drivers.SerialMode) (drivers.Serial, error) {
	near, far := net.Pipe()
	ctx, cancel := context.WithCancel(p.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = p.device.Serve(ctx, far) // ends with the driver's closing
	}()
	p.t.Cleanup(func() { cancel(); <-done; far.Close() })
	return near, nil
}

// board returns the ports that a real board has.
func board(t *testing.T) drivers.Ports {
	ports, err := hw.New(hw.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return ports
}

// watch runs a driver again and again, as the supervisor does, and keeps the
// last state of every point.
type watch struct {
	mu   sync.Mutex
	last map[string]string
	errs []error
}

func run(t *testing.T, d drivers.Driver) *watch {
	w := &watch{last: make(map[string]string)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			err := d.Run(ctx, w.emit)
			w.mu.Lock()
			w.errs = append(w.errs, err)
			w.mu.Unlock()
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return w
}

func (w *watch) emit(_ context.Context, r drivers.Reading) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last[r.Point] = r.State.String()
	return nil
}

// await waits until the points are as wanted, "door=normal panic=active".
func (w *watch) await(t *testing.T, step, want string) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		w.mu.Lock()
		missing := ""
		for pair := range strings.FieldsSeq(want) {
			if point, state, _ := strings.Cut(pair, "="); w.last[point] != state {
				missing = fmt.Sprintf("%s is %q; errors %v", point, w.last[point], w.errs)
			}
		}
		w.mu.Unlock()
		if missing == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %s, want %s", step, missing, want)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func moduleConfig() modbus.Config {
	return modbus.Config{
		Address: 1,
		Poll:    20 * time.Millisecond,
		Timeout: 100 * time.Millisecond,
		Inputs:  []modbus.Input{{Point: "door", Number: 1, NormallyClosed: true}, {Point: "panic", Number: 8}},
		Coils:   []modbus.Input{{Point: "siren-on", Number: 1}},
		Outputs: []modbus.Output{{Name: "siren", Number: 1}},
	}
}

const (
	atRest  = "door=normal panic=normal siren-on=normal"
	nothing = "door=unknown panic=unknown siren-on=unknown"
)

// moduleHistory is what driver and module go through together on any line.
func moduleHistory(t *testing.T, m *Module, d *modbus.Module) {
	m.SetInput(1, true)
	w := run(t, d)
	w.await(t, "start", atRest)
	m.SetInput(8, true)
	w.await(t, "pressed", "door=normal panic=active")
	m.SetInput(1, false)
	m.SetInput(8, false)
	w.await(t, "opened", "door=active panic=normal")
	m.SetInput(1, true)
	for _, on := range []bool{true, false} {
		if err := d.Act(t.Context(), "siren", on); err != nil || m.Coil(1) != on {
			t.Errorf("siren %v: coil is %v, %v", on, m.Coil(1), err)
		}
	}
	for _, fault := range []Fault{Silent, Babbling, HalfFrame, WrongCRC, Late} {
		m.SetFault(fault)
		w.await(t, fmt.Sprint("fault ", fault), nothing)
		m.SetFault(NoFault)
		w.await(t, fmt.Sprint("after fault ", fault), atRest)
	}
	w.mu.Lock()
	before := len(w.errs)
	w.mu.Unlock()
	m.FailNext(1, WrongCRC)
	m.SetInput(8, true)
	w.await(t, "one bad answer", "panic=active")
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.errs) != before {
		t.Errorf("one bad answer ended Run: %v", w.errs[before:])
	}
}

func TestModuleAndDriverOnAPipe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewModule(ModuleConfig{Address: 1, Inputs: 8, Coils: 4})
		moduleHistory(t, m, modbus.New(pipes{t: t, device: m}, "pipe", moduleConfig()))
	})
}

// onPTY serves a device on a pseudo-terminal, again after each replug.
func onPTY(t *testing.T, d device) *PTY {
	pty, err := OpenPTYAt(filepath.Join(t.TempDir(), "ttyS1"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			_ = d.Serve(ctx, pty) // ends with the unplugging
			select {
			case <-ctx.Done():
			case <-time.After(time.Millisecond):
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		if err := pty.Close(); err != nil {
			t.Error(err)
		}
	})
	return pty
}

func TestModuleAndDriverOnAPTY(t *testing.T) {
	m := NewModule(ModuleConfig{Address: 1, Inputs: 8, Coils: 4})
	pty := onPTY(t, m)
	moduleHistory(t, m, modbus.New(board(t), pty.Path(), moduleConfig()))
}

func TestUnplugAndReplug(t *testing.T) {
	m := NewModule(ModuleConfig{Address: 1, Inputs: 8, Coils: 4})
	m.SetInput(1, true)
	pty := onPTY(t, m)
	w := run(t, modbus.New(board(t), pty.Path(), moduleConfig()))
	for range 3 {
		w.await(t, "plugged", atRest)
		if err := pty.Unplug(); err != nil {
			t.Fatal(err)
		}
		w.await(t, "unplugged", nothing)
		if err := pty.Replug(); err != nil {
			t.Fatal(err)
		}
	}
	w.await(t, "plugged in the end", atRest)
}

// printerHistory is what driver and printer go through together on any line.
func printerHistory(t *testing.T, p *Printer, d *escpos.Printer) {
	w := run(t, d)
	const healthy = "cover=normal near=normal out=normal offline=normal error=normal"
	const nothing = "cover=unknown near=unknown out=unknown offline=unknown error=unknown"
	for _, step := range []struct {
		name string
		do   func()
		want string
	}{
		{"start", func() {}, healthy},
		{"cover", func() { p.SetCover(true) }, "cover=active offline=active"},
		{"near end", func() { p.SetCover(false); p.SetPaper(PaperNear) }, "cover=normal near=active out=normal offline=normal"},
		{"out", func() { p.SetPaper(PaperOut) }, "near=active out=active offline=active"},
		{"jammed", func() { p.SetPaper(PaperFull); p.SetBroken(true) }, "out=normal error=active offline=active"},
		{"mended", func() { p.SetBroken(false) }, healthy},
		{"silent", func() { p.SetFault(Silent) }, nothing},
		{"back", func() { p.SetFault(NoFault) }, healthy},
		{"babbling", func() { p.SetFault(Babbling) }, nothing},
		{"back again", func() { p.SetFault(NoFault) }, healthy},
		{"compatible", func() { p.AnswerOnly(1, 2) }, "cover=normal near=unknown out=unknown offline=normal error=unknown"},
	} {
		step.do()
		w.await(t, step.name, step.want)
	}
	if p.Printed() != 0 {
		t.Errorf("%d bytes were printed", p.Printed())
	}
}

func printerConfig() escpos.Config {
	return escpos.Config{Poll: 20 * time.Millisecond, Timeout: 50 * time.Millisecond, Points: map[escpos.Signal]string{
		escpos.Cover: "cover", escpos.PaperNearEnd: "near", escpos.PaperOut: "out",
		escpos.Offline: "offline", escpos.Error: "error",
	}}
}

func TestPrinterAndDriverOnAPipe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPrinter()
		printerHistory(t, p, escpos.New(pipes{t: t, device: p}, "pipe", printerConfig()))
	})
}

func TestPrinterAndDriverOnAPTY(t *testing.T) {
	p := NewPrinter()
	pty := onPTY(t, p)
	printerHistory(t, p, escpos.New(board(t), pty.Path(), printerConfig()))
}
