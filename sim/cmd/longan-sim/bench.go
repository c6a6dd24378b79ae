package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/longan-edge/longan/sim/bench"
)

// benchmark is `longan-sim bench`.
func benchmark(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(args) > 0 && args[0] == "child" { // of the benchmark itself
		return ended(bench.Child(ctx, args[1:], os.Stdin, stdout), stderr)
	}
	if len(args) == 0 || args[0] != "spool" {
		fmt.Fprintln(stderr, "用法 / usage: longan-sim bench spool [-json] [-n 100000] [-dir DIR]")
		return 2
	}
	flags := flag.NewFlagSet("longan-sim bench spool", flag.ContinueOnError)
	flags.SetOutput(stderr)
	b := &bench.Bench{Out: stdout}
	flags.IntVar(&b.Events, "n", 100_000, "events of an outage; the other figures take fewer / 断网期间的事件数")
	flags.IntVar(&b.Repeats, "repeats", 3, "of every figure; the median counts / 重复次数，取中位数")
	flags.StringVar(&b.Dir, "dir", "", "a folder on the disk to be measured / 被测磁盘上的目录")
	flags.BoolVar(&b.JSON, "json", false, "one JSON object a line / 每行一个 JSON 对象")
	only := flags.String("only", "", "some of "+strings.Join(bench.Names(), ",")+" / 只测其中几项")
	verbose := flags.Bool("v", false, "log every measurement / 记录每次测量")
	if err := flags.Parse(args[1:]); err != nil {
		return 2
	}
	if flags.NArg() > 0 || b.Events < 1 || b.Repeats < 1 {
		fmt.Fprintf(stderr, "参数有误 / wrong arguments: %q\n", args[1:])
		return 2
	}
	if *only != "" {
		b.Only = strings.Split(*only, ",")
	}
	level := slog.LevelWarn
	if *verbose {
		level = slog.LevelInfo
	}
	b.Log = slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))
	var err error
	if b.Self, err = os.Executable(); err != nil {
		return ended(err, stderr)
	}
	return ended(b.Run(ctx), stderr)
}

// ended says why something ended, and returns the exit status.
func ended(err error, stderr io.Writer) int {
	if err != nil {
		fmt.Fprintln(stderr, "longan-sim:", err)
		return 1
	}
	return 0
}
