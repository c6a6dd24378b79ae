// Command longan-agent is the board's program.
//
//	longan-agent run -site /etc/longan/site.toml -data /var/lib/longan
//	longan-agent check site.toml
//	longan-agent drivers modbus
//	longan-agent spool stat
//	longan-agent version
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/longan-edge/longan/agent"
	"github.com/longan-edge/longan/drivers/hw"
	firmwareconfig "github.com/longan-edge/longan/firmware-config"
)

// Exit statuses: 1 is a failure while running, 2 a wrong command or site file,
// with nothing started.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		return usage(stderr)
	}
	switch args[0] {
	case "run":
		return runAgent(args[1:], stderr)
	case "check":
		return firmwareconfig.CheckCommand(args[1:], stdout, stderr, os.Getenv)
	case "drivers":
		return firmwareconfig.DriversCommand(args[1:], stdout, stderr, os.Getenv)
	case "spool":
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		return agent.SpoolCommand(ctx, args[1:], stdout, stderr, os.Getenv)
	case "version":
		fmt.Fprintln(stdout, version())
		return 0
	}
	return usage(stderr)
}

func usage(stderr io.Writer) int {
	fmt.Fprint(stderr, `用法 / usage:
  longan-agent run -site 文件 -data 目录    运行 / run the board
  longan-agent check 文件                   检查站点文件 / check a site file
  longan-agent drivers [驱动]               可接的外设和例子 / what can be connected, and examples
  longan-agent spool stat|list|check|export 等待上报的事件 / the events that wait
  longan-agent version                      版本 / version
`)
	return exitUsage
}

func runAgent(args []string, stderr io.Writer) int {
	flags := flag.NewFlagSet("longan-agent run", flag.ContinueOnError)
	flags.SetOutput(stderr)
	site := flags.String("site", "/etc/longan/site.toml", "site file / 站点文件")
	data := flags.String("data", "/var/lib/longan", "folder for the spool / 缓存目录")
	size := flags.Int("spool-size", 0, "bytes that the spool's file may take; 0 is 64 MiB / 缓存文件上限")
	level := new(slog.LevelVar)
	flags.TextVar(level, "log", level, "log level / 日志级别: debug, info, warn, error")
	asJSON := flags.Bool("log-json", false, "log as JSON / 以 JSON 输出日志")
	if err := flags.Parse(args); err != nil {
		return exitUsage
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "多余的参数 / unexpected argument: %q\n", flags.Arg(0))
		return exitUsage
	}
	cfg, err := firmwareconfig.Load(*site, firmwareconfig.LanguageFrom(os.Getenv))
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitUsage
	}
	options := &slog.HandlerOptions{Level: level}
	var handler slog.Handler = slog.NewTextHandler(stderr, options)
	if *asJSON {
		handler = slog.NewJSONHandler(stderr, options)
	}
	clk := agent.SystemClock()
	clk.Hint(agent.LastWritten(*site))
	if err := serve(cfg, clk, *data, *size, slog.New(handler)); err != nil {
		fmt.Fprintln(stderr, "longan-agent:", err)
		return exitFailed
	}
	return 0
}

func serve(site *firmwareconfig.Site, clk *agent.Clock, data string, size int, log *slog.Logger) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	password, err := readPassword(site.Uplink.PasswordFile)
	if err != nil {
		return err
	}
	ports, err := hw.New(hw.Options{Log: log})
	if err != nil {
		return err
	}
	return agent.Run(ctx, agent.Config{
		Site: site, Dir: data, SpoolSize: size, Ports: ports, Password: password, Version: version(), Log: log,
		Clock: clk, Dial: agent.Dialer(site, clk),
		Local:     func() (net.Listener, error) { return agent.ListenLocal(data) },
		Failpoint: failpoint(os.Getenv("LONGAN_FAILPOINT")),
	})
}

// failpoint returns a function that ends this process with SIGKILL the nth time
// it is called with the name, for a spec "name:n" as crash tests set it; nil
// for anything else.
func failpoint(spec string) func(string) {
	name, count, ok := strings.Cut(spec, ":")
	n, err := strconv.ParseInt(count, 10, 64)
	if !ok || err != nil {
		return nil
	}
	var seen atomic.Int64
	return func(at string) {
		if at == name && seen.Add(1) == n {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // until the signal arrives
		}
	}
}

// readPassword returns the first line of a file.
func readPassword(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read broker password: %w", err)
	}
	line, _, _ := strings.Cut(string(content), "\n")
	return strings.TrimSuffix(line, "\r"), nil
}

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	var v strings.Builder
	v.WriteString(info.Main.Version)
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			v.WriteString(" " + s.Value[:12])
		}
	}
	return v.String() + " " + info.GoVersion
}
