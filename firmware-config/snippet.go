package firmwareconfig

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// snippetColumns bounds the columns of source shown around a problem, so that
// it fits an 80-column serial console with the line number before it.
const snippetColumns = 64

// wide are the ranges of characters that a terminal shows two columns wide
// (Unicode UAX #11, W and F, the blocks that occur in Chinese text). Ambiguous
// ones such as “ are taken as one column, as glibc's wcwidth does.
var wide = [...][2]rune{
	{0x1100, 0x115f}, {0x2e80, 0x303e}, {0x3041, 0xa4cf}, {0xac00, 0xd7a3},
	{0xf900, 0xfaff}, {0xfe30, 0xfe6f}, {0xff01, 0xff60}, {0xffe0, 0xffe6},
	{0x1f300, 0x1faff}, {0x20000, 0x3fffd},
}

// columns returns how many columns of a terminal r takes.
func columns(r rune) int {
	for _, w := range wide {
		if r >= w[0] && r <= w[1] {
			return 2
		}
	}
	if unicode.In(r, unicode.Mn, unicode.Me) {
		return 0
	}
	return 1
}

// cell is one character of a source line as it is shown.
type cell struct {
	text   string
	width  int
	marked bool
}

// cells splits a line and marks the characters that begin within [start, end),
// byte offsets in the line. What could move a terminal's cursor is replaced.
func cells(line []byte, start, end int) []cell {
	out := make([]cell, 0, len(line))
	for i := 0; i < len(line); {
		r, size := utf8.DecodeRune(line[i:])
		c := cell{string(r), columns(r), i >= start && i < end}
		switch {
		case r == '\t' || r == '\u3000':
			c.text, c.width = "  ", 2
		case r == utf8.RuneError || !unicode.IsPrint(r):
			c.text, c.width = "?", 1
		}
		out = append(out, c)
		i += size
	}
	return out
}

// window cuts a very long line to what can be shown of it.
func window(line []byte, start, end int) ([]byte, int, int) {
	const reach = 4 * snippetColumns // bytes of UTF-8 on each side
	if right := start + reach; right < len(line) {
		for !utf8.RuneStart(line[right]) && right > start+reach-utf8.UTFMax {
			right--
		}
		line = line[:right]
	}
	if left := start - reach; left > 0 {
		for !utf8.RuneStart(line[left]) && left < start-reach+utf8.UTFMax {
			left++
		}
		line, start, end = line[left:], start-left, end-left
	}
	return line, start, end
}

// snippet returns the line as it is shown, and the marker under [start, end).
func snippet(line []byte, start, end int) (shown, marker string) {
	line, start, end = window(line, start, end)
	all := cells(line, start, end)
	first, before := len(all), 0
	for i, c := range all {
		if c.marked {
			first = i
			break
		}
		before += c.width
	}
	var text, mark strings.Builder
	from := 0
	if before > snippetColumns*3/4 {
		for ; from < first && before > snippetColumns/2; from++ {
			before -= all[from].width
		}
		text.WriteString("...")
		mark.WriteString("   ")
	}
	used, tip := 0, "^"
	for _, c := range all[from:] {
		if used+c.width > snippetColumns {
			text.WriteString("...")
			break
		}
		used += c.width
		text.WriteString(c.text)
		switch {
		case c.marked && c.width > 0:
			mark.WriteString(tip + strings.Repeat("~", c.width-1))
			tip = "~"
		case tip == "^":
			mark.WriteString(strings.Repeat(" ", c.width))
		}
	}
	if tip == "^" {
		mark.WriteString("^") // at the end of the line
	}
	return text.String(), mark.String()
}
