package brokers

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Process is a program that runs until it is killed. It ends with the program
// that started it.
type Process struct {
	name string
	path string
	args []string
	said lastWords

	cmd   *exec.Cmd // nil while it does not run
	ended chan struct{}
}

// NewProcess returns a process that does not run yet; name is for messages.
func NewProcess(name, path string, args ...string) *Process {
	return &Process{name: name, path: path, args: args}
}

// startTimeout bounds how long a program takes until it is ready, on a machine
// that is busy with tests.
const startTimeout = 30 * time.Second

// Start runs the program, which must not be running, and returns once ready
// returns nil. Its error has the program's last words.
func (p *Process) Start(ctx context.Context, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	p.said.clear()
	p.cmd = exec.Command(p.path, p.args...)
	p.cmd.Stdout, p.cmd.Stderr = &p.said, &p.said
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		p.cmd = nil
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	cmd, ended := p.cmd, make(chan struct{})
	p.ended = ended
	go func() {
		defer close(ended)
		cmd.Wait()
	}()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
			continue
		case <-ended:
			err = fmt.Errorf("it ended: %v", cmd.ProcessState)
		case <-ctx.Done():
		}
		p.Kill()
		return fmt.Errorf("start %s: %w; its last words: %s", p.name, err, p.said.String())
	}
}

// Kill ends the program with SIGKILL, as a power cut would, and waits for its
// end. It does nothing to a program that does not run.
func (p *Process) Kill() {
	if p.cmd == nil {
		return
	}
	p.cmd.Process.Kill()
	<-p.ended
	p.cmd = nil
}

// LastWords returns the end of what the program said since it was started.
func (p *Process) LastWords() string { return p.said.String() }

// lastWords keeps the end of what is written to it.
type lastWords struct {
	mu   sync.Mutex
	text []byte
}

// Write implements io.Writer.
func (w *lastWords) Write(b []byte) (int, error) {
	const most = 4 << 10
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, b...)
	w.text = bytes.Clone(w.text[max(0, len(w.text)-most):])
	return len(b), nil
}

func (w *lastWords) clear() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = nil
}

func (w *lastWords) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(w.text)
}
