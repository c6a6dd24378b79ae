package firmwareconfig

import (
	"embed"
	"errors"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Profile says which port of a board is behind which screw terminal. Labels are
// as printed on the board.
type Profile struct {
	Name    string            // of the profile: raspberrypi-4
	Title   string            // for people
	Console string            // label of the UART that is the technician's console; "" is unknown
	UART    map[string]string // label to device path, stable over restarts
	Line    map[string]string // label of an input to "chip-label:offset" or a line's name
	Relay   map[string]string // label of a relay to its line
}

//go:embed boards/*.toml
var boardFiles embed.FS

// Profiles returns the profiles that this program has, by name.
func Profiles() []Profile {
	files, err := boardFiles.ReadDir("boards")
	if err != nil {
		panic("firmwareconfig: embedded boards: " + err.Error())
	}
	var all []Profile
	for _, f := range files {
		src, err := boardFiles.ReadFile("boards/" + f.Name())
		if err != nil {
			panic("firmwareconfig: embedded boards: " + err.Error())
		}
		p, err := ParseProfile(f.Name(), src, English)
		if err != nil {
			panic("firmwareconfig: embedded boards: " + err.Error())
		}
		all = append(all, *p)
	}
	return all
}

// LookupProfile returns the profile of that name.
func LookupProfile(name string) (*Profile, bool) {
	for _, p := range Profiles() {
		if p.Name == name {
			return &p, true
		}
	}
	return nil, false
}

func profileNames() []string {
	var names []string
	for _, p := range Profiles() {
		names = append(names, p.Name)
	}
	return names
}

// ParseProfile reads a board profile. The profile's name is that of the file
// without ".toml". A wrong file gives an error that is a Problems.
func ParseProfile(file string, src []byte, lang Language) (*Profile, error) {
	s := &source{name: file, lang: lang}
	if !s.load(src) {
		return nil, s.err()
	}
	r := s.reader(parseTree(s), "")
	p := &Profile{Name: strings.TrimSuffix(path.Base(file), ".toml")}
	if v, ok := r.required("title", `title = "Board"`); ok {
		p.Title = v.text
	}
	terminals := &terminals{}
	p.UART = r.labels("uart", uart, terminals)
	p.Line = r.labels("line", line, terminals)
	p.Relay = r.labels("relay", line, terminals)
	if v, ok := r.str("console"); ok {
		p.Console = v.text
		if p.UART[v.text] == "" {
			r.unknown(v, "console", slices.Sorted(maps.Keys(p.UART)))
		}
	}
	r.done(nil)
	if err := s.err(); err != nil {
		return nil, err
	}
	return p, nil
}

// terminals remembers where each label and each port of a file was given.
type terminals struct {
	all []terminal
}

type terminal struct {
	label, port string
	at          span // zero when it comes from the profile
}

// add reports a port that another label has already.
func (ts *terminals) add(s *source, t terminal) {
	for _, other := range ts.all {
		if other.port == t.port {
			s.report(t.at, say("%s 和 %s 是同一个端口 %s。", "%s and %s are the same port %s.", t.label, other.label, clip(t.port)),
				say("每个端子对应一个端口；删掉多余的一行。", "One terminal, one port: delete the line too many."))
			return
		}
	}
	ts.all = append(ts.all, t)
}

// labels reads a table of terminal labels. Wrong ones are reported and left
// out.
func (r *reader) labels(key string, check func(string) error, ts *terminals) map[string]string {
	all := map[string]string{}
	t := r.only(key)
	if t == nil {
		return all
	}
	sub := r.reader(t, "["+strings.TrimPrefix(strings.Trim(r.section, "[]")+"."+key, ".")+"]")
	for _, e := range t.entries {
		v, ok := sub.str(e.key)
		if !ok {
			continue
		}
		if !validLabel(e.key) {
			r.report(e.at, say("端子标号只能用字母、数字、- 和 _。", "a terminal label takes letters, digits, - and _."), text{})
			continue
		}
		if err := check(v.text); err != nil {
			t := errorText(err)
			r.report(v.at, t.what, t.hint)
			continue
		}
		all[e.key] = v.text
		ts.add(r.source, terminal{e.key, v.text, v.at})
	}
	return all
}

// portError is what is wrong with the port behind a label.
type portError struct{ what, hint text }

func (e *portError) Error() string { return e.what.en }

func errorText(err error) *portError {
	if e, ok := errors.AsType[*portError](err); ok {
		return e
	}
	return &portError{what: text{err.Error(), err.Error()}}
}

// uart checks the device path of a UART.
func uart(p string) error {
	if path.IsAbs(p) && path.Clean(p) == p && !strings.ContainsFunc(p, unicode.IsSpace) {
		return nil
	}
	return &portError{
		say("%q 不是设备路径。", "%q is not a device path.", clip(p)),
		say("写完整路径，例如 \"/dev/serial/by-path/...\"；用 ls -l /dev/serial/by-path 查看。",
			"Give the whole path, for example \"/dev/serial/by-path/...\"; ls -l /dev/serial/by-path shows them."),
	}
}

// line checks the name of a GPIO line. Numbers of chips change between starts,
// so chips are named by their label.
func line(s string) error {
	chip, offset, numbered := strings.Cut(s, ":")
	switch {
	case s == "" || strings.ContainsFunc(s, unicode.IsSpace):
	case strings.HasPrefix(chip, "gpiochip") || strings.HasPrefix(chip, "/dev/"):
		return &portError{
			say("%q 的编号重启后会变。", "the number in %q may change when the board restarts.", clip(s)),
			say("用芯片标签加偏移，例如 \"pinctrl-bcm2711:17\"；gpiodetect 的方括号里就是标签。",
				"Use the chip's label and the offset, for example \"pinctrl-bcm2711:17\"; gpiodetect shows labels in brackets."),
		}
	case !numbered:
		return nil
	case chip != "":
		if n, err := strconv.ParseUint(offset, 10, 16); err == nil && strconv.FormatUint(n, 10) == offset {
			return nil
		}
	}
	return &portError{
		say("%q 不是 GPIO 线。", "%q is not a GPIO line.", clip(s)),
		say("写 \"芯片标签:偏移\"，例如 \"pinctrl-bcm2711:17\"，或线名。", "Write \"chip-label:offset\", for example \"pinctrl-bcm2711:17\", or the line's name."),
	}
}

// validLabel reports whether s may be printed beside a screw terminal.
func validLabel(s string) bool {
	const longest = 32
	if s == "" || len(s) > longest {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}
