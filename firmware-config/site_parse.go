package firmwareconfig

import (
	"net"
	"net/url"
	"path"
	"strings"

	"github.com/longan-edge/longan"
	"github.com/pelletier/go-toml/v2/unstable"
)

// site is a site file on its way to a Site.
type site struct {
	*source
	out   Site
	board *board
	taken taken
}

// parse decodes the whole tree.
func (s *site) parse(root *table) {
	r := s.reader(root, "")
	if t := r.only("center"); t != nil {
		s.center(s.reader(t, "[center]"))
	} else if root.get("center") == nil && !r.misspelt("center") {
		r.report(span{}, say("缺少 [center] 段。", "there is no section [center]."),
			say("文件开头写：[center]，下面写 device = \"621202107-01\" 和 name = \"马街镇综治中心\"", "Begin with [center], then device = \"621202107-01\" and name = \"马街镇综治中心\""))
	}
	s.readBoard(r)
	if t := r.only("uplink"); t != nil {
		s.uplink(s.reader(t, "[uplink]"))
	} else if root.get("uplink") == nil && !r.misspelt("uplink") {
		r.report(span{len(s.data), len(s.data)}, say("缺少 [uplink] 段。", "there is no section [uplink]."),
			say("加上：[uplink]，下面写 brokers = [\"mqtts://主机:8883\"]", "Add [uplink] and under it brokers = [\"mqtts://host:8883\"]"))
	}
	for _, t := range r.sections("peripheral") {
		s.peripheral(s.reader(t, "[[peripheral]]"))
	}
	r.done(nil)
}

func (s *site) center(r *reader) {
	s.device(r)
	if v, ok := r.required("name", `name = "马街镇综治中心"`); ok {
		s.out.Name = r.short(v)
	}
	r.done(nil)
}

// device reads the device id.
func (s *site) device(r *reader) {
	const sample = `device = "621202107-01"`
	v, ok := r.required("device", sample)
	if !ok {
		return
	}
	id, err := longan.ParseDeviceID(v.text)
	if err != nil {
		what := say("device 是 9 位乡镇代码（或 12 位村代码）、- 和两位序号。", "device is the 9-digit code of the township (or 12-digit of the village), - and two digits.")
		plain := strings.TrimSpace(halfWidth(v.text))
		for _, guess := range [...]string{plain, plain + "-01", strings.ReplaceAll(plain, " ", "")} {
			if _, err := longan.ParseDeviceID(guess); err == nil {
				r.report(v.at, what, say("写成：device = \"%s\"", "Write: device = \"%s\"", guess))
				return
			}
		}
		r.report(v.at, what, say("例如：%s", "For example: %s", sample))
		return
	}
	if _, ok := longan.LookupTownship(id.Township()); !ok {
		r.report(v.at, say("陇南没有代码为 %s 的乡镇。", "Longnan has no township with the code %s.", id.Township()), townshipHint(r.t, id.Township()))
		return
	}
	s.out.Device = id
}

// townshipHint suggests townships: those that the center's name names, or else
// those with a similar code.
func townshipHint(center *table, code string) text {
	var near []longan.Township
	if e := center.get("name"); e != nil && e.value != nil {
		near = townshipsIn(e.value.text)
	}
	for most := 1; most <= 2 && len(near) == 0; most++ {
		for _, t := range longan.Townships() {
			if distance(code, t.Code) <= most && len(near) < 3 {
				near = append(near, t)
			}
		}
	}
	if len(near) == 0 {
		return say("陇南的代码以 6212 开头，见统计用区划代码。", "Codes of Longnan begin with 6212; see the statistical division codes.")
	}
	var names []string
	for _, t := range near[:min(3, len(near))] {
		names = append(names, t.Code+" "+t.CountyName+t.Name)
	}
	return say("是不是 %s？", "Did you mean %s?", strings.Join(names, ", "))
}

// townshipsIn returns the townships whose name is part of s.
func townshipsIn(s string) []longan.Township {
	var found []longan.Township
	for _, t := range longan.Townships() {
		if strings.Contains(s, t.Name) {
			found = append(found, t)
		}
	}
	return found
}

func (s *site) uplink(r *reader) {
	u := &s.out.Uplink
	u.Brokers = r.brokers()
	u.Username = string(s.out.Device)
	if v, ok := r.str("username"); ok && v.text != "" {
		u.Username = v.text
	}
	if v, ok := r.str("password_file"); ok {
		if !path.IsAbs(v.text) {
			r.report(v.at, say("password_file 要写完整路径。", "password_file is a whole path."), say("例如：password_file = \"/etc/longan/password\"", "For example: password_file = \"/etc/longan/password\""))
		}
		u.PasswordFile = v.text
	}
	u.CA = r.ca()
	u.Heartbeat = r.duration("heartbeat", defaultHeartbeat, minHeartbeat, maxHeartbeat)
	r.done(func(key string) (text, bool) {
		if key != "password" {
			return text{}, false
		}
		return say("密码写进单独的文件，这里写：password_file = \"/etc/longan/password\"", "The password goes into a file of its own; here: password_file = \"/etc/longan/password\""), true
	})
}

// brokers reads the list of brokers.
func (r *reader) brokers() []string {
	const sample = `brokers = ["mqtts://mqtt.example.cn:8883"]`
	e := r.find("brokers")
	if e == nil {
		r.missing("brokers", sample)
		return nil
	}
	if e.value == nil || e.value.kind != unstable.Array {
		at, hint := e.at, say("例如：%s", "For example: %s", sample)
		if e.value != nil {
			at = e.value.at
			if e.value.kind == unstable.String {
				hint = say("加方括号：brokers = [\"%s\"]", "With brackets: brokers = [\"%s\"]", clip(e.value.text))
			}
		}
		r.report(at, say("brokers 是一个列表，要加方括号。", "brokers is a list and needs brackets."), hint)
		return nil
	}
	const most = 8
	if n := len(e.value.items); n == 0 || n > most {
		r.report(e.value.at, say("brokers 要有 1 到 %d 个地址。", "brokers has 1 to %d addresses.", most), say("例如：%s", "For example: %s", sample))
		return nil
	}
	var all []string
	for _, item := range e.value.items {
		if item.kind != unstable.String {
			r.report(item.at, say("地址是文字，要加英文双引号。", "an address is text and needs quotes."), say("例如：%s", "For example: %s", sample))
			continue
		}
		if b, ok := broker(item.text); ok {
			all = append(all, b)
			continue
		}
		if u, err := url.Parse(item.text); err == nil && u.User != nil {
			r.report(item.at, say("地址里不写用户名和密码。", "the address holds no user and password."), say("用 username 和 password_file。", "Use username and password_file."))
			continue
		}
		hint := say("写成 mqtt://主机:1883 或 mqtts://主机:8883", "Write mqtt://host:1883 or mqtts://host:8883")
		if guess, ok := guessBroker(item.text); ok {
			hint = say("写成：\"%s\"", "Write: \"%s\"", guess)
		}
		r.report(item.at, say("不是服务器地址：%q。", "not the address of a broker: %q.", clip(item.text)), hint)
	}
	return all
}

// broker returns the URL with its port. It takes no user, path or query: those
// have keys of their own, or no meaning in MQTT.
func broker(s string) (string, bool) {
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" {
		return "", false
	}
	port := u.Port()
	switch {
	case u.Scheme == "mqtt" && port == "":
		port = "1883"
	case u.Scheme == "mqtts" && port == "":
		port = "8883"
	case u.Scheme != "mqtt" && u.Scheme != "mqtts":
		return "", false
	}
	if n, err := net.LookupPort("tcp", port); err != nil || n == 0 || strings.ContainsFunc(u.Host, notHost) {
		return "", false
	}
	return u.Scheme + "://" + net.JoinHostPort(u.Hostname(), port), true
}

// notHost reports a character that can't be in a host and port.
func notHost(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_.:[]%", r)
}

// guessBroker returns the URL that was probably meant.
func guessBroker(s string) (string, bool) {
	s = strings.TrimSpace(halfWidth(s))
	for _, old := range [...]string{"tcp://", "ssl://", "tls://", "http://", "https://", "mqtt:", "mqtts:"} {
		if rest, ok := strings.CutPrefix(s, old); ok {
			scheme := "mqtt://"
			if old == "ssl://" || old == "tls://" || old == "https://" || old == "mqtts:" {
				scheme = "mqtts://"
			}
			return broker(scheme + strings.TrimLeft(rest, "/"))
		}
	}
	if strings.HasSuffix(s, ":8883") {
		return broker("mqtts://" + s)
	}
	return broker("mqtt://" + s)
}
