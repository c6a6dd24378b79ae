package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// childArgs are the arguments with which a program reaches Child.
func childArgs(mix, store, task, dir string, n, rate int) []string {
	return []string{"bench", "child", "-mix", mix, "-store", store, "-task", task, "-dir", dir, "-n", strconv.Itoa(n), "-rate", strconv.Itoa(rate)}
}

// syncs counts, with strace, the calls of fsync and its relatives that a store
// makes while n events come at a rate and are freed.
func (b *Bench) syncs(ctx context.Context, store, dir string, rate, n int) (int, error) {
	list := filepath.Join(dir, "calls.txt")
	args := []string{"-f", "-c", "-o", list, "-e", "trace=fsync,fdatasync,msync,sync,syncfs,sync_file_range", b.Self}
	cmd := exec.CommandContext(ctx, "strace", append(args, childArgs(b.Mix, store, "live", dir, n, rate)...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("strace: %w: %s", err, out)
	}
	text, err := os.ReadFile(list)
	if err != nil {
		return 0, fmt.Errorf("strace: %w", err)
	}
	return parseCalls(string(text))
}

// parseCalls sums up the calls of a table of strace -c.
func parseCalls(text string) (total int, err error) {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 5 || !strings.Contains(fields[len(fields)-1], "sync") {
			continue
		}
		n, err := strconv.Atoi(fields[3])
		if err != nil {
			return 0, fmt.Errorf("strace: table %q: %w", line, err)
		}
		total += n
	}
	return total, nil
}

// memory is what a process took at most, in MiB.
type memory struct {
	total float64 // VmHWM: with the pages of its program and its files
	anon  float64 // RssAnon: what is its own alone, sampled
}

// memories are a store's at the start of its process, before it is open, while
// events came in, and while they drained.
type memories struct{ base, queued, drained memory }

// memories measures a store in a process of its own with n events.
func (b *Bench) memories(ctx context.Context, store, dir string, n int) (m memories, err error) {
	cmd := exec.CommandContext(ctx, b.Self, childArgs(b.Mix, store, "memory", dir, n, 1)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var words bytes.Buffer
	cmd.Stderr = &words
	in, err := cmd.StdinPipe()
	if err != nil {
		return m, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return m, err
	}
	if err := cmd.Start(); err != nil {
		return m, fmt.Errorf("start child: %w", err)
	}
	lines := bufio.NewScanner(out)
	for _, part := range []struct {
		line string
		into *memory
	}{{"started", &m.base}, {"queued", &m.queued}, {"drained", &m.drained}} {
		line := make(chan struct{})
		go func() { defer close(line); lines.Scan() }()
		*part.into, err = watch(cmd.Process.Pid, line)
		if err != nil {
			cmd.Process.Kill() // so that the scan ends
		}
		<-line
		if err != nil || lines.Text() != part.line {
			cmd.Process.Kill() // whatever it does, it is not that part
			cmd.Wait()
			return m, fmt.Errorf("child said %q, want %q: %v: %s", lines.Text(), part.line, err, words.String())
		}
		if _, err := io.WriteString(in, "\n"); err != nil {
			break // Wait knows more
		}
	}
	if err := cmd.Wait(); err != nil {
		return m, fmt.Errorf("child: %w: %s", err, words.String())
	}
	return m, nil
}

// watch returns what a process takes at most until end is closed.
func watch(pid int, end <-chan struct{}) (m memory, err error) {
	const every = 5 * time.Millisecond
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	// Start the high water mark anew: proc_pid_clear_refs(5).
	if err := os.WriteFile(filepath.Join(proc, "clear_refs"), []byte("5"), 0); err != nil {
		return m, fmt.Errorf("measure memory: %w", err)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for done := false; !done; {
		select {
		case <-tick.C:
		case <-end:
			done = true
		}
		text, err := os.ReadFile(filepath.Join(proc, "status"))
		if err != nil {
			return m, fmt.Errorf("measure memory: %w", err)
		}
		now := statusMiB(string(text), "VmHWM:")
		if now == 0 {
			return m, errors.New("measure memory: the process has ended")
		}
		m.total = max(m.total, now)
		m.anon = max(m.anon, statusMiB(string(text), "RssAnon:"))
	}
	return m, nil
}

// statusMiB returns a line of /proc/PID/status that is in kB.
func statusMiB(text, name string) float64 {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			kb, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")))
			if err != nil {
				return 0
			}
			return float64(kb) / 1024
		}
	}
	return 0
}
