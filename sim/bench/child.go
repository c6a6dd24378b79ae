package bench

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"runtime/debug"

	"github.com/longan-edge/longan"
)

// Child is what the benchmark runs in a process of its own, so that nothing else
// is in its memory or among its system calls. It opens a store, does a task, and
// between two parts of it writes a line to stdout and waits for one from stdin.
//
//	live         events at a rate while the link is up
//	fill         events in an outage
//	fill-states  the same, states alone
//	memory       events in an outage; then they drain
func Child(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	flags := flag.NewFlagSet("child", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	name := flags.String("store", ours, "")
	task := flags.String("task", "", "")
	dir := flags.String("dir", "", "")
	n := flags.Int("n", 0, "")
	rate := flags.Int("rate", 1, "")
	mix := flags.String("mix", Usual, "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	g, in := newGenerator(1, *mix), bufio.NewReader(stdin)
	next := func(done string) error {
		if _, err := fmt.Fprintln(stdout, done); err != nil {
			return err
		}
		_, err := in.ReadString('\n')
		return err
	}
	if *task == "memory" {
		g.of(longan.Sample)
		debug.FreeOSMemory() // what it took to make them
		if err := next("started"); err != nil {
			return err
		}
	}
	s, err := openStore(*name, *dir)
	if err != nil {
		return err
	}
	switch *task {
	case "live":
		_, err = live(ctx, s, g, longan.State, *rate, *n)
	case "fill":
		_, err = fill(ctx, s, g, longan.Sample, *n, window)
	case "fill-states":
		_, err = fill(ctx, s, g, longan.State, *n, window)
	case "memory":
		if _, err = fill(ctx, s, g, longan.Sample, *n, window); err != nil {
			break
		}
		if err = next("queued"); err != nil {
			break
		}
		if _, err = drain(ctx, s); err != nil {
			break
		}
		err = next("drained")
	default:
		err = fmt.Errorf("no task %q", *task)
	}
	if err != nil {
		s.close()
		return err
	}
	return s.close()
}
