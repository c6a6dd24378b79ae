package firmwareconfig

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/longan-edge/longan"
	"github.com/pelletier/go-toml/v2/unstable"
)

// reader takes the values out of one table and remembers which keys were asked
// for, so that the others can be reported.
type reader struct {
	*source
	t       *table
	section string // as typed: [center], [[peripheral]]
	known   []string
}

func (s *source) reader(t *table, section string) *reader {
	return &reader{source: s, t: t, section: section}
}

// find returns the entry of a key, or nil.
func (r *reader) find(key string) *entry {
	r.known = append(r.known, key)
	e := r.t.get(key)
	if e == nil || e.broken {
		return nil
	}
	e.used = true
	return e
}

// missing reports a required key that is not there; sample is what a line with
// it looks like.
func (r *reader) missing(key, sample string) {
	if r.t.get(key) != nil || r.misspelt(key) {
		return // what is wrong with it is reported elsewhere
	}
	r.report(r.t.at, say("%s 缺少 %s。", "%s lacks %s.", r.section, key), say("加一行：%s", "Add a line: %s", sample))
}

// misspelt reports whether an unknown key of the table was probably meant to be
// this one.
func (r *reader) misspelt(key string) bool {
	return slices.ContainsFunc(r.t.entries, func(e *entry) bool { return !e.used && nearest(e.key, []string{key}) != "" })
}

// str returns the text of a key. ok is false when it is absent or wrong, and
// wrong was reported.
func (r *reader) str(key string) (v *value, ok bool) {
	e := r.find(key)
	if e == nil {
		return nil, false
	}
	if e.value == nil || e.value.kind != unstable.String {
		r.wantString(e)
		return nil, false
	}
	if strings.ContainsFunc(e.value.text, unicode.IsControl) {
		r.report(e.value.at, say("%s 里有换行或控制字符。", "%s contains a line break or a control character.", key), say("写在一行里。", "Write it on one line."))
		return nil, false
	}
	return e.value, true
}

// required is str for a key that must be there and not be empty.
func (r *reader) required(key, sample string) (*value, bool) {
	v, ok := r.str(key)
	switch {
	case !ok:
		r.missing(key, sample)
	case strings.TrimSpace(v.text) == "":
		r.report(v.at, say("%s 是空的。", "%s is empty.", key), say("例如：%s", "For example: %s", sample))
		return nil, false
	}
	return v, ok
}

// wantString reports a value that is no text, most often a code whose quotes
// were forgotten.
func (r *reader) wantString(e *entry) {
	switch {
	case e.value == nil:
		r.report(e.at, say("%s 应该是一个值，不是一段。", "%s is a value, not a section.", e.key), text{})
	case e.value.kind == unstable.Array || e.value.kind == unstable.InlineTable:
		r.report(e.value.at, say("%s 只能有一个值。", "%s takes one value.", e.key), say("写成：%s = \"...\"", "Write: %s = \"...\"", e.key))
	default:
		r.report(e.value.at, say("%s 是文字，要加英文双引号。", "%s is text and needs quotes.", e.key),
			say("写成：%s = \"%s\"", "Write: %s = \"%s\"", e.key, e.value.text))
	}
}

// label returns a text for people, or otherwise when it is absent.
func (r *reader) label(otherwise string) string {
	v, ok := r.str("label")
	if !ok || strings.TrimSpace(v.text) == "" {
		return otherwise
	}
	return r.short(v)
}

// short reports a text for people that is too long, and returns it.
func (r *reader) short(v *value) string {
	if len(v.text) > longan.MaxLabel {
		r.report(v.at, say("太长：最多 %d 字节（约 %d 个汉字）。", "too long: at most %d bytes (about %d Chinese characters).", longan.MaxLabel, longan.MaxLabel/3), text{})
	}
	return v.text
}

// name returns the required name of a section, and where it stands; "" after a
// problem.
func (r *reader) name(sample string) (string, span) {
	v, ok := r.required("name", `name = "`+sample+`"`)
	if !ok {
		return "", r.t.at
	}
	if longan.ValidName(v.text) {
		return v.text, v.at
	}
	hint := say("例如：name = \"%s\"；中文写在 label 里。", "For example: name = \"%s\"; Chinese goes into label.", sample)
	if plain := strings.NewReplacer("_", "-", " ", "-").Replace(strings.ToLower(halfWidth(strings.TrimSpace(v.text)))); longan.ValidName(plain) {
		hint = say("写成：name = \"%s\"", "Write: name = \"%s\"", plain)
	}
	r.report(v.at, say("name 只能用小写字母 a-z、数字和 -，最多 %d 个。", "name takes a-z, 0-9 and -, at most %d of them.", longan.MaxName), hint)
	return "", v.at
}

// choice returns one of the options, or otherwise when the key is absent. what
// names the thing in the message.
func (r *reader) choice(key, otherwise string, options []string) string {
	v, ok := r.str(key)
	if !ok {
		return otherwise
	}
	if slices.Contains(options, v.text) {
		return v.text
	}
	r.unknown(v, key, options)
	return otherwise
}

// unknown reports a value that is none of the options.
func (r *reader) unknown(v *value, key string, options []string) {
	what := say("%s 不能是 %q。", "%s can't be %q.", key, clip(v.text))
	if near := nearest(v.text, options); near != "" {
		r.report(v.at, what, say("是不是 %q？可选：%s", "Did you mean %q? There are: %s", near, list(options)))
		return
	}
	r.report(v.at, what, say("可选：%s", "There are: %s", list(options)))
}

// integer returns a whole number within [least, most], or otherwise.
func (r *reader) integer(key string, otherwise, least, most int) (int, *value) {
	e := r.find(key)
	if e == nil {
		return otherwise, nil
	}
	if e.value == nil || e.value.kind != unstable.Integer {
		hint := say("写成：%s = %d", "Write: %s = %d", key, otherwise)
		at := e.at
		if e.value != nil {
			at = e.value.at
			if n, err := strconv.Atoi(strings.TrimSpace(halfWidth(e.value.text))); err == nil {
				hint = say("去掉引号：%s = %d", "Without quotes: %s = %d", key, n)
			}
		}
		r.report(at, say("%s 是一个整数，不加引号。", "%s is a whole number, without quotes.", key), hint)
		return otherwise, nil
	}
	n, err := strconv.ParseInt(e.value.text, 0, 64)
	if zeros := strings.TrimLeft(e.value.text, "+-"); len(zeros) > 1 && zeros[0] == '0' && zeros[1] >= '0' && zeros[1] <= '9' {
		n, err = math.MinInt64, nil // TOML has no octal by leading zero
	}
	if err != nil || n < int64(least) || n > int64(most) {
		r.report(e.value.at, say("%s 要在 %d 到 %d 之间。", "%s is between %d and %d.", key, least, most), text{})
		return otherwise, nil
	}
	return int(n), e.value
}

// duration returns a time within [least, most], or otherwise.
func (r *reader) duration(key string, otherwise, least, most time.Duration) time.Duration {
	e := r.find(key)
	if e == nil {
		return otherwise
	}
	if e.value == nil || e.value.kind != unstable.String {
		at, hint := e.at, say("例如：%s = \"%s\"", "For example: %s = \"%s\"", key, short(otherwise))
		if e.value != nil {
			at = e.value.at
			if e.value.kind == unstable.Integer {
				hint = say("写成：%[1]s = \"%[2]sms\"（毫秒）或 \"%[2]ss\"（秒）", "Write: %[1]s = \"%[2]sms\" (milliseconds) or \"%[2]ss\" (seconds)", key, e.value.text)
			}
		}
		r.report(at, say("%s 是时间，要写单位并加引号。", "%s is a time and needs a unit and quotes.", key), hint)
		return otherwise
	}
	d, err := time.ParseDuration(e.value.text)
	if err != nil {
		r.report(e.value.at, say("%q 不是时间。", "%q is not a time.", clip(e.value.text)),
			say("用数字加单位 ms（毫秒）、s（秒）、m（分），例如：%s = \"%s\"", "A number with the unit ms, s or m, for example: %s = \"%s\"", key, short(otherwise)))
		return otherwise
	}
	if d < least || d > most {
		r.report(e.value.at, say("%s 要在 %s 到 %s 之间。", "%s is between %s and %s.", key, short(least), short(most)), text{})
		return otherwise
	}
	return d
}

// short is d without zero parts: 1m, not 1m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// sections returns the tables of a [[key]].
func (r *reader) sections(key string) []*table {
	e := r.find(key)
	if e == nil {
		return nil
	}
	if e.array != nil {
		return e.array
	}
	name := strings.Trim(r.section, "[]")
	if name != "" {
		name += "."
	}
	if e.value != nil && e.value.kind == unstable.Array {
		var all []*table
		for _, item := range e.value.items {
			if item.table != nil {
				all = append(all, item.table)
			}
		}
		if len(all) == len(e.value.items) {
			return all
		}
	}
	at := e.at
	if e.table != nil {
		at = e.table.at
	}
	r.report(at, say("%s 可以有多个，要用双方括号。", "there may be several %s, so it has double brackets.", key), say("写成：[[%s%s]]", "Write: [[%s%s]]", name, key))
	return nil
}

// only returns the table of a [key], or nil.
func (r *reader) only(key string) *table {
	e := r.find(key)
	if e == nil {
		return nil
	}
	if e.table != nil {
		return e.table
	}
	if e.value != nil && e.value.table != nil {
		return e.value.table
	}
	name := strings.Trim(r.section, "[]")
	if name != "" {
		name += "."
	}
	at := e.at
	if e.array != nil {
		at = e.array[0].at
	}
	r.report(at, say("%s 只有一个，要用单方括号另起一段。", "there is one %s: a section in single brackets.", key), say("写成：[%s%s]", "Write: [%s%s]", name, key))
	return nil
}

// done reports every key that was not asked for. elsewhere says of a key that
// is known, but not here.
func (r *reader) done(elsewhere func(key string) (text, bool)) {
	for _, e := range r.t.entries {
		if e.used {
			continue
		}
		at, what := e.at, say("%s 里没有 %s 这个键。", "%s has no key %s.", r.section, clip(e.key))
		if e.value == nil {
			if r.section == "" {
				what = say("没有 %s 这种段落。", "there is no section %s.", clip(e.key))
			}
		} else if r.section == "" {
			what = say("%s 要写在某一段里，例如 [center] 下面。", "%s belongs into a section, for example under [center].", clip(e.key))
		}
		if elsewhere != nil {
			if hint, ok := elsewhere(e.key); ok {
				r.report(at, what, hint)
				continue
			}
		}
		if near := nearest(e.key, r.known); near != "" {
			r.report(at, what, say("是不是 %s？", "Did you mean %s?", near))
			continue
		}
		r.report(at, what, say("可用的：%s", "There are: %s", strings.Join(r.known, " ")))
	}
}

// list joins options for a message. Numbered ones that follow each other are
// given by the first and the last: di1...di64.
func list(options []string) string {
	var words []string
	for i := 0; i < len(options); {
		end := i + 1
		for prefix, n := number(options[i]); n >= 0 && end < len(options); end++ {
			if p, m := number(options[end]); p != prefix || m != n+end-i {
				break
			}
		}
		if end-i < 4 {
			end = i + 1
			words = append(words, options[i])
		} else {
			words = append(words, options[i]+"..."+options[end-1])
		}
		i = end
	}
	return strings.Join(words, " ")
}

// number splits the digits from the end of s; n is -1 without any.
func number(s string) (prefix string, n int) {
	prefix = strings.TrimRight(s, "0123456789")
	n, err := strconv.Atoi(s[len(prefix):])
	if err != nil {
		n = -1
	}
	return prefix, n
}
