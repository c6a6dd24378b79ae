package firmwareconfig

import "strings"

// distance is how many characters of a must be changed, added, dropped or
// swapped with their neighbour to get b (optimal string alignment).
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	rows := make([][]int, len(x)+1)
	for i := range rows {
		rows[i] = make([]int, len(y)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(x); i++ {
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			d := min(rows[i-1][j-1]+cost, rows[i-1][j]+1, rows[i][j-1]+1)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				d = min(d, rows[i-2][j-2]+1)
			}
			rows[i][j] = d
		}
	}
	return rows[len(x)][len(y)]
}

// nearest returns the candidate that was most likely meant by s, or "". Case,
// full-width forms and _ for - cost nothing. Words that need more than a third
// of their letters changed are no suggestion, unless one begins with the other.
func nearest(s string, candidates []string) string {
	const longest = 80 // nothing that long is a slip of the fingers
	if len(s) > longest {
		return ""
	}
	plain := func(s string) string {
		return strings.ReplaceAll(strings.ToLower(halfWidth(s)), "_", "-")
	}
	best, least := "", len(s)
	for _, c := range candidates {
		a, b := plain(s), plain(c)
		d := distance(a, b)
		if min(len(a), len(b)) >= 4 && (strings.HasPrefix(a, b) || strings.HasPrefix(b, a)) {
			d = min(d, 1) // baudrate for baud
		}
		if d <= max(1, max(len(c), len(s))/3) && (best == "" || d < least) {
			best, least = c, d
		}
	}
	return best
}

// halfWidth replaces what a Chinese input method types for ASCII: full-width
// forms, Chinese quotes, commas, stops and long dashes.
func halfWidth(s string) string {
	return strings.Map(func(r rune) rune {
		if ascii, ok := asciiOf(r); ok {
			return ascii
		}
		return r
	}, s)
}

// asciiOf returns the ASCII character that was meant by r, when r is the form
// of it that a Chinese input method types.
func asciiOf(r rune) (rune, bool) {
	switch r {
	case '\u201c', '\u201d', '\u300c', '\u300d', '\u2033':
		return '"', true
	case '\u2018', '\u2019':
		return '\'', true
	case '\u3002', '\u00b7':
		return '.', true
	case '\u3001':
		return ',', true
	case '\u3010', '\u3014':
		return '[', true
	case '\u3011', '\u3015':
		return ']', true
	case '\u2010', '\u2011', '\u2012', '\u2013', '\u2014', '\u2212':
		return '-', true
	case '\u3000', '\u00a0':
		return ' ', true
	}
	if r >= 0xff01 && r <= 0xff5e {
		return r - 0xfee0, true
	}
	return 0, false
}
