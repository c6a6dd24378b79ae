package firmwareconfig

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestLanguageFrom(t *testing.T) {
	for _, c := range []struct {
		all, messages, lang string
		want                Language
	}{
		{"", "", "", Chinese},
		{"", "", "C", Chinese},
		{"", "", "POSIX", Chinese},
		{"", "", "C.UTF-8", Chinese},
		{"", "", "zh_CN.UTF-8", Chinese},
		{"", "", "en_US.UTF-8", English},
		{"", "en_GB", "zh_CN.UTF-8", English},
		{"zh_CN", "en_GB", "en_GB", Chinese},
		{"EN", "", "zh_CN", English},
		{"", "", "fr_FR", Chinese},
	} {
		env := map[string]string{"LC_ALL": c.all, "LC_MESSAGES": c.messages, "LANG": c.lang}
		if got := LanguageFrom(func(k string) string { return env[k] }); got != c.want {
			t.Errorf("%v: got %v, want %v", env, got, c.want)
		}
	}
}

func TestNearest(t *testing.T) {
	names := []string{"name", "label", "driver", "port", "baud", "parity", "RS485-1", "RS485-2"}
	for s, want := range map[string]string{
		"nmae": "name", "nam": "name", "lable": "label", "Port": "port", "ｂａｕｄ": "baud", "partiy": "parity",
		"rs485_2": "RS485-2", "rs485": "RS485-1", "color": "", "baudrate": "baud", "": "", "打印": "", strings.Repeat("x", 1000): "",
	} {
		if got := nearest(s, names); got != want {
			t.Errorf("nearest(%q): got %q, want %q", clip(s), got, want)
		}
	}
}

func TestSnippet(t *testing.T) {
	long := strings.Repeat("长", 60) + "X" + strings.Repeat("尾", 60)
	for _, c := range []struct {
		line          string
		start, end    int
		shown, marker string
	}{
		{"a = b", 4, 5, "a = b", "    ^"},
		{"马 = b", 6, 7, "马 = b", "     ^"},
		{"a = 马街", 4, 10, "a = 马街", "    ^~~~"},
		{"\ta = b", 5, 6, "  a = b", "      ^"},
		{"a", 1, 2, "a", " ^"},
		{"", 0, 1, "", "^"},
		{"\x1b[2J", 0, 1, "?[2J", "^"},
		{long, 180, 181, "..." + strings.Repeat("长", 16) + "X" + strings.Repeat("尾", 15) + "...", "   " + strings.Repeat(" ", 32) + "^"},
	} {
		if shown, marker := snippet([]byte(c.line), c.start, c.end); shown != c.shown || marker != c.marker {
			t.Errorf("snippet(%q, %d, %d):\ngot  %q\n     %q\nwant %q\n     %q", clip(c.line), c.start, c.end, shown, marker, c.shown, c.marker)
		}
	}
}

func TestList(t *testing.T) {
	got := list(slices.Concat(numbered("di", 12), []string{"x", "a1", "a2", "a3"}))
	if want := "di1...di12 x a1 a2 a3"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestProfiles: the embedded profiles are right, and every /dev/longan name is
// one that a udev rule of ours makes.
func TestProfiles(t *testing.T) {
	var names []string
	for _, p := range Profiles() {
		names = append(names, p.Name)
		rules, err := os.ReadFile("rootfs/etc/udev/rules.d/70-longan-" + p.Name + ".rules")
		for label, dev := range p.UART {
			link, ours := strings.CutPrefix(dev, "/dev/longan/")
			if ours && (err != nil || !bytes.Contains(rules, []byte(`SYMLINK+="longan/`+link+`"`))) {
				t.Errorf("profile %s, terminal %s: no udev rule makes %s (%v)", p.Name, label, dev, err)
			}
		}
	}
	if want := []string{"generic-linux", "raspberrypi-4"}; !slices.Equal(names, want) {
		t.Errorf("got profiles %q, want %q", names, want)
	}
	pi, ok := LookupProfile("raspberrypi-4")
	if !ok || pi.Console != "CON" || len(pi.Line) != 8 || len(pi.Relay) != 4 || pi.Line["DI1"] != "pinctrl-bcm2711:17" {
		t.Errorf("got %+v", pi)
	}
	if _, ok := LookupProfile("none"); ok {
		t.Error("found a profile that does not exist")
	}
}

func TestProfileProblems(t *testing.T) {
	_, err := ParseProfile("b.toml", []byte("console = \"CON\"\n[uart]\nA = \"/dev/a\"\nB = \"/dev/a\"\n[line]\nDI1 = \"gpiochip0:1\"\n[extra]\n"), English)
	if err == nil {
		t.Fatal("got no problems")
	}
	for _, want := range []string{"lacks title", "console can't be", "are the same port /dev/a", "may change", "no section extra"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got\n%v\nwant it to say %q", err, want)
		}
	}
}

// TestDriverTable: a row that contradicts itself is a mistake of ours, not of
// the technician.
func TestDriverTable(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range driverTable {
		if seen[d.name] {
			t.Errorf("%s is in the table twice", d.name)
		}
		seen[d.name] = true
		if d.port != (d.baud != 0) || d.port != (d.parity != "") {
			t.Errorf("%s: baud and parity go with port", d.name)
		}
		if d.port && !slices.Contains(bauds[:], d.baud) {
			t.Errorf("%s: default baud %d can't be set", d.name, d.baud)
		}
		sources := 0
		for _, has := range []bool{d.lines, d.relays, d.rule != nil, len(d.inputs) > 0} {
			if has {
				sources++
			}
		}
		if sources != 1 {
			t.Errorf("%s: want one of signals, a rule, lines and relays", d.name)
		}
		if len(d.signalLabel) > len(d.inputs) || len(d.kinds) > len(d.inputs) {
			t.Errorf("%s: more labels or kinds than signals", d.name)
		}
		for i := range d.signalLabel {
			if d.kindOf(d.inputs[i]) == "" {
				t.Errorf("%s: the implied point %s has no kind", d.name, d.inputs[i])
			}
		}
		if d.about.in(Chinese) == "" || d.about.in(English) == "" {
			t.Errorf("%s: does not say what it is for", d.name)
		}
		for _, k := range d.settings {
			if k.about.in(Chinese) == "" || (k.sample == "" && k.kind != settingFlag && k.kind != settingTime && k.kind != settingChoice) {
				t.Errorf("%s: the setting %s has no sample, or does not say what it is", d.name, k.name)
			}
		}
		if d.poll != 0 && (d.poll < minPoll || d.poll > maxPoll) {
			t.Errorf("%s: default poll %v is out of bounds", d.name, d.poll)
		}
	}
}

func TestCheckCommand(t *testing.T) {
	zh := func(string) string { return "" }
	en := func(string) string { return "en_US.UTF-8" }
	for _, c := range []struct {
		name           string
		args           []string
		getenv         func(string) string
		status         int
		stdout, stderr string // parts
	}{
		{"right", []string{"site.example.toml"}, zh, 0, "正确：马街镇综治中心（621202107-01，武都区马街镇），3 个外设，8 个点，1 个输出\n", ""},
		{"right, English", []string{"site.example.toml"}, en, 0, "ok: 马街镇综治中心 (621202107-01, 武都区马街镇), 3 peripheral(s), 8 point(s), 1 output(s)\n", ""},
		{"notes", []string{"testdata/ok/notes.toml"}, zh, 0, "注意：代码 621202104 是武都区汉王镇，名称里写的是马街镇（621202107）。\n注意：io 的 /dev/ttyUSB0", ""},
		{"slow heartbeat", []string{"testdata/ok/heartbeat.toml"}, en, 0, "note: heartbeat is 30s, and the city takes 19 s of silence for a dead link; use 10s.", ""},
		{"wrong", []string{"testdata/check/number-as-text.toml"}, en, 2, "", "number-as-text.toml:2:10: device is text"},
		{"count", []string{"testdata/check/number-as-text.toml"}, zh, 2, "", "\n4 处问题。\n"},
		{"no file", []string{"none.toml"}, zh, 2, "", "none.toml: 没有这个文件。"},
		{"no argument", nil, zh, 2, "", "用法"},
		{"flag", []string{"-h"}, en, 2, "", "usage"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var stdout, stderr strings.Builder
			if got := CheckCommand(c.args, &stdout, &stderr, c.getenv); got != c.status {
				t.Errorf("got status %d, want %d", got, c.status)
			}
			if !strings.Contains(stdout.String(), c.stdout) || (c.stdout == "") != (stdout.String() == "") {
				t.Errorf("got stdout %q, want %q", stdout.String(), c.stdout)
			}
			if !strings.Contains(stderr.String(), c.stderr) || (c.stderr == "") != (stderr.String() == "") {
				t.Errorf("got stderr %q, want %q", stderr.String(), c.stderr)
			}
		})
	}
}
