package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/longan-edge/longan/sim"
)

func crash(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("longan-sim crash", flag.ContinueOnError)
	flags.SetOutput(stderr)
	c := &sim.Crash{Out: stderr}
	flags.IntVar(&c.Rounds, "n", 60, "power losses / 断电次数")
	flags.Uint64Var(&c.Seed, "seed", 1, "of what happens when / 随机种子")
	flags.StringVar(&c.Dir, "dir", "", "keep everything in this folder / 保留全部文件的目录")
	flags.Bool("json", true, "one JSON object on the last line; it always is / 最后一行输出 JSON")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if flags.NArg() > 0 || c.Rounds < 1 {
		fmt.Fprintln(stderr, "用法 / usage: longan-sim crash -n 60 -seed 1")
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program where it is
	report, err := c.Run(ctx)
	if err != nil {
		fmt.Fprintln(stderr, "longan-sim:", err)
		return 1
	}
	line, err := json.Marshal(report)
	if err != nil {
		fmt.Fprintln(stderr, "longan-sim:", err)
		return 1
	}
	fmt.Fprintf(stdout, "%s\n", line)
	if !report.OK() {
		return 1
	}
	return 0
}
