package desk

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"time"

	firmwareconfig "github.com/longan-edge/longan/firmware-config"
)

// Exit statuses of the command.
const (
	exitFailed = 1 // it did not work, or a check found damage
	exitUsage  = 2 // a wrong command, or no spool there
)

// errUsage: what is wrong was told already.
var errUsage = errors.New("wrong usage")

// command is one call of longan-agent spool.
type command struct {
	lang           firmwareconfig.Language
	stdout, stderr io.Writer
	now            func() time.Time

	// Flags; each subcommand has some of them.
	data, lane, epoch, site, device string
	n                               int
	from                            uint64
	asJSON, force                   bool
}

// Command is longan-agent spool with its arguments. It returns the exit status:
// 0, 1 when it did not work or a check found damage, 2 for a wrong command or a
// folder without a spool. The environment's language decides the texts.
func Command(ctx context.Context, args []string, stdout, stderr io.Writer, getenv func(string) string) int {
	c := &command{lang: firmwareconfig.LanguageFrom(getenv), stdout: stdout, stderr: stderr, now: time.Now}
	if len(args) == 0 {
		return c.usage()
	}
	run := map[string]func(context.Context, Book, []string) error{
		"stat": c.stat, "list": c.list, "check": c.check, "export": c.export,
	}[args[0]]
	if run == nil {
		return c.usage()
	}
	rest, err := c.parse(args[0], args[1:])
	if err != nil {
		return exitUsage
	}
	book, closer, err := Open(ctx, c.data)
	if err != nil {
		return c.cannotOpen(err)
	}
	defer closer.Close()
	switch err := run(ctx, book, rest); {
	case errors.Is(err, errUsage):
		return exitUsage
	case errors.Is(err, errUnsound):
		return exitFailed
	case err != nil:
		fmt.Fprintf(stderr, "longan-agent spool %s: %v\n", args[0], err)
		return exitFailed
	}
	return 0
}

func (c *command) usage() int {
	fmt.Fprint(c.stderr, c.say(`用法：
  longan-agent spool stat   [-data 目录] [-json]                    缓存的状况
  longan-agent spool list   [-data 目录] [-lane alarm] [-n 20] [-from 序号] [-epoch 纪元] [-json]
                                                                    等待上报的事件
  longan-agent spool check  [-data 目录] [-json]                    检查文件：0 完好，1 已损坏
  longan-agent spool export [-data 目录] [-site 文件 | -device 编号] [-force] 文件
                                                                    把等待上报的事件写成文件，带到市里
`, `usage:
  longan-agent spool stat   [-data DIR] [-json]                    how the spool stands
  longan-agent spool list   [-data DIR] [-lane alarm] [-n 20] [-from SEQ] [-epoch EPOCH] [-json]
                                                                   the events that wait
  longan-agent spool check  [-data DIR] [-json]                    check the file: 0 is sound, 1 is damaged
  longan-agent spool export [-data DIR] [-site FILE | -device ID] [-force] FILE
                                                                   write the events that wait to a file, for the city
`))
	return exitUsage
}

// parse reads the flags of a subcommand and returns what follows them.
func (c *command) parse(name string, args []string) ([]string, error) {
	flags := flag.NewFlagSet("longan-agent spool "+name, flag.ContinueOnError)
	flags.SetOutput(c.stderr)
	flags.StringVar(&c.data, "data", "/var/lib/longan", c.say("缓存目录", "folder of the spool"))
	if name != "export" {
		flags.BoolVar(&c.asJSON, "json", false, c.say("以 JSON 输出", "print JSON"))
	}
	switch name {
	case "list":
		flags.StringVar(&c.lane, "lane", "", c.say("只列这个通道：alarm、state、sample", "this lane only: alarm, state or sample"))
		flags.StringVar(&c.epoch, "epoch", "", c.say("只列这个纪元", "this epoch only"))
		flags.IntVar(&c.n, "n", 20, c.say("最多列多少条", "how many at most"))
		flags.Uint64Var(&c.from, "from", 1, c.say("从这个序号开始", "from this number on"))
	case "export":
		flags.StringVar(&c.site, "site", "/etc/longan/site.toml", c.say("站点文件，从中得知设备编号", "site file, which names the device"))
		flags.StringVar(&c.device, "device", "", c.say("设备编号，代替站点文件", "the device, instead of a site file"))
		flags.BoolVar(&c.force, "force", false, c.say("覆盖已有的文件", "replace a file that is there"))
	}
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	want := 0
	if name == "export" {
		want = 1
	}
	if flags.NArg() != want {
		return nil, c.wrong("参数的个数不对：要 %d 个，有 %d 个。选项写在前面。", "want %d argument(s) behind the flags, have %d", want, flags.NArg())
	}
	return flags.Args(), nil
}

// cannotOpen tells why a spool can't be opened.
func (c *command) cannotOpen(err error) int {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		fmt.Fprintln(c.stderr, c.say("%s 里没有缓存文件。目录对吗？用 -data 指定。", "there is no spool in %s. Is it the right folder? -data names another.", c.data))
		return exitUsage
	case errors.Is(err, fs.ErrPermission):
		fmt.Fprintln(c.stderr, c.say("没有权限读 %s。请用运行 longan-agent 的用户，或者 sudo。", "no permission to read %s. Be the user that longan-agent runs as, or use sudo.", c.data))
	case errors.Is(err, errSilent):
		fmt.Fprintln(c.stderr, c.say("longan-agent 正在使用 %s 里的缓存，但它的本地套接字没有应答。请看它的日志；或者先停止它，再试一次。",
			"longan-agent has the spool in %s open, but its local socket does not answer. Look at its log, or stop it and try again.", c.data))
	default:
		fmt.Fprintln(c.stderr, "longan-agent spool:", err)
	}
	return exitFailed
}

// say formats a text in the command's language.
func (c *command) say(zh, en string, args ...any) string {
	text := zh
	if c.lang == firmwareconfig.English {
		text = en
	}
	if len(args) == 0 {
		return text
	}
	return fmt.Sprintf(text, args...)
}

// wrong tells what of the usage is wrong.
func (c *command) wrong(zh, en string, args ...any) error {
	fmt.Fprintln(c.stderr, c.say(zh, en, args...))
	return errUsage
}

func (c *command) print(zh, en string, args ...any) {
	fmt.Fprintln(c.stdout, c.say(zh, en, args...))
}

// json prints a value as one line.
func (c *command) json(v any) error {
	return json.NewEncoder(c.stdout).Encode(v)
}
