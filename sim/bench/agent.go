package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/longan-edge/longan/sim"
)

// agentMemory measures the real agent: started on a spool full of events without
// a link, and then while they drain into the real city. What the spool takes of
// it can't be told apart, but this is what a board must have.
func (b *Bench) agentMemory(ctx context.Context) ([]Figure, error) {
	agent, err := sim.FindProgram(ctx, b.Dir, "longan-agent")
	city, err2 := sim.FindProgram(ctx, b.Dir, "longan-cloud")
	if err = errors.Join(err, err2); err != nil {
		b.Log.Warn("没有板端程序，跳过其内存 / no longan-agent to be measured", "err", err)
		return nil, nil
	}
	samples, err := b.rounds(ctx, b.Dir, func(name, dir string, _ func() time.Duration) (map[string]float64, error) {
		if name != ours {
			return nil, nil
		}
		queued, drained, err := b.agentOnce(ctx, agent, city, dir)
		return map[string]float64{
			"queued": queued.total, "drained": drained.total, "queued_anon": queued.anon, "drained_anon": drained.anon,
		}, err
	})
	const how = "VmHWM of the real longan-agent; anon is RssAnon, sampled every 5 ms"
	return []Figure{
		figure("agent_queued", "MiB", how+"; started on the backlog", samples, "queued", 0).with(samples, "queued_anon"),
		figure("agent_draining", "MiB", how, samples, "drained", 0).with(samples, "drained_anon"),
	}, err
}

func (b *Bench) agentOnce(ctx context.Context, agent, cloud, dir string) (queued, drained memory, err error) {
	data, site := filepath.Join(dir, "data"), filepath.Join(dir, "site.toml")
	if err := os.Mkdir(data, 0o700); err != nil {
		return queued, drained, err
	}
	if out, err := exec.CommandContext(ctx, b.Self, childArgs(b.Mix, ours, "fill", data, b.Events, 1)...).CombinedOutput(); err != nil {
		return queued, drained, fmt.Errorf("fill: %w: %s", err, out)
	}
	broker, err := freeAddress()
	if err != nil {
		return queued, drained, err
	}
	if err := os.WriteFile(site, siteFile(broker, dir), 0o600); err != nil {
		return queued, drained, err
	}
	board, err := start(ctx, agent, "run", "-site", site, "-data", data)
	if err != nil {
		return queued, drained, err
	}
	defer stop(board)
	empty := func() (bool, error) { return backlogIs(ctx, agent, data, false) }
	full := func() (bool, error) { return backlogIs(ctx, agent, data, true) }
	if queued, err = peak(ctx, board.Process.Pid, full); err != nil {
		return queued, drained, fmt.Errorf("agent with a backlog: %w: %s", err, board.Stderr)
	}
	city, err := start(ctx, cloud, "run", "-insecure-demo", "-mqtt", broker, "-http", "", "-data", filepath.Join(dir, "city"))
	if err != nil {
		return queued, drained, err
	}
	defer stop(city)
	if drained, err = peak(ctx, board.Process.Pid, empty); err != nil {
		err = fmt.Errorf("agent that drains: %w: %s %s", err, board.Stderr, city.Stderr)
	}
	return queued, drained, err
}

// siteFile is a center whose one peripheral does not answer.
func siteFile(broker, dir string) []byte {
	return fmt.Appendf(nil, `[center]
device = "621202001-01"
name = "综治中心"
[board]
profile = "generic-linux"
[board.uart]
RS485-1 = %q
[uplink]
brokers = ["mqtt://%s"]
[[peripheral]]
name = "io"
label = "输入模块"
driver = "modbus"
port = "RS485-1"
baud = 9600
address = 1
poll = "500ms"
  [[peripheral.point]]
  name = "front-door"
  label = "前门"
  kind = "door"
  signal = "di1"
  contact = "nc"
`, filepath.Join(dir, "no-such-port"), broker)
}

// freeAddress returns an address that nobody listened on a moment ago.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}

// start starts a program that is to end with this one.
func start(ctx context.Context, path string, args ...string) (*exec.Cmd, error) {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = &lastWords{}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	return cmd, nil
}

func stop(cmd *exec.Cmd) {
	cmd.Process.Kill() // its files are about to be deleted
	cmd.Wait()
}

// peak returns what a process takes at most until something is so, for a minute or
// two at most.
func peak(ctx context.Context, pid int, until func() (bool, error)) (memory, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	end := make(chan struct{})
	var failed error
	go func() {
		defer close(end)
		const pause = 300 * time.Millisecond
		for {
			var yes bool
			if yes, failed = until(); yes {
				return
			}
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				failed = fmt.Errorf("%w: %v", ctx.Err(), failed)
				return
			}
		}
	}()
	m, err := watch(pid, end)
	cancel()
	<-end
	if err == nil {
		err = failed
	}
	return m, err
}

// backlogIs asks a running agent whether it has a backlog.
func backlogIs(ctx context.Context, agent, data string, want bool) (bool, error) {
	cmd := exec.CommandContext(ctx, agent, "spool", "stat", "-data", data, "-json")
	out, err := cmd.Output()
	if err != nil {
		return false, fmt.Errorf("ask agent: %w", err) // maybe it has not begun to listen
	}
	var stat struct {
		Running bool
		Epochs  []struct {
			Lanes map[string]struct{ Backlog uint64 }
		}
	}
	if err := json.Unmarshal(out, &stat); err != nil {
		return false, fmt.Errorf("ask agent: %w", err)
	}
	backlog := uint64(0)
	for _, e := range stat.Epochs {
		for _, l := range e.Lanes {
			backlog += l.Backlog
		}
	}
	return stat.Running && (backlog > 0) == want, nil
}

// lastWords keeps the end of what a program says.
type lastWords struct{ text []byte }

func (w *lastWords) Write(p []byte) (int, error) {
	const most = 2 << 10
	w.text = append(w.text, p...)
	w.text = bytes.Clone(w.text[max(0, len(w.text)-most):])
	return len(p), nil
}

func (w *lastWords) String() string { return strconv.Quote(string(w.text)) }
