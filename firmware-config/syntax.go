package firmwareconfig

import (
	"bytes"
	"errors"
	"strings"
	"unicode"

	"github.com/pelletier/go-toml/v2/unstable"
)

// syntax reports why the statement at start is not TOML. The parser sees bytes
// and says "unexpected character U+00E2 'â'"; so the slips that people make are
// looked for first, and its words are the last resort.
func (b *builder) syntax(start int, err error) {
	place := span{start, start + 1}
	reason := ""
	if e, ok := errors.AsType[*unstable.ParserError](err); ok {
		reason = e.Message
		if len(e.Highlight) > 0 {
			place = b.span(b.parser.Range(e.Highlight))
		}
	}
	b.remember(start)
	first := lineOf(b.data, start)
	wrong := lineOf(b.data, place.start)
	switch {
	case b.invisible(first), b.fullWidth(first):
	case wrong.start > first.start && b.fullWidth(span{wrong.start, wrong.end}):
	case b.data[start] == '[':
		b.header(first)
	case wrong.start > first.start || place.start >= len(b.data)-1 && b.unclosed(first):
		b.report(first, say("方括号或引号没有写完：到第 %d 行还没有结束。", "a bracket or quote is not closed: it goes on to line %d.", b.line(place.start)),
			say("补上 ] 或 \"，例如：brokers = [\"mqtt://主机:1883\"]", "Close it with ] or \", for example: brokers = [\"mqtt://host:1883\"]"))
	default:
		b.keyValue(first, place, reason)
	}
}

// lineOf returns the rest of the line from the statement at offset, without
// the end of line, or the whole line when offset is within one.
func lineOf(data []byte, offset int) span {
	start := bytes.LastIndexByte(data[:offset], '\n') + 1
	for start < len(data) && (data[start] == ' ' || data[start] == '\t') {
		start++
	}
	end := lineEnd(data, offset)
	if end > start && data[end-1] == '\r' {
		end--
	}
	return span{min(start, end), end}
}

// unclosed reports whether the line opens more brackets than it closes.
func (b *builder) unclosed(at span) bool {
	line := b.data[at.start:at.end]
	return bytes.Count(line, []byte("[")) > bytes.Count(line, []byte("]")) || bytes.Contains(line, []byte(`"""`)) || bytes.Contains(line, []byte("'''"))
}

// remember keeps what the wrong statement was about, so that a key is not also
// reported as missing and the keys below a header still have a section.
func (b *builder) remember(start int) {
	at := lineOf(b.data, start)
	fixed, _ := repair(string(b.data[at.start:at.end]))
	fixed = strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, fixed))
	if strings.HasPrefix(fixed, "[") {
		name, _, _ := strings.Cut(strings.TrimLeft(fixed, "[ \t"), "]")
		var keys []key
		for part := range strings.SplitSeq(strings.TrimSpace(name), ".") {
			keys = append(keys, key{strings.TrimSpace(part), at})
		}
		b.open(keys, at, strings.HasPrefix(fixed, "[[") || strings.Contains(fixed, "]]"))
		return
	}
	end := strings.IndexAny(fixed, "=: \t")
	if end <= 0 || b.current == nil {
		return
	}
	if name := fixed[:end]; b.current.get(name) == nil && len(b.current.entries) < maxEntries {
		b.current.add(&entry{key: name, at: at, broken: true, used: true})
	}
}

// invisible reports a control character, or another one that nobody sees.
func (b *builder) invisible(at span) bool {
	for i, r := range string(b.data[at.start:at.end]) {
		if _, known := asciiOf(r); known || r == '\t' || unicode.IsPrint(r) {
			continue
		}
		i += at.start
		b.report(span{i, i + 1}, say("有看不见的字符 %U。", "there is an invisible character %U.", r), say("删掉这一行，重新输入。", "Delete the line and type it again."))
		return true
	}
	return false
}

// fullWidth reports punctuation and digits as Chinese input methods type them,
// outside quotes.
func (b *builder) fullWidth(at span) bool {
	line := string(b.data[at.start:at.end])
	fixed, slips := repair(line)
	if len(slips) == 0 {
		return false
	}
	if !strings.HasPrefix(fixed, "[") && !strings.Contains(fixed, "=") {
		k, v, colon := strings.Cut(fixed, ":")
		k = strings.TrimSpace(k)
		switch {
		case colon && bareKey(k):
			fixed = k + " = " + strings.TrimSpace(v)
		case !strings.HasPrefix(fixed, `"`) && !strings.HasPrefix(fixed, "'"):
			return false // a sentence, not a line of a list
		}
	}
	typed, meant := characters(line, slips)
	place := span{at.start + slips[0].start, at.start + slips[0].end}
	b.report(place, text{
		"有中文（全角）符号" + typed.zh + "，要用英文（半角）符号" + meant.zh,
		"full-width characters" + typed.en + " must be ASCII:" + meant.en,
	},
		say("改成：%s", "Write: %s", strings.TrimRight(strings.TrimSpace(fixed), ".;")))
	return true
}

// characters lists each full-width character once, and what was meant by it.
func characters(line string, slips []span) (typed, meant text) {
	const most = 8
	seen := map[string]bool{}
	for _, s := range slips {
		r := line[s.start:s.end]
		if seen[r] || len(seen) == most {
			continue
		}
		seen[r] = true
		ascii, _ := asciiOf([]rune(r)[0])
		full, plain := text{r, r}, text{string(ascii), string(ascii)}
		if ascii == ' ' {
			full, plain = text{"（空格）", "(space)"}, text{"（空格）", "(space)"}
		}
		typed.zh, typed.en = typed.zh+" "+full.zh, typed.en+" "+full.en
		meant.zh, meant.en = meant.zh+" "+plain.zh, meant.en+" "+plain.en
	}
	return typed, meant
}

// repair returns the line with full-width characters outside quotes replaced by
// what was meant, and where they were. A quote opened with a Chinese quotation
// mark ends at one, and so does one that no ASCII quote closes.
func repair(line string) (fixed string, slips []span) {
	var b strings.Builder
	open, chinese := rune(0), false // the quote that we are in
	for i, r := range line {
		ascii, full := asciiOf(r)
		quote := ascii == '"' || ascii == '\''
		if !full {
			ascii = r
			quote = r == '"' || r == '\''
		}
		rest := line[i+len(string(r)):]
		switch {
		case open == 0 && quote:
			open, chinese = ascii, full
		case open == 0 && ascii == '#':
			if full {
				slips = append(slips, span{i, i + len(string(r))})
			}
			return b.String() + "#" + rest, slips
		case open != 0 && quote && ascii == open && (!full || chinese || !strings.ContainsRune(rest, open)):
			open = 0
		case open != 0: // text
			ascii, full = r, false
		}
		if full {
			slips = append(slips, span{i, i + len(string(r))})
		}
		b.WriteRune(ascii)
	}
	return b.String(), slips
}

// header reports a section header that is not closed.
func (b *builder) header(at span) {
	line := string(b.data[at.start:at.end])
	name, _, _ := strings.Cut(strings.TrimLeft(line, "[ \t"), "]")
	name = strings.TrimSpace(name)
	fixed := "[" + name + "]"
	if strings.HasPrefix(line, "[[") || strings.Contains(line, "]]") {
		fixed = "[[" + name + "]]"
	}
	b.report(at, say("段落标题写法不对。", "not a section header."), say("写成：%s", "Write: %s", fixed))
}

// keyValue reports a line that is no key = value.
func (b *builder) keyValue(at, place span, reason string) {
	line := string(b.data[at.start:at.end])
	name, val, assigned := strings.Cut(line, "=")
	name, val = strings.TrimSpace(name), strings.TrimSpace(val)
	switch {
	case !assigned:
		if k, v, colon := strings.Cut(line, ":"); colon && bareKey(strings.TrimSpace(k)) {
			b.report(at, say("键和值之间要用等号。", "key and value are joined by =."), say("改成：%s = %s", "Write: %s = %s", strings.TrimSpace(k), strings.TrimSpace(v)))
			return
		}
		b.report(at, say("这一行不是 键 = 值，也不是 [段落]。", "this line is neither key = value nor a [section]."), say("说明文字前面加 #。", "Put # before a comment."))
	case !bareKey(name):
		b.report(at, say("等号左边的键只能用英文字母、数字、- 和 _。", "the key left of = takes letters, digits, - and _."), say("中文写在右边的引号里。", "Chinese goes into the quotes on the right."))
	case val == "":
		b.report(at, say("等号右边没有值。", "there is no value right of =."), say("例如：%s = \"...\"", "For example: %s = \"...\"", name))
	default:
		b.wrongValue(name, val, span{at.end - len(strings.TrimLeft(line[strings.Index(line, "=")+1:], " \t")), at.end}, place, reason)
	}
}

// wrongValue reports the text right of "=".
func (b *builder) wrongValue(name, val string, at, place span, reason string) {
	switch {
	case strings.ContainsRune(val, '\\') && strings.Contains(reason, "escape"):
		b.report(place, say("引号里的 \\ 有特殊含义。", "within quotes \\ has a meaning of its own."), say("写两个 \\\\，或改用 /。", "Write \\\\ or use /."))
	case val[0] == '"' || val[0] == '\'':
		if end := strings.IndexByte(val[1:], val[0]); end >= 0 {
			b.report(place, say("值的后面多了内容。", "there is something behind the value."), say("一行只写一个 键 = 值；说明文字前面加 #。", "One key = value on a line; put # before a comment."))
			return
		}
		b.report(at, say("缺少右边的引号。", "the closing quote is missing."), say("改成：%s = %s", "Write: %s = %s", name, val+val[:1]))
	case val[0] == '[' || val[0] == '{':
		b.report(place, say("列表写法不对。", "not a list."), say("例如：%s = [\"...\", \"...\"]", "For example: %s = [\"...\", \"...\"]", name))
	case strings.Contains(reason, "leading zero") && (name == "baud" || name == "address"):
		b.report(place, say("数字不能以 0 开头。", "a number can't begin with 0."), say("改成：%s = %s", "Write: %s = %s", name, strings.TrimLeft(val, "0")))
	default:
		bare, _, _ := strings.Cut(val, " #")
		bare = strings.Trim(strings.TrimSpace(bare), `"'`)
		b.report(span{at.start, at.start + max(1, len(bare))}, say("文字和代码要加英文双引号。", "texts and codes need quotes."), say("改成：%s = \"%s\"", "Write: %s = \"%s\"", name, bare))
	}
}

// bareKey reports whether s needs no quotes as a key.
func bareKey(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
	}) < 0
}
