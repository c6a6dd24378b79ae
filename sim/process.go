package sim

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Process keeps a program running as its own process: when it ends, for
// whatever reason, it is started again.
type Process struct {
	Name string
	Path string
	Args []string
	// Line receives every line of the program's standard error, in order.
	Line func(line []byte)

	mu       sync.Mutex
	cmd      *exec.Cmd
	restarts int
}

// Bounds of a process's ends.
const (
	restartDelay = 300 * time.Millisecond
	stopTimeout  = 10 * time.Second
)

// Run keeps the program running until ctx ends, then asks it to stop and waits.
// It returns an error when the program ends by itself three times without
// having run a second: it can't work.
func (p *Process) Run(ctx context.Context) error {
	failures := 0
	for {
		start := time.Now()
		err := p.once(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(start) > time.Second {
			failures = 0
		} else if failures++; failures == 3 {
			return fmt.Errorf("%s does not stay up: %w", p.Name, err)
		}
		p.mu.Lock()
		p.restarts++
		p.mu.Unlock()
		select {
		case <-time.After(restartDelay):
		case <-ctx.Done():
			return nil
		}
	}
}

func (p *Process) once(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, p.Path, p.Args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopTimeout
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	p.mu.Lock()
	p.cmd = cmd
	p.mu.Unlock()
	last := p.read(stderr)
	err = cmd.Wait()
	p.mu.Lock()
	p.cmd = nil
	p.mu.Unlock()
	if err == nil {
		err = errors.New("it ended")
	}
	return fmt.Errorf("%w; its last words: %s", err, last)
}

// read hands on every line and returns the last.
func (p *Process) read(r io.Reader) (last string) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		last = lines.Text()
		if p.Line != nil {
			p.Line(lines.Bytes())
		}
	}
	return last
}

// Kill ends the program with SIGKILL, as a power cut would; Run starts it again.
// It reports whether the program was running.
func (p *Process) Kill() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd != nil && p.cmd.Process.Kill() == nil
}

// Restarts returns how often the program had to be started again.
func (p *Process) Restarts() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.restarts
}

// FindProgram returns the path of longan-agent or longan-cloud: the one that
// stands beside this program, or one that it builds into dir from the source of
// the module that it is run in.
func FindProgram(ctx context.Context, dir, name string) (string, error) {
	if self, err := os.Executable(); err == nil {
		if beside := filepath.Join(filepath.Dir(self), name); isFile(beside) {
			return beside, nil
		}
	}
	folder, _ := strings.CutPrefix(name, "longan-")
	path := filepath.Join(dir, name)
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, "github.com/longan-edge/longan/"+folder+"/cmd/"+name)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s (run this in the project's folder, or put %s beside it): %w\n%s", name, name, err, out)
	}
	return path, nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
