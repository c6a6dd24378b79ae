package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/longan-edge/longan/sim/peripheral"
)

// Inputs of the board's module, as in the site file.
const (
	inputFront = 1
	inputBack  = 2
	inputPanic = 3
)

// board is the real longan-agent in a process of its own, behind whose
// pseudo-terminals a Modbus module and a printer are played.
type board struct {
	cmd    *exec.Cmd
	data   string // folder of the spool
	module *peripheral.Module
	wire   *watchedPort // of the module

	end     context.CancelFunc
	running sync.WaitGroup
	ptys    []*peripheral.PTY
}

// typicalSite is a center of two doors, a panic button and a printer, everything
// else at its default.
const typicalSite = `[center]
device = %q
name = "马街镇综治中心"
[board]
profile = "generic-linux"
[board.uart]
RS485-1 = %q
RS232-1 = %q
[uplink]
brokers = ["mqtt://%s"]
[[peripheral]]
name = "io"
label = "输入模块"
driver = "modbus"
port = "RS485-1"
baud = 9600
address = 1
  [[peripheral.point]]
  name = "front-door"
  label = "前门"
  kind = "door"
  signal = "di1"
  contact = "nc"
  [[peripheral.point]]
  name = "back-door"
  label = "后门"
  kind = "door"
  signal = "di2"
  contact = "nc"
  [[peripheral.point]]
  name = "panic-button"
  label = "紧急按钮"
  kind = "panic"
  signal = "di3"
  contact = "no"
[[peripheral]]
name = "printer"
label = "小票打印机"
driver = "escpos"
port = "RS232-1"
baud = 9600
`

// startBoard starts a board in a folder, which may have a spool in "data" already,
// whose broker is at an address.
func (p *Path) startBoard(ctx context.Context, dir, broker string) (b *board, err error) {
	ctx, end := context.WithCancel(ctx)
	b = &board{data: filepath.Join(dir, "data"), end: end, module: peripheral.NewModule(peripheral.ModuleConfig{Address: 1, Inputs: 8, Coils: 4})}
	defer func() {
		if err != nil {
			b.stop()
		}
	}()
	b.module.SetInput(inputFront, true) // doors are closed
	b.module.SetInput(inputBack, true)
	for range 2 {
		pty, err := peripheral.OpenPTY()
		if err != nil {
			return b, err
		}
		b.ptys = append(b.ptys, pty)
	}
	b.wire = &watchedPort{Port: b.ptys[0]}
	b.running.Go(func() { b.module.Serve(ctx, b.wire) })
	b.running.Go(func() { peripheral.NewPrinter().Serve(ctx, b.ptys[1]) })
	site := filepath.Join(dir, "site.toml")
	text := fmt.Appendf(nil, typicalSite, benchDevice, b.ptys[0].Path(), b.ptys[1].Path(), broker)
	if err := os.WriteFile(site, text, 0o600); err != nil {
		return b, fmt.Errorf("write site file: %w", err)
	}
	b.cmd, err = start(ctx, p.agent, "run", "-site", site, "-data", b.data)
	return b, err
}

func (b *board) stop() {
	stopAll(b.cmd)
	b.end()
	for _, pty := range b.ptys {
		pty.Close()
	}
	b.running.Wait()
}

// watchedPort notes when the module says something other than it said before: the
// moment at which the driver can read it.
type watchedPort struct {
	peripheral.Port

	mu      sync.Mutex
	last    []byte
	changed chan time.Time // of the next answer that differs; nil when nobody asks
}

// next returns a channel that receives the time of the next answer that differs
// from the one before.
func (w *watchedPort) next() <-chan time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.changed = make(chan time.Time, 1)
	return w.changed
}

// Write implements io.Writer.
func (w *watchedPort) Write(b []byte) (int, error) {
	w.mu.Lock()
	if !bytes.Equal(w.last, b) {
		if w.changed != nil {
			w.changed <- time.Now()
			w.changed = nil
		}
		w.last = bytes.Clone(b)
	}
	w.mu.Unlock()
	return w.Port.Write(b)
}

// errEnded: a process that was to be measured is no more.
var errEnded = errors.New("the process has ended")

// cpu returns the processor time that a process has taken, in seconds, in steps of
// 10 ms: proc_pid_stat(5).
func cpu(cmd *exec.Cmd) (float64, error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(cmd.Process.Pid), "stat"))
	if err != nil {
		return 0, fmt.Errorf("%s: %w: %s", cmd.Path, errEnded, cmd.Stderr)
	}
	// The name, in brackets, may contain anything; state is the first behind it.
	_, rest, _ := strings.Cut(string(text[bytes.LastIndexByte(text, ')'):]), " ")
	fields := strings.Fields(rest)
	const utime, stime, hertz = 11, 12, 100
	if len(fields) <= stime {
		return 0, fmt.Errorf("stat of %s says %q", cmd.Path, text)
	}
	var ticks float64
	for _, f := range fields[utime : stime+1] {
		n, err := strconv.ParseUint(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("stat of %s: %w", cmd.Path, err)
		}
		ticks += float64(n)
	}
	return ticks / hertz, nil
}
