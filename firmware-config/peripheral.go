package firmwareconfig

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/longan-edge/longan"
)

// board is the profile with what the file adds to it.
type board struct {
	*Profile
	// unknown: the profile's name was wrong and reported, so nothing can be
	// said about labels.
	unknown bool
}

// taken remembers what may be used once, and the line that did.
type taken struct {
	peripherals, points, outputs, ports, lines map[string]int

	buses map[string]*bus // of the ports whose peripherals share them
}

func newTaken() taken {
	return taken{map[string]int{}, map[string]int{}, map[string]int{}, map[string]int{}, map[string]int{}, map[string]*bus{}}
}

// claim reports a name that was used before.
func (s *site) claim(used map[string]int, name string, at span, what func(line int) text, hint text) bool {
	if before, ok := used[name]; ok {
		s.report(at, what(before), hint)
		return false
	}
	used[name] = s.line(at.start)
	return true
}

// duplicate is the text for a name given twice.
func duplicate(name string) func(int) text {
	return func(line int) text {
		return say("名字 %q 重复：第 %d 行已经用了。", "the name %q is a duplicate: line %d has it already.", clip(name), line)
	}
}

var anotherName = text{"换一个名字。", "Choose another name."}

// readBoard finds the profile and adds the file's own terminals.
func (s *site) readBoard(root *reader) {
	const fallback = "generic-linux"
	s.board = &board{Profile: &Profile{UART: map[string]string{}, Line: map[string]string{}, Relay: map[string]string{}}}
	name := fallback
	t := root.only("board")
	var r *reader
	if t != nil {
		r = s.reader(t, "[board]")
		before := len(s.problems)
		name = r.choice("profile", fallback, profileNames())
		s.board.unknown = len(s.problems) > before
	}
	if p, ok := LookupProfile(name); ok {
		s.board.Profile = p
	}
	s.out.Board = name
	if r == nil {
		return
	}
	given := &terminals{}
	uarts := r.labels("uart", uart, given)
	lines := r.labels("line", line, given)
	for _, inherited := range []struct{ profile, file map[string]string }{{s.board.UART, uarts}, {s.board.Line, lines}, {s.board.Relay, nil}} {
		for _, label := range slices.Sorted(maps.Keys(inherited.profile)) {
			if _, overridden := inherited.file[label]; overridden {
				continue
			}
			for _, g := range given.all {
				if g.port == inherited.profile[label] {
					s.report(g.at, say("%s 和板型里的 %s 是同一个端口 %s。", "%s and the profile's %s are the same port %s.", g.label, label, clip(g.port)),
						say("外设里直接写 %s。", "Use %s at the peripheral.", label))
				}
			}
		}
	}
	maps.Copy(s.board.UART, uarts)
	maps.Copy(s.board.Line, lines)
	r.done(nil)
}

// peripheral reads one [[peripheral]].
func (s *site) peripheral(r *reader) {
	var p Peripheral
	name, at := r.name("door")
	if name != "" && s.claim(s.taken.peripherals, name, at, duplicate(name), anotherName) && len(s.taken.peripherals) == longan.MaxPoints+1 {
		r.report(at, say("外设太多（上限 %d）。", "too many peripherals (limit %d).", longan.MaxPoints), text{})
	}
	p.Name = name
	p.Label = r.label(name)
	v, ok := r.required("driver", `driver = "modbus"`)
	if !ok {
		return // every other key depends on it
	}
	spec := driverNamed(v.text)
	if spec == nil {
		r.unknown(v, "driver", driverNames())
		return
	}
	p.Driver = spec.name
	if spec.port {
		s.port(r, &p, spec)
	}
	if spec.highAddress > 0 {
		p.Address, _ = r.integer("address", spec.lowAddress, spec.lowAddress, spec.highAddress)
		s.join(r, &p)
	}
	if spec.timeout > 0 {
		p.Timeout = r.duration("timeout", spec.timeout, minTimeout, maxTimeout)
	}
	if spec.poll > 0 {
		p.Poll = r.duration("poll", spec.poll, minPoll, maxPoll)
	}
	p.Settings = s.settings(r, spec)
	signals := map[string]int{}
	if !spec.relays {
		for _, t := range r.sections("point") {
			s.point(s.reader(t, "[[peripheral.point]]"), &p, spec, signals)
		}
	}
	if r.t.get("point") == nil && spec.signalLabel != nil {
		s.allPoints(r, &p, spec, at)
	}
	if len(spec.outputs) > 0 || spec.relays {
		signals := map[string]int{}
		for _, t := range r.sections("output") {
			s.output(s.reader(t, "[[peripheral.output]]"), &p, spec, signals)
		}
	}
	if r.t.get("point") == nil && r.t.get("output") == nil && spec.signalLabel == nil {
		if spec.relays {
			r.report(r.t.at, say("这个外设没有输出。", "this peripheral has no outputs."),
				say("加上 [[peripheral.output]]，写 name、signal。", "Add [[peripheral.output]] with name and signal."))
			return
		}
		r.report(r.t.at, say("这个外设没有点。", "this peripheral has no points."),
			say("加上 [[peripheral.point]]，写 name、kind、signal。", "Add [[peripheral.point]] with name, kind and signal."))
	}
	r.done(func(key string) (text, bool) { return elsewhere(spec, key) })
	s.out.Peripherals = append(s.out.Peripherals, p)
}

// elsewhere says of a key that other drivers take it.
func elsewhere(spec *driverSpec, key string) (text, bool) {
	uses := func(d *driverSpec) bool {
		switch key {
		case "port", "baud":
			return d.port
		case "parity":
			return d.port && !d.fixedParity
		case "address":
			return d.highAddress > 0
		case "poll":
			return d.poll > 0
		case "timeout":
			return d.timeout > 0
		case "output":
			return len(d.outputs) > 0 || d.relays
		case "debounce", "pull":
			return d.lines
		}
		return d.takesSetting(key)
	}
	if hint, ok := ofRegister(key); ok && spec.registers {
		return hint, ok
	}
	var drivers []string
	for i := range driverTable {
		if uses(&driverTable[i]) {
			drivers = append(drivers, driverTable[i].name)
		}
	}
	if len(drivers) == 0 {
		return text{}, false
	}
	return say("驱动 %s 不用 %s（用它的有：%s），删掉这一行。", "The driver %s takes no %s (those that do: %s): delete it.", spec.name, key, strings.Join(drivers, " ")), true
}

// port reads where a UART peripheral hangs and how it talks.
func (s *site) port(r *reader, p *Peripheral, spec *driverSpec) {
	p.Baud = spec.baud
	if n, v := r.integer("baud", spec.baud, 0, 1<<31-1); v != nil {
		if p.Baud = n; !slices.Contains(bauds[:], n) {
			r.report(v.at, say("串口没有 %d 这个波特率。", "a UART has no baud rate %d.", n), baudHint(n))
		}
	}
	if p.Parity = spec.parity; !spec.fixedParity {
		p.Parity = r.choice("parity", spec.parity, []string{"none", "even", "odd"})
	}
	labels := slices.Sorted(maps.Keys(s.board.UART))
	labels = slices.DeleteFunc(labels, func(l string) bool { return l == s.board.Console })
	sample := `port = "RS485-1"`
	if len(labels) > 0 {
		sample = `port = "` + labels[0] + `"`
	}
	v, ok := r.required("port", sample)
	if !ok {
		return
	}
	if v.text == s.board.Console && v.text != "" {
		r.report(v.at, say("%s 是维护人员的调试串口，外设不能用。", "%s is the technician's console; a peripheral can't have it.", v.text), ports(labels))
		return
	}
	dev, ok := s.board.UART[v.text]
	if !ok {
		s.noPort(r, v, labels)
		return
	}
	p.Port = dev
	if spec.highAddress > 0 && s.bus(dev, spec) {
		return // join sees to it
	}
	s.claim(s.taken.ports, dev, v.at, func(line int) text {
		return say("端口 %s 在第 %d 行已经接了外设。", "the port %s has a peripheral already, in line %d.", v.text, line)
	}, say("一个端口只接一个外设；换一个端子。", "One port, one peripheral: use another terminal."))
}

// noPort reports a label that the board does not have.
func (s *site) noPort(r *reader, v *value, labels []string) {
	if s.board.unknown {
		return
	}
	what := say("板型 %s 没有串口端子 %q。", "the board %s has no UART terminal %q.", s.out.Board, clip(v.text))
	switch near := nearest(v.text, labels); {
	case strings.HasPrefix(v.text, "/"):
		r.report(v.at, say("port 写端子标号，不写设备路径。", "port is a terminal label, not a device path."),
			say("在 [board.uart] 里写：RS485-1 = \"%s\"，这里写：port = \"RS485-1\"", "Under [board.uart]: RS485-1 = \"%s\", and here: port = \"RS485-1\"", clip(v.text)))
	case near != "":
		r.report(v.at, what, say("是不是 %q？", "Did you mean %q?", near))
	default:
		r.report(v.at, what, ports(labels))
	}
}

// ports lists the terminals, or says how to name one.
func ports(labels []string) text {
	if len(labels) == 0 {
		return say("先在 [board.uart] 里定义，例如：RS485-1 = \"/dev/serial/by-path/...\"", "Define it under [board.uart] first, for example: RS485-1 = \"/dev/serial/by-path/...\"")
	}
	return say("可用的端子：%s", "There are: %s", list(labels))
}

// baudHint lists the rates that are in use, and the nearest of all.
func baudHint(n int) text {
	near := slices.MinFunc(bauds[:], func(a, b int) int { return cmp.Compare(max(a-n, n-a), max(b-n, n-b)) })
	return say("最接近的是 %d；常用：2400 4800 9600 19200 38400 57600 115200", "The nearest is %d; common: 2400 4800 9600 19200 38400 57600 115200", near)
}

// point reads one [[peripheral.point]].
func (s *site) point(r *reader, p *Peripheral, spec *driverSpec, signals map[string]int) {
	var q Point
	name, at := r.name("front-door")
	s.claimPoint(name, at)
	q.Name, q.Label = name, r.label(name)
	q.Signal = s.signal(r, spec, signals)
	kinds := make([]string, len(Kinds))
	for i, k := range Kinds {
		kinds[i] = string(k)
	}
	usual := spec.kindOf(q.Signal)
	q.Kind = Kind(r.choice("kind", string(usual), kinds))
	if usual == "" && r.t.get("kind") == nil {
		r.missing("kind", `kind = "door"`)
	}
	if !isRegister(q.Signal) {
		q.NormallyClosed = r.choice("contact", "no", []string{"nc", "no"}) == "nc"
	}
	if spec.lines {
		q.Debounce = r.duration("debounce", defaultDebounce, minDebounce, maxDebounce)
		q.Pull = r.choice("pull", "up", []string{"up", "down", "none"})
	}
	if isRegister(q.Signal) {
		q.Register = s.register(r)
	}
	r.done(func(key string) (text, bool) { return elsewhere(spec, key) })
	p.Points = append(p.Points, q)
}

// claimPoint takes the name of a point, which is unique in the site: events
// carry it alone.
func (s *site) claimPoint(name string, at span) {
	if name != "" && s.claim(s.taken.points, name, at, duplicate(name), anotherName) && len(s.taken.points) == longan.MaxPoints+1 {
		s.report(at, say("点太多（上限 %d）。", "too many points (limit %d).", longan.MaxPoints), text{})
	}
}

// signal reads the signal of a point, resolved.
func (s *site) signal(r *reader, spec *driverSpec, signals map[string]int) string {
	options := spec.inputs
	if spec.lines {
		options = slices.Sorted(maps.Keys(s.board.Line))
	}
	sample := `signal = "DI1"`
	if spec.rule != nil {
		sample = `signal = "` + spec.rule.sample + `"`
	} else if len(options) > 0 {
		sample = `signal = "` + options[0] + `"`
	}
	v, ok := r.required("signal", sample)
	if !ok {
		return ""
	}
	twice := func(line int) text {
		return say("信号 %s 在第 %d 行已经用了。", "the signal %s is in use already, in line %d.", v.text, line)
	}
	hint := say("一个信号只对应一个点。", "One signal, one point.")
	if spec.lines {
		port, ok := s.board.Line[v.text]
		if !ok {
			s.noLine(r, v, options)
			return ""
		}
		s.claim(s.taken.lines, port, v.at, twice, hint)
		return port
	}
	if spec.rule != nil {
		if !spec.rule.ok(v.text) {
			r.report(v.at, say("signal 不能是 %q。", "signal can't be %q.", clip(v.text)), spec.rule.hint)
			return ""
		}
		s.claim(signals, v.text, v.at, twice, hint)
		return v.text
	}
	if !slices.Contains(options, v.text) && !(spec.registers && isRegister(v.text)) {
		r.unknown(v, "signal", spec.withRegisters(options))
		return ""
	}
	s.claim(signals, v.text, v.at, twice, hint)
	return v.text
}

// noLine reports a label that is no input of the board.
func (s *site) noLine(r *reader, v *value, labels []string) {
	if s.board.unknown {
		return
	}
	what := say("板型 %s 没有输入端子 %q。", "the board %s has no input terminal %q.", s.out.Board, clip(v.text))
	near := nearest(v.text, labels)
	switch {
	case s.board.Relay[v.text] != "":
		r.report(v.at, say("%s 是继电器输出，不是输入。", "%s is a relay, not an input.", v.text), ports(labels))
	case near != "":
		r.report(v.at, what, say("是不是 %q？", "Did you mean %q?", near))
	case len(labels) == 0:
		r.report(v.at, what, say("先在 [board.line] 里定义，例如：%s = \"pinctrl-bcm2711:17\"", "Define it under [board.line] first, for example: %s = \"pinctrl-bcm2711:17\"", "DI1"))
	default:
		r.report(v.at, what, say("可用的端子：%s", "There are: %s", list(labels)))
	}
}

// allPoints gives a peripheral without points one for every signal.
func (s *site) allPoints(r *reader, p *Peripheral, spec *driverSpec, at span) {
	if p.Name == "" {
		return
	}
	for i, signal := range spec.inputs[:len(spec.signalLabel)] {
		q := Point{Name: p.Name + "-" + signal, Kind: spec.kindOf(signal), Signal: signal}
		if !longan.ValidName(q.Name) {
			r.report(at, say("名字太长，点名 %s 放不下。", "the name is too long for the point %s.", q.Name), say("name 缩短到 40 个字符以内。", "Shorten name to 40 characters."))
			return
		}
		if q.Label = q.Name; p.Label != p.Name {
			q.Label = p.Label + " " + spec.signalLabel[i]
		}
		if len(q.Label) > longan.MaxLabel {
			q.Label = q.Name
		}
		s.claimPoint(q.Name, at)
		p.Points = append(p.Points, q)
	}
}
