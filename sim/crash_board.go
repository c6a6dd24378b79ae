package sim

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/sim/link"
	"github.com/longan-edge/longan/sim/peripheral"
)

// boardKind is what is special about a board of the crash matrix.
type boardKind string

const (
	usualBoard    boardKind = "usual"
	smallBoard    boardKind = "small-spool"
	fullDiskBoard boardKind = "full-disk"
)

// crashBoard is a board of the crash matrix. One goroutine runs it.
type crashBoard struct {
	crash  *Crash
	kind   boardKind
	device longan.DeviceID
	agent  string
	site   string
	data   string // the agent's folder
	module *peripheral.Module
	pty    *peripheral.PTY
	link   *link.Link
	proxy  *link.Proxy

	mu       sync.Mutex          // guards accepted
	accepted map[eventKey]string // "type point" of every event the agent said is on disk
	starts   []time.Duration
	failed   int // starts
	ends     map[string]int
	damages  map[string]int
	disk     *smallDisk // of a fullDiskBoard
}

type eventKey struct {
	epoch, lane string
	seq         uint64
}

func (c *Crash) newBoard(t longan.Township, kind boardKind, agent, broker string) (*crashBoard, error) {
	b := &crashBoard{
		crash: c, kind: kind, device: longan.DeviceID(t.Code + "-01"), agent: agent,
		module:   peripheral.NewModule(peripheral.ModuleConfig{Address: 1, Inputs: crashInputs}),
		accepted: map[eventKey]string{}, ends: map[string]int{}, damages: map[string]int{},
	}
	dir := filepath.Join(c.Dir, string(b.device))
	b.data = filepath.Join(dir, "data")
	if err := os.MkdirAll(b.data, 0o700); err != nil {
		return nil, fmt.Errorf("make board's folder: %w", err)
	}
	var err error
	if kind == fullDiskBoard {
		if b.disk, err = mountSmallDisk(b.data); err != nil {
			return nil, err
		}
	}
	if b.pty, err = peripheral.OpenPTY(); err != nil {
		return nil, err
	}
	b.link = link.New(0, link.Conditions{})
	if b.proxy, err = link.NewProxy(b.link, broker); err != nil {
		return nil, err
	}
	b.site = filepath.Join(dir, "site.toml")
	return b, os.WriteFile(b.site, b.siteFile(), 0o600)
}

// crashInputs is how many inputs move: the last two are panic buttons.
const crashInputs = 8

func (b *crashBoard) siteFile() []byte {
	s := fmt.Appendf(nil, `[center]
device = %q
name = "crash"
[board.uart]
RS485-1 = %q
[uplink]
brokers = ["mqtt://%s"]
[[peripheral]]
name = "io"
driver = "modbus"
port = "RS485-1"
poll = "20ms"
`, b.device, b.pty.Path(), b.proxy.Addr())
	for n := 1; n <= crashInputs; n++ {
		kind := "door"
		if n > crashInputs-2 {
			kind = "panic"
		}
		s = fmt.Appendf(s, "[[peripheral.point]]\nname = \"p%d\"\nkind = %q\nsignal = \"di%d\"\n", n, kind, n)
	}
	return s
}

// run plays rounds until there are no more.
func (b *crashBoard) run(ctx context.Context, rounds <-chan int, store string, rng *rand.Rand) error {
	hardware, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	running.Go(func() { b.module.Serve(hardware, b.pty) })
	running.Go(func() { b.proxy.Run(hardware) })
	moving, still := context.WithCancel(hardware)
	defer still()
	ofInputs := rand.New(rand.NewPCG(rng.Uint64(), 1))
	running.Go(func() { b.move(moving, ofInputs) })
	for n := range rounds {
		b.link.Set(link.Conditions{Down: rng.IntN(5) < 2})
		if err := b.round(ctx, rng); err != nil {
			return fmt.Errorf("round %d, board %s: %w", n, b.kind, err)
		}
		if err := b.check(ctx, store); err != nil {
			return fmt.Errorf("round %d, board %s: %w", n, b.kind, err)
		}
		if rng.IntN(4) == 0 {
			if err := b.damage(rng); err != nil {
				return fmt.Errorf("round %d, board %s: %w", n, b.kind, err)
			}
		}
	}
	still()
	b.link.Set(link.Conditions{})
	return b.drain(ctx, store)
}

// move flips inputs, each at its own random moments.
func (b *crashBoard) move(ctx context.Context, rng *rand.Rand) {
	var on [crashInputs + 1]bool
	for sleepUntil(ctx, time.Now().Add(time.Duration(1+rng.IntN(8))*time.Millisecond)) {
		n := 1 + rng.IntN(crashInputs)
		on[n] = !on[n]
		b.module.SetInput(n, on[n])
	}
}

// round starts the agent and ends it in one way or another.
func (b *crashBoard) round(ctx context.Context, rng *rand.Rand) error {
	end, failpoint := "random moment", ""
	switch n := rng.IntN(10); {
	case n < 4:
		point, nth := crashPoints[rng.IntN(len(crashPoints))], 1
		if strings.HasPrefix(point, "commit.") {
			nth += rng.IntN(40)
		}
		end, failpoint = point, fmt.Sprintf("%s:%d", point, nth)
	case n == 4:
		end = "asked to stop"
	}
	if b.disk != nil && rng.IntN(2) == 0 {
		if err := b.disk.fill(); err != nil {
			return err
		}
		b.damages["disk full"]++
	}
	a, err := b.start(ctx, failpoint)
	if err != nil {
		return err
	}
	life := time.NewTimer(time.Duration(100+rng.IntN(1400)) * time.Millisecond)
	defer life.Stop()
	select {
	case <-a.ended:
	case <-life.C:
		if failpoint != "" {
			end = "random moment" // the failpoint was not reached
		}
	}
	if b.disk != nil {
		if err := b.disk.free(); err != nil {
			return err
		}
	}
	if end == "asked to stop" {
		a.stop(syscall.SIGTERM)
	} else {
		a.stop(syscall.SIGKILL)
	}
	b.ends[end]++
	return nil
}

// crashPoints are the failpoints of the spool that a round can reach; see
// agent.Config.Failpoint. Compaction wants a file of megabytes that has drained:
// the spool's own tests cut it short.
var crashPoints = [...]string{
	"commit.before", "commit.after", "evict", "salvage.scanned", "create.synced", "create.renamed", "identity.written",
}

// agentProcess is an agent that runs.
type agentProcess struct {
	cmd     *exec.Cmd
	started chan struct{} // closed when it senses
	ended   chan struct{} // closed when it is gone and its log is read
}

// startTimeout is when a start counts as failed.
const startTimeout = 15 * time.Second

// start starts the agent and returns once it runs, or died at its failpoint.
func (b *crashBoard) start(ctx context.Context, failpoint string) (*agentProcess, error) {
	args := []string{"run", "-site", b.site, "-data", b.data, "-log", "debug", "-log-json"}
	if b.kind == smallBoard {
		args = append(args, "-spool-size", "131072")
	}
	a := &agentProcess{cmd: exec.Command(b.agent, args...), started: make(chan struct{}), ended: make(chan struct{})}
	a.cmd.Env = append(os.Environ(), "LONGAN_FAILPOINT="+failpoint)
	a.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stderr, err := a.cmd.StderrPipe()
	if err != nil {
		return nil, fmt.Errorf("start agent: %w", err)
	}
	begin := time.Now()
	if err := a.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start agent: %w", err)
	}
	var last string
	go func() {
		defer close(a.ended)
		lines := bufio.NewScanner(stderr)
		lines.Buffer(nil, 1<<20)
		log, err := os.OpenFile(filepath.Join(filepath.Dir(b.data), "agent.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err == nil { // a log that can't be written must not stop the run
			defer log.Close()
			fmt.Fprintf(log, "=== start, failpoint %q\n", failpoint)
		}
		for lines.Scan() {
			if b.take(lines.Bytes()) {
				close(a.started)
			} else if !strings.Contains(lines.Text(), `"DEBUG"`) {
				last = lines.Text()
				if log != nil {
					fmt.Fprintln(log, last)
				}
			}
		}
		a.cmd.Wait()
	}()
	timer := time.NewTimer(startTimeout)
	defer timer.Stop()
	select {
	case <-a.started:
		b.starts = append(b.starts, time.Since(begin))
	case <-a.ended:
		if status, ok := a.cmd.ProcessState.Sys().(syscall.WaitStatus); failpoint == "" || !ok || status.Signal() != syscall.SIGKILL {
			b.failed++
			b.crash.say("start failed, board %s: %v; its last words: %s", b.kind, a.cmd.ProcessState, last)
		}
	case <-timer.C:
		b.failed++
		b.crash.say("start took more than %v, board %s", startTimeout, b.kind)
	case <-ctx.Done():
		a.stop(syscall.SIGKILL)
		return nil, ctx.Err()
	}
	return a, nil
}

// stop ends the agent and waits until its log is read.
func (a *agentProcess) stop(signal syscall.Signal) {
	a.cmd.Process.Signal(signal)
	select {
	case <-a.ended:
	case <-time.After(stopTimeout):
		a.cmd.Process.Kill()
		<-a.ended
	}
}

// take reads a line of the agent's log, and reports whether it says that the
// agent runs. It is called by one goroutine at a time.
func (b *crashBoard) take(line []byte) (runs bool) {
	var l struct {
		Msg, Epoch, Lane, Type, Point string
		Seq                           uint64
		Durable                       bool
	}
	if json.Unmarshal(line, &l) != nil {
		return false
	}
	if l.Msg == "accepted" && l.Durable {
		b.mu.Lock()
		b.accepted[eventKey{l.Epoch, l.Lane, l.Seq}] = l.Type + " " + l.Point
		b.mu.Unlock()
	}
	return l.Msg == "agent runs"
}

// errNoMount: this user can't mount filesystems.
var errNoMount = errors.New("can't mount")
