package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/longan-edge/longan/sim/bench"
)

// benchmark is `longan-sim bench`.
func benchmark(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(args) > 0 {
		switch args[0] {
		case "child": // of the benchmark itself
			return ended(bench.Child(ctx, args[1:], os.Stdin, stdout), stderr)
		case "spool":
			return benchSpool(ctx, args[1:], stdout, stderr)
		case "path":
			return benchPath(ctx, args[1:], stdout, stderr)
		}
	}
	fmt.Fprint(stderr, `用法 / usage:
  longan-sim bench spool [-json] [-n 100000] [-dir DIR]   板端缓存 / the spool
  longan-sim bench path  [-json] [-n 100000] [-dir DIR]   板端到市中心入库再返回 / agent to the city's store and back
`)
	return 2
}

// benchFlags are those that both benchmarks have.
type benchFlags struct {
	*flag.FlagSet
	names   []string // of measurements
	only    string
	verbose bool
}

func newBenchFlags(name string, stderr io.Writer, names []string, events, repeats *int, dir, mix *string, asJSON *bool) *benchFlags {
	f := &benchFlags{FlagSet: flag.NewFlagSet("longan-sim bench "+name, flag.ContinueOnError), names: names}
	f.SetOutput(stderr)
	f.IntVar(events, "n", 100_000, "events of an outage / 断网期间的事件数")
	f.IntVar(repeats, "repeats", 3, "of every figure; the median counts / 重复次数，取中位数")
	f.StringVar(dir, "dir", "", "a folder on the disk to be measured / 被测磁盘上的目录")
	f.StringVar(mix, "mix", bench.Usual, "what events hold: usual, or noise that compresses badly / 事件内容：usual 平常，noise 难压缩")
	f.BoolVar(asJSON, "json", false, "one JSON object a line / 每行一个 JSON 对象")
	f.StringVar(&f.only, "only", "", "some of "+strings.Join(names, ",")+" / 只测其中几项")
	f.BoolVar(&f.verbose, "v", false, "log every measurement / 记录每次测量")
	return f
}

// parse returns false when the arguments are wrong, which was said then.
func (f *benchFlags) parse(args []string, stderr io.Writer, valid func() bool) (only []string, log *slog.Logger, ok bool) {
	if err := f.Parse(args); err != nil {
		return nil, nil, false
	}
	if f.NArg() > 0 || !valid() {
		fmt.Fprintf(stderr, "参数有误 / wrong arguments: %q\n", args)
		return nil, nil, false
	}
	if f.only != "" {
		only = strings.Split(f.only, ",")
	}
	for _, name := range only {
		if !slices.Contains(f.names, name) {
			fmt.Fprintf(stderr, "-only %q：没有这一项 / no such measurement: want some of %s\n", name, strings.Join(f.names, ","))
			return nil, nil, false
		}
	}
	level := slog.LevelWarn
	if f.verbose {
		level = slog.LevelInfo
	}
	return only, slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level})), true
}

func benchSpool(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	b := &bench.Bench{Out: stdout}
	flags := newBenchFlags("spool", stderr, bench.Names(), &b.Events, &b.Repeats, &b.Dir, &b.Mix, &b.JSON)
	var ok bool
	if b.Only, b.Log, ok = flags.parse(args, stderr, func() bool { return b.Events > 0 && b.Repeats > 0 && bench.ValidMix(b.Mix) }); !ok {
		return 2
	}
	var err error
	if b.Self, err = os.Executable(); err != nil {
		return ended(err, stderr)
	}
	return ended(b.Run(ctx), stderr)
}

func benchPath(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	p := &bench.Path{Out: stdout}
	flags := newBenchFlags("path", stderr, bench.PathNames(), &p.Events, &p.Repeats, &p.Dir, &p.Mix, &p.JSON)
	flags.IntVar(&p.Alarms, "alarms", 200, "alarms one after the other in each round / 每轮逐个报警数")
	flags.DurationVar(&p.Idle, "idle", 5*time.Minute, "how long an idle center is watched / 观察空闲中心多久")
	valid := func() bool {
		return p.Events > 0 && p.Repeats > 0 && p.Alarms > 0 && p.Idle > 0 && bench.ValidMix(p.Mix)
	}
	var ok bool
	if p.Only, p.Log, ok = flags.parse(args, stderr, valid); !ok {
		return 2
	}
	var err error
	if p.Self, err = os.Executable(); err != nil {
		return ended(err, stderr)
	}
	return ended(p.Run(ctx), stderr)
}

// ended says why something ended, and returns the exit status.
func ended(err error, stderr io.Writer) int {
	if err != nil {
		fmt.Fprintln(stderr, "longan-sim:", err)
		return 1
	}
	return 0
}
