package firmwareconfig

import "strings"

// distance is the Levenshtein distance of a and b, counted in characters.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	row := make([]int, len(y)+1)
	for j := range row {
		row[j] = j
	}
	for i := range x {
		diagonal := row[0]
		row[0] = i + 1
		for j := range y {
			cost := diagonal
			if x[i] != y[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(y)]
}

// nearest returns the candidate that was most likely meant by s, or "". Case,
// full-width forms and _ for - cost nothing. Words that need more than a third
// of their letters changed are no suggestion.
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
		d := distance(plain(s), plain(c))
		if d <= max(1, min(len(c), len(s))/3) && (best == "" || d < least) {
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
