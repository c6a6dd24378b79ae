package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/longan-edge/longan/sim"
)

// fleet is `longan-sim fleet`.
func fleet(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("longan-sim fleet", flag.ContinueOnError)
	flags.SetOutput(stderr)
	f := &sim.Fleet{Out: stdout}
	flags.IntVar(&f.Centers, "centers", 199, "how many centers / 中心数")
	flags.DurationVar(&f.Outage, "outage", 10*time.Minute, "how long the city is away / 市中心停机多久")
	flags.DurationVar(&f.Backlog, "backlog", 0, "history that waits in every spool before it begins / 预先装入多久的积压")
	flags.IntVar(&f.PerDay, "per-day", 1000, "events of a center in a day / 每中心每天事件数")
	flags.IntVar(&f.Alarms, "alarms", 0, "raised while the city is away; 0 is one center in ten / 停机期间的报警数")
	flags.IntVar(&f.SpoolSize, "spool-size", 4<<20, "bytes of each spool / 每个缓存的上限")
	flags.StringVar(&f.Broker, "broker", "", "use a running broker, mqtt://host:port / 使用已有的消息代理")
	flags.StringVar(&f.Dir, "dir", "", "keep everything in this folder / 保留全部文件的目录")
	flags.Uint64Var(&f.Seed, "seed", 1, "of what happens when / 随机种子")
	asJSON := flags.Bool("json", false, "one JSON object on the last line / 最后一行输出 JSON")
	verbose := flags.Bool("v", false, "log what the agents warn of / 记录板端警告")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if flags.NArg() > 0 || f.Centers < 1 || f.Outage <= 0 || f.Backlog < 0 || f.PerDay < 1 || f.Alarms < 0 || f.SpoolSize < 0 {
		fmt.Fprintf(stderr, "参数有误 / wrong arguments: %q\n", args)
		return 2
	}
	if *asJSON {
		f.Out = stderr
	}
	if *verbose {
		f.Log = slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	report, err := f.Run(ctx)
	if err != nil {
		return ended(err, stderr)
	}
	line, err := json.Marshal(report)
	if err != nil {
		return ended(err, stderr)
	}
	if missed := report.Missed(); len(missed) > 0 {
		fmt.Fprintf(f.Out, "未达目标 / goals missed: %s\n", strings.Join(missed, ", "))
	}
	fmt.Fprintf(stdout, "%s\n", line)
	if !report.OK() {
		return 1
	}
	return 0
}
