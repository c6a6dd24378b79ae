package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/cloud"
)

// city is the real longan-cloud in a process of its own, with a broker of its own
// or Debian's, and what it says to have made durable.
type city struct {
	cmd     *exec.Cmd
	broker  *exec.Cmd // nil with the embedded one
	address string    // of the broker
	dir     string
	read    sync.WaitGroup

	mu     sync.Mutex
	ready  bool
	stored map[string]int // events, by lane
	total  int
	note   func(lane string, n, total int, at time.Time) // called with every commit; may be nil
	last   string                                        // line of the log
}

// startCity starts a city in an empty folder and waits until it listens to its
// broker.
func (p *Path) startCity(ctx context.Context, dir string, embedded bool) (*city, error) {
	c := &city{dir: dir, stored: map[string]int{}}
	args := []string{"run", "-http", "", "-data", filepath.Join(dir, "city"), "-log", "json", "-log-level", "debug"}
	var err error
	if embedded {
		c.address, err = freeAddress()
		args = append(args, "-insecure-demo", "-mqtt", c.address)
	} else {
		c.broker, c.address, err = p.broker(ctx, dir)
		args = append(args, "-broker", "tcp://"+c.address)
	}
	if err != nil {
		return nil, err
	}
	c.cmd = exec.CommandContext(ctx, p.cloud, args...)
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stderr, err := c.cmd.StderrPipe()
	if err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		stopAll(c.broker)
		return nil, fmt.Errorf("start city: %w", err)
	}
	c.read.Go(func() { c.follow(stderr); c.cmd.Wait() })
	err = until(ctx, 30*time.Second, func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		if !c.ready {
			return fmt.Errorf("the city is not ready; it says %q", c.last)
		}
		return nil
	})
	if err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

// follow reads the city's log. The time of a commit is when its line was read:
// a little late, never early.
func (c *city) follow(r io.Reader) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		at := time.Now()
		var l struct {
			Msg, Lane string
			New       int
		}
		err := json.Unmarshal(lines.Bytes(), &l)
		c.mu.Lock()
		c.last = lines.Text()
		if err == nil && l.Msg == "link to the broker is up" {
			c.ready = true
		}
		if err == nil && l.Msg == "stored" {
			c.stored[l.Lane] += l.New
			c.total += l.New
			if c.note != nil {
				c.note(l.Lane, l.New, c.total, at)
			}
		}
		c.mu.Unlock()
	}
	io.Copy(io.Discard, r) // a line that is too long must not stop the city
}

// watch has note called with every commit from now on, and returns how many
// events were stored before.
func (c *city) watch(note func(lane string, n, total int, at time.Time)) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.note = note
	return c.total
}

// count returns how many events are stored.
func (c *city) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.total
}

func (c *city) stop() {
	c.cmd.Process.Kill() // its files are about to be deleted, or looked at: it need not say goodbye
	c.read.Wait()
	stopAll(c.broker)
}

// stopAll ends the processes that there are.
func stopAll(cmds ...*exec.Cmd) {
	for _, cmd := range cmds {
		if cmd != nil {
			stop(cmd)
		}
	}
}

// audit reads the store of a city that has been stopped, and returns an error
// unless it holds every event exactly once and in order, n at least.
func (c *city) audit(ctx context.Context, n int) error {
	streams, err := cloud.Audit(ctx, filepath.Join(c.dir, "city", cloud.StoreName))
	if err != nil {
		return err
	}
	have := 0
	for _, s := range streams {
		have += int(s.Count)
		if !s.Contiguous || !s.InOrder || s.Lost > 0 {
			err = errors.Join(err, fmt.Errorf("stream %s of the store has gaps or is out of order: %+v", s.Lane, s))
		}
	}
	if have < n {
		err = errors.Join(err, fmt.Errorf("%d events stored of %d", have, n))
	}
	return err
}

// benchDevice is the board of the measurements.
const benchDevice longan.DeviceID = "621202001-01"
