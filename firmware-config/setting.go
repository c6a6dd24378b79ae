package firmwareconfig

import (
	"net"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Settings are what one driver is told beyond what drivers have in common. Every
// setting of the driver is there, with its default where the file gives none.
type Settings struct {
	texts map[string]string
	times map[string]time.Duration
	flags map[string]bool
}

// Text returns a text, a path or an address; "" is none.
func (s Settings) Text(name string) string { return s.texts[name] }

// Time returns a duration.
func (s Settings) Time(name string) time.Duration { return s.times[name] }

// Flag returns whether something is on.
func (s Settings) Flag(name string) bool { return s.flags[name] }

func newSettings() Settings {
	return Settings{map[string]string{}, map[string]time.Duration{}, map[string]bool{}}
}

// settingKind is what a setting's value is.
type settingKind int

const (
	settingFile   settingKind = iota // whole path of a file
	settingListen                    // address to listen at, host:port or :port
	settingHost                      // address to connect to, host or host:port
	settingLine                      // terminal label of an input, resolved to its line
	settingTime                      // duration
	settingFlag                      // true or false
	settingChoice                    // one of the options
)

// setting is one key of a driver.
type setting struct {
	name     string
	kind     settingKind
	required bool
	text     string        // default of a text
	time     time.Duration // default, and bounds, of a duration
	least    time.Duration
	most     time.Duration
	options  []string
	sample   string // the value in an example, as it stands in the file
	about    text
}

// settings reads the settings of a driver.
func (s *site) settings(r *reader, spec *driverSpec) Settings {
	out := newSettings()
	for i := range spec.settings {
		k := &spec.settings[i]
		switch k.kind {
		case settingTime:
			out.times[k.name] = r.duration(k.name, k.time, k.least, k.most)
		case settingFlag:
			out.flags[k.name] = r.flag(k.name)
		case settingChoice:
			out.texts[k.name] = r.choice(k.name, k.text, k.options)
		default:
			out.texts[k.name] = s.settingText(r, k)
		}
	}
	return out
}

// settingText reads a setting that is a text.
func (s *site) settingText(r *reader, k *setting) string {
	var v *value
	var ok bool
	if k.required {
		v, ok = r.required(k.name, k.name+" = "+k.sample)
	} else {
		v, ok = r.str(k.name)
	}
	if !ok {
		return k.text
	}
	wrong := func(what text) string {
		r.report(v.at, what, say("例如：%s = %s", "For example: %s = %s", k.name, k.sample))
		return k.text
	}
	switch k.kind {
	case settingFile:
		if !path.IsAbs(v.text) {
			return wrong(say("%s 写文件的完整路径。", "%s is the whole path of a file.", k.name))
		}
	case settingListen:
		if host, port, err := net.SplitHostPort(v.text); err != nil || !goodPort(port) || strings.ContainsAny(host, " /") {
			return wrong(say("%s 是监听的地址和端口。", "%s is an address and port to listen at.", k.name))
		}
	case settingHost:
		host, port := v.text, "1"
		if strings.Contains(host, ":") {
			var err error
			if host, port, err = net.SplitHostPort(v.text); err != nil {
				host = ""
			}
		}
		if host == "" || !goodPort(port) || strings.ContainsAny(host, " /@") {
			return wrong(say("%s 是主机或主机:端口。", "%s is a host, or host:port.", k.name))
		}
	case settingLine:
		line, ok := s.board.Line[v.text]
		if !ok {
			s.noLine(r, v, sortedLabels(s.board.Line))
			return ""
		}
		s.claim(s.taken.lines, line, v.at, func(before int) text {
			return say("信号 %s 在第 %d 行已经用了。", "the signal %s is in use already, in line %d.", v.text, before)
		}, say("一个信号只对应一个点。", "One signal, one point."))
		return line
	}
	return v.text
}

func goodPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

func sortedLabels(of map[string]string) []string {
	labels := make([]string, 0, len(of))
	for l := range of {
		labels = append(labels, l)
	}
	slices.Sort(labels)
	return labels
}

// takesSetting reports whether a driver has a setting of that name.
func (d *driverSpec) takesSetting(name string) bool {
	return slices.ContainsFunc(d.settings, func(k setting) bool { return k.name == name })
}
