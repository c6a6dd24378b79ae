// Command longan-sim plays the world around Longan: hardware, links, power.
//
//	longan-sim demo [-centers 3] [-for 20s] [-json] [-kill] [-broker URL]
//	longan-sim bench spool [-json] [-n 100000] [-dir DIR]
//	longan-sim fleet [-json] [-centers 199] [-outage 10m] [-backlog 24h] [-broker URL]
//	longan-sim bench path [-json] [-n 100000] [-dir DIR]
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
	"time"

	"github.com/longan-edge/longan/sim"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 {
		switch args[0] {
		case "demo":
			return demo(args[1:], stdout, stderr)
		case "crash":
			return crash(args[1:], stdout, stderr)
		case "fleet":
			return fleet(args[1:], stdout, stderr)
		case "bench":
			return benchmark(args[1:], stdout, stderr)
		}
	}
	fmt.Fprint(stderr, `用法 / usage:
  longan-sim demo    演示：市中心和几个乡镇中心 / the city and a few centers
  longan-sim crash   断电、坏盘、满盘，看丢不丢 / power cuts, damaged and full disks
  longan-sim fleet   全部中心，市中心停机后恢复 / all centers, when the city was away and is back
  longan-sim bench   测量缓存、上行全程，与同类对照 / measure the spool and the way to the city beside their peers
  longan-sim demo -h 全部选项 / all options
`)
	return 2
}

func demo(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("longan-sim demo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	d := &sim.Demo{Out: stdout}
	flags.IntVar(&d.Centers, "centers", 3, "how many centers / 中心数")
	flags.DurationVar(&d.For, "for", 0, "end after this long; 0 runs until Ctrl-C / 运行多久")
	flags.DurationVar(&d.Day, "day", 20*time.Second, "how long a scripted day takes / 一天演多久")
	flags.BoolVar(&d.Full, "full", false, "the first center has every peripheral; run it for a minute and a half / 第一个中心接上全部外设，至少跑一分半")
	flags.BoolVar(&d.Kill, "kill", false, "end agents with SIGKILL at random / 随机杀死板端程序")
	flags.BoolVar(&d.KillCloud, "kill-cloud", false, "end the city with SIGKILL now and then / 也杀死市中心进程")
	flags.StringVar(&d.Broker, "broker", "", "use a running broker, mqtt://host:port / 使用已有的消息代理")
	flags.StringVar(&d.HTTP, "http", "127.0.0.1:8080", "address of the page / 网页地址")
	flags.StringVar(&d.MQTT, "mqtt", "127.0.0.1:18830", "address of the city's own broker / 自带消息代理的地址")
	flags.StringVar(&d.Dir, "dir", "", "keep everything in this folder / 保留全部文件的目录")
	flags.Uint64Var(&d.Seed, "seed", 1, "of the scripted days / 随机种子")
	asJSON := flags.Bool("json", false, "one JSON object on the last line / 最后一行输出 JSON")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "多余的参数 / unexpected argument: %q\n", flags.Arg(0))
		return 2
	}
	if *asJSON {
		d.Out = stderr
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program where it is
	report, err := d.Run(ctx)
	if err != nil {
		fmt.Fprintln(stderr, "longan-sim:", err)
		return 1
	}
	if *asJSON {
		line, err := json.Marshal(report)
		if err != nil {
			fmt.Fprintln(stderr, "longan-sim:", err)
			return 1
		}
		fmt.Fprintf(stdout, "%s\n", line)
	} else {
		fmt.Fprintf(stdout, "收下 accepted %d  入库 stored %d  丢失 lost %d  重复 duplicated %d  乱序 out of order %d  报警 alarms %d（p50 %.0f ms, p99 %.0f ms）\n",
			report.Accepted, report.Stored, report.Lost, report.Duplicated, report.OutOfOrder, report.Alarms, report.AlarmMS.P50, report.AlarmMS.P99)
	}
	if !report.OK() {
		return 1
	}
	return 0
}
