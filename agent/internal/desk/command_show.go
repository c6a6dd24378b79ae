package desk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/longan-edge/longan"
)

// stat prints where the spool stands.
func (c *command) stat(ctx context.Context, book Book, _ []string) error {
	st, err := book.Stat(ctx)
	if err != nil {
		return err
	}
	if c.asJSON {
		return c.json(st)
	}
	if st.Running {
		c.print("设备 %s，longan-agent 正在运行（%s）", "device %s, longan-agent runs (%s)", st.Device, st.Version)
	} else {
		c.print("longan-agent 没有运行，以下来自文件", "longan-agent does not run; this is from the file")
	}
	switch {
	case !st.OK && st.Running:
		c.print("磁盘：写不进去：%s；内存里有 %d 条事件，断电就没有了", "disk: takes nothing: %s; %d event(s) in memory, which a power cut would lose", st.Error, st.InMemory)
	case !st.OK:
		c.print("文件：已损坏：%s；详见 longan-agent spool check", "file: damaged: %s; see longan-agent spool check", st.Error)
	case st.SlowMS > 0:
		c.print("磁盘：慢，最近一次写入用了 %d 毫秒", "disk: slow, a recent write took %d ms", st.SlowMS)
	default:
		c.print("磁盘：正常", "disk: good")
	}
	c.print("文件：%s，其中事件 %s，上限 %s", "file: %s, of it events %s, at most %s", bytesText(st.File), bytesText(st.Live), bytesText(st.Budget))
	c.print("写入：今天 %s，共 %s%s", "written: %s today, %s in all%s", bytesText(int64(st.WrittenToday)), bytesText(int64(st.Written)), c.life(st))
	for i, e := range st.Epochs {
		if i == len(st.Epochs)-1 {
			c.print("纪元 %s（当前）", "epoch %s (current)", e.Epoch)
		} else {
			c.print("纪元 %s（以前）", "epoch %s (earlier)", e.Epoch)
		}
		for _, l := range longan.Lanes {
			if lane := e.Lanes[l]; lane != nil {
				c.lane1(l, lane, st.Time)
			}
		}
	}
	return nil
}

func (c *command) life(st *Stat) string {
	if st.LifeHours == 0 {
		return ""
	}
	return c.say("，照此存储卡还能用约 %.1f 年", ", at this rate the card lasts about %.1f years", float64(st.LifeHours)/24/365)
}

func (c *command) lane1(l longan.Lane, lane *Lane, now time.Time) {
	oldest := ""
	if lane.Backlog > 0 && !lane.Oldest.IsZero() {
		oldest = c.say("，最早的在 %s 前（%s）", ", the oldest is %s old (%s)", max(0, now.Sub(lane.Oldest)).Round(time.Second), localTime(lane.Oldest))
	}
	c.print("  %-6s 最新 %d，已确认 %d，等待 %d%s", "  %-6s last %d, acknowledged %d, waiting %d%s", l, lane.Last, lane.Acked, lane.Backlog, oldest)
}

// list prints events that wait.
func (c *command) list(ctx context.Context, book Book, _ []string) error {
	lanes := longan.Lanes[:]
	if c.lane != "" {
		l, err := longan.ParseLane(c.lane)
		if err != nil {
			return c.wrong("没有通道 %q：要 alarm、state 或 sample", "no lane %q: want alarm, state or sample", c.lane)
		}
		lanes = []longan.Lane{l}
	}
	if c.n < 1 {
		return c.wrong("-n 要大于 0", "-n: want more than 0")
	}
	st, err := book.Stat(ctx)
	if err != nil {
		return err
	}
	left, known := c.n, false
	for _, l := range lanes {
		for _, e := range st.Epochs {
			if c.epoch != "" && e.Epoch != c.epoch {
				continue
			}
			known = true
			if left, err = c.listLane(ctx, book, e.Epoch, l, left); err != nil {
				return err
			}
		}
	}
	switch {
	case !known:
		return c.wrong("没有纪元 %q", "no epoch %q", c.epoch)
	case left == c.n && !c.asJSON:
		c.print("没有等待上报的事件", "no event waits")
	}
	return nil
}

// listLane prints the events of a lane, at most n, and returns what is left of n.
func (c *command) listLane(ctx context.Context, book Book, epoch string, l longan.Lane, n int) (int, error) {
	for from := c.from; n > 0; {
		records, err := book.Read(ctx, epoch, l, from, min(n, maxRead))
		if err != nil || len(records) == 0 {
			return n, err
		}
		for _, r := range records {
			e, err := longan.ParseEvent(r.JSON)
			if err != nil {
				return n, err
			}
			if c.asJSON {
				err = c.json(listed{epoch, l, r.JSON})
			} else {
				c.event(epoch, l, &e)
			}
			if err != nil {
				return n, err
			}
			n--
			from = r.Seq + 1
		}
	}
	return n, nil
}

// listed is an event as list -json prints it.
type listed struct {
	Epoch string          `json:"epoch"`
	Lane  longan.Lane     `json:"lane"`
	Event json.RawMessage `json:"event"`
}

func (c *command) event(epoch string, l longan.Lane, e *longan.Event) {
	at := c.say("时间不明", "time unknown")
	if !e.Time.IsZero() {
		at = localTime(e.Time)
		if e.Clock == longan.ClockFloor {
			at = "≥" + at
		}
	}
	fields := []string{epoch[:min(8, len(epoch))], fmt.Sprintf("%-6s", l), fmt.Sprint(e.Seq), at, e.Type}
	if e.Point != "" {
		fields = append(fields, e.Point)
	}
	if len(e.Data) > 0 {
		fields = append(fields, strings.Join(strings.Fields(string(e.Data)), " "))
	}
	fmt.Fprintln(c.stdout, strings.Join(fields, "  "))
}

// errUnsound: a check found damage, and has told it.
var errUnsound = errors.New("the spool is damaged")

// check reads everything and tells what is wrong.
func (c *command) check(ctx context.Context, book Book, _ []string) error {
	f, err := book.Check(ctx, func(uint64) error { return nil })
	if err != nil {
		return err
	}
	switch {
	case c.asJSON:
		err = c.json(f)
	case f.Sound():
		c.print("完好：%d 个数据块，%d 条事件，校验和全部正确", "sound: %d block(s), %d event(s), every checksum holds", f.Blocks, f.Events)
	default:
		c.tell(f)
	}
	if err == nil && !f.Sound() {
		err = errUnsound
	}
	return err
}

// tell says what is wrong, and what will be done about it.
func (c *command) tell(f *Finding) {
	for _, bad := range f.Bad {
		c.print("有错：%s", "bad: %s", bad)
	}
	if len(f.Bad) > 0 && f.Running {
		c.print("longan-agent 读到坏的地方时会自行修复：保留完好的事件，开始新的纪元，缺的向市里报告为缺口。",
			"longan-agent repairs this by itself when it comes to it: it keeps what is good, begins a new epoch, and reports what is missing to the city as a gap.")
	} else if len(f.Bad) > 0 {
		c.print("下次启动后，longan-agent 读到坏的地方时会自行修复。", "after its next start longan-agent repairs this by itself when it comes to it.")
	}
	if f.Witness != "" {
		c.print("identity.json 不能用：%s。下次启动时会重写；在那之前，如果 spool.db 也丢了，就看不出来。",
			"identity.json can't be used: %s. The next start writes it anew; should spool.db be lost before that, nobody would know.", f.Witness)
	}
	if f.Damage == "" {
		return
	}
	c.print("文件已损坏：%s", "the file is damaged: %s", f.Damage)
	c.print("下次启动时 longan-agent 会：把旧文件留作 spool.db.bad-*，开始新的纪元，并这样处理没有上报的事件：",
		"at its next start longan-agent will keep the old file as spool.db.bad-*, begin a new epoch, and of the events that wait:")
	if len(f.Losses) == 0 {
		c.print("  没有已知的事件在等待", "  none is known to wait")
	}
	for _, l := range f.Losses {
		c.print("  纪元 %s %-6s 保留 %d 条，丢失 %d 条（向市里报告为缺口）", "  epoch %s %-6s keep %d, lose %d (reported to the city as a gap)", l.Epoch, l.Lane, l.Salvaged, l.Lost)
	}
	c.print("要先取走还在的事件：longan-agent spool export", "to take along first what is still there: longan-agent spool export")
}

// localTime is a time for people at the board.
func localTime(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

// bytesText is a number of bytes for people.
func bytesText(n int64) string {
	switch {
	case n >= 10<<20:
		return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20))
	case n >= 10<<10:
		return fmt.Sprintf("%.0f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}
