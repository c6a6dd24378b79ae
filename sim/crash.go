package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/cloud"
)

// Crash is the crash matrix: boards that lose power at random and at chosen
// moments, whose files are damaged and whose disks fill up between two starts,
// and a city whose store is held against what each board said it had accepted.
type Crash struct {
	Rounds int // power losses in all
	Seed   uint64
	Dir    string    // where everything is kept; "" is a folder that is removed
	Out    io.Writer // what it does, for people

	outMu sync.Mutex
}

// CrashReport is the result of a crash run.
type CrashReport struct {
	Rounds       int            `json:"rounds"`
	Accepted     int            `json:"accepted"`
	Stored       int            `json:"stored"`
	ReportedLost int            `json:"reported_lost"`
	SilentlyLost int            `json:"silently_lost"`
	Duplicated   int            `json:"duplicated"`
	OutOfOrder   int            `json:"out_of_order"`
	FailedStarts int            `json:"failed_starts"`
	SlowestStart float64        `json:"slowest_start_ms"`
	Ends         map[string]int `json:"ends"`    // how the rounds ended
	Damages      map[string]int `json:"damages"` // what was done to the files between rounds
	LeftOut      string         `json:"left_out,omitempty"`
	Seconds      float64        `json:"seconds"`
}

// OK reports whether nothing went wrong that the spool promises, in a run that
// says anything.
func (r *CrashReport) OK() bool {
	return r.SilentlyLost == 0 && r.Duplicated == 0 && r.OutOfOrder == 0 && r.FailedStarts == 0 && r.Stored > 0
}

// Run plays the rounds and returns the books.
func (c *Crash) Run(ctx context.Context) (*CrashReport, error) {
	start := time.Now()
	if c.Dir == "" {
		dir, err := os.MkdirTemp("", "longan-crash-")
		if err != nil {
			return nil, fmt.Errorf("make folder: %w", err)
		}
		defer os.RemoveAll(dir)
		c.Dir = dir
	} else if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	agent, err := FindProgram(ctx, c.Dir, "longan-agent")
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for boards: %w", err)
	}
	store := filepath.Join(c.Dir, cloud.StoreName)
	city, err := cloud.New(cloud.Config{StorePath: store, MQTT: listener, InsecureDemo: true})
	if err != nil {
		return nil, err
	}
	cityCtx, stopCity := context.WithCancel(context.WithoutCancel(ctx))
	cityEnd := make(chan error, 1)
	go func() { cityEnd <- city.Run(cityCtx) }()
	report := &CrashReport{Ends: map[string]int{}, Damages: map[string]int{}}
	select {
	case <-city.Ready():
	case err := <-cityEnd:
		stopCity()
		return nil, err
	}
	err = c.play(ctx, agent, listener.Addr().String(), store, report)
	stopCity()
	if err := errors.Join(err, <-cityEnd); err != nil {
		return nil, err
	}
	report.Seconds = time.Since(start).Round(time.Millisecond).Seconds()
	return report, nil
}

// play runs the boards side by side: one with a spool of the usual size, one
// with a spool so small that it gives events up, one on a disk that fills up.
func (c *Crash) play(ctx context.Context, agent, broker, store string, report *CrashReport) error {
	townships := longan.Townships()
	var boards []*crashBoard
	for i, kind := range []boardKind{usualBoard, smallBoard, fullDiskBoard} {
		b, err := c.newBoard(townships[i], kind, agent, broker)
		if errors.Is(err, errNoMount) {
			report.LeftOut = "full disk: mounting a small filesystem needs root"
			continue
		}
		if err != nil {
			return err
		}
		if b.disk != nil {
			defer b.disk.unmount()
		}
		boards = append(boards, b)
	}
	rounds := make(chan int)
	var running sync.WaitGroup
	errs := make([]error, len(boards))
	for i, b := range boards {
		running.Go(func() {
			errs[i] = b.run(ctx, rounds, store, rand.New(rand.NewPCG(c.Seed, uint64(i))))
			for range rounds { // the others go on
			}
		})
	}
	for n := range c.Rounds {
		select {
		case rounds <- n:
		case <-ctx.Done():
		}
		if n%20 == 19 {
			c.say("%d / %d", n+1, c.Rounds)
		}
	}
	close(rounds)
	running.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, b := range boards {
		if err := b.close(context.WithoutCancel(ctx), store, report); err != nil {
			return err
		}
	}
	report.Rounds = c.Rounds
	return nil
}

func (c *Crash) say(format string, args ...any) {
	c.outMu.Lock()
	defer c.outMu.Unlock()
	fmt.Fprintf(c.Out, format+"\n", args...)
}
