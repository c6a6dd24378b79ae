// Command longan-cloud is the city's program: bridge, store and pages in one.
//
//	longan-cloud run -data /var/lib/longan-cloud -passwords /etc/longan/passwords
//	longan-cloud run -insecure-demo
//	longan-cloud passwd /etc/longan/passwords 621202104-01
//	longan-cloud import -data /var/lib/longan-cloud 621202104-01.export
//	mosquitto_sub -t 'longan/#' -F '%t %x' | longan-cloud decode
//	longan-cloud version
package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/cloud"
)

// Exit statuses: 1 is a failure while running, 2 a wrong command, with nothing
// started.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		return usage(stderr)
	}
	switch args[0] {
	case "run":
		return runCity(ctx, args[1:], stderr)
	case "passwd":
		return passwd(args[1:], stdin, stdout, stderr)
	case "import":
		return importFiles(ctx, args[1:], stdout, stderr)
	case "decode":
		return decode(stdin, stdout, stderr)
	case "version":
		fmt.Fprintln(stdout, version())
		return 0
	}
	return usage(stderr)
}

func usage(stderr io.Writer) int {
	fmt.Fprint(stderr, `用法 / usage:
  longan-cloud run -passwords 文件 [-data 目录]   运行市级中心 / run the city center
  longan-cloud run -insecure-demo               无口令演示 / a demonstration without passwords
  longan-cloud run -h                           全部选项 / all options
  longan-cloud passwd 文件 设备编号               设置设备口令 / set the password of a device
  longan-cloud import [-data 目录] 文件…          导入设备导出的事件 / take in the events that a board exported
  longan-cloud decode                           把十六进制消息变成可读的 / make messages in hex readable
  longan-cloud version                          版本 / version
`)
	return exitUsage
}

// passwd sets the password of a device: a random one, or the line on stdin.
func passwd(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("longan-cloud passwd", flag.ContinueOnError)
	flags.SetOutput(stderr)
	fromStdin := flags.Bool("stdin", false, "从标准输入读取口令，否则随机生成并显示 / read the password from standard input instead of making a random one")
	if err := flags.Parse(args); err != nil {
		return exitUsage
	}
	if flags.NArg() != 2 {
		fmt.Fprintln(stderr, "要两个参数：口令文件和设备编号 / want two arguments, the password file and the device: longan-cloud passwd /etc/longan/passwords 621202104-01")
		return exitUsage
	}
	device, err := longan.ParseDeviceID(flags.Arg(1))
	if err != nil {
		fmt.Fprintf(stderr, "设备编号不对 / not a device: %v\n", err)
		return exitUsage
	}
	password := rand.Text()
	if *fromStdin {
		line, err := bufio.NewReader(io.LimitReader(stdin, 1024)).ReadString('\n')
		if err != nil && err != io.EOF {
			fmt.Fprintf(stderr, "读不到口令 / read the password: %v\n", err)
			return exitFailed
		}
		if password = strings.TrimRight(line, "\r\n"); password == "" {
			fmt.Fprintln(stderr, "口令是空的 / the password is empty")
			return exitUsage
		}
	}
	if err := cloud.SetPassword(flags.Arg(0), device, []byte(password)); err != nil {
		fmt.Fprintf(stderr, "口令没有设置 / the password is not set: %v\n", err)
		return exitFailed
	}
	if !*fromStdin {
		fmt.Fprintln(stdout, password)
	}
	return 0
}

// version is the module's version and the commit it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && !strings.Contains(v, s.Value[:min(12, len(s.Value))]) {
			v += " " + s.Value
		}
	}
	return v
}
