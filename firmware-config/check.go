package firmwareconfig

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/longan-edge/longan"
)

// checkWrong is the exit status of CheckCommand for a wrong file or command.
const checkWrong = 2

// CheckCommand is "longan-agent check FILE": args are the words after "check".
// It returns the exit status: 0 when the file is right, with a summary on
// stdout; 2 when it is not, with every problem on stderr, or for wrong
// arguments. The language is that of [LanguageFrom].
func CheckCommand(args []string, stdout, stderr io.Writer, getenv func(string) string) int {
	lang := LanguageFrom(getenv)
	if len(args) != 1 || strings.HasPrefix(args[0], "-") {
		fmt.Fprintln(stderr, say("用法：longan-agent check 站点文件", "usage: longan-agent check SITE-FILE").in(lang))
		return checkWrong
	}
	site, err := Load(args[0], lang)
	var notes []string
	if err == nil {
		notes, err = site.checkCA(time.Now(), lang)
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		if ps, ok := errors.AsType[Problems](err); ok {
			fmt.Fprintln(stderr, say("%d 处问题。", "%d problem(s).", len(ps)).in(lang))
		}
		return checkWrong
	}
	fmt.Fprintln(stdout, site.summary(lang))
	for _, note := range append(site.notes(lang), notes...) {
		fmt.Fprintln(stdout, note)
	}
	return 0
}

// summary says in one line what the file configures.
func (s *Site) summary(lang Language) string {
	points, outputs := 0, 0
	for i := range s.Peripherals {
		points += len(s.Peripherals[i].Points)
		outputs += len(s.Peripherals[i].Outputs)
	}
	place := ""
	if t, ok := longan.LookupTownship(s.Device.Township()); ok {
		place = t.CountyName + t.Name
	}
	return say("正确：%s（%s，%s），%d 个外设，%d 个点，%d 个输出", "ok: %s (%s, %s), %d peripheral(s), %d point(s), %d output(s)",
		s.Name, s.Device, place, len(s.Peripherals), points, outputs).in(lang)
}

// notes are things that are allowed and yet probably not meant.
func (s *Site) notes(lang Language) []string {
	var notes []string
	note := func(t text) { notes = append(notes, t.in(lang)) }
	own, _ := longan.LookupTownship(s.Device.Township())
	if named := townshipsIn(s.Name); len(named) > 0 && !slices.ContainsFunc(named, func(t longan.Township) bool { return t.Name == own.Name }) {
		note(say("注意：代码 %s 是%s%s，名称里写的是%s（%s）。", "note: the code %s is %s%s, but the name says %s (%s).",
			own.Code, own.CountyName, own.Name, named[0].Name, named[0].Code))
	}
	for i := range s.Peripherals {
		p := &s.Peripherals[i]
		if strings.HasPrefix(p.Port, "/dev/ttyUSB") || strings.HasPrefix(p.Port, "/dev/ttyACM") {
			note(say("注意：%s 的 %s 换插口或重启后会变，请用 /dev/serial/by-path/ 下的路径。", "note: %s: %s may change at a restart; use the path under /dev/serial/by-path/.", p.Name, p.Port))
		}
	}
	if h := s.Uplink.Heartbeat; h > defaultHeartbeat {
		note(say("注意：heartbeat 是 %s，市里 19 秒没有消息就显示离线；用 %s。", "note: heartbeat is %s, and the city takes 19 s of silence for a dead link; use %s.", short(h), short(defaultHeartbeat)))
	}
	for _, b := range s.Uplink.Brokers {
		if strings.HasPrefix(b, "mqtt://") && s.Uplink.PasswordFile != "" && !local(b) {
			note(say("注意：%s 不加密，密码会明文传输；请用 mqtts://。", "note: %s is not encrypted and the password travels in the clear; use mqtts://.", b))
		}
	}
	return notes
}

// local reports whether a broker is on the board itself.
func local(broker string) bool {
	return strings.Contains(broker, "://127.") || strings.Contains(broker, "://localhost:") || strings.Contains(broker, "://[::1]")
}
