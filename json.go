package longan

import (
	"slices"
	"unicode/utf8"
)

// maxDepth bounds the nesting of JSON, as package encoding/json does.
const maxDepth = 10000

// validJSON reports whether data is JSON (RFC 8259) in UTF-8. json.Valid, which
// takes ten times as long for a batch, lets broken UTF-8 pass, which a database
// or a browser down the line would not.
func validJSON(data []byte) bool {
	if !utf8.Valid(data) {
		return false
	}
	end := validValue(data, space(data, 0), 0)
	return end >= 0 && space(data, end) == len(data)
}

// validValue returns the index behind the JSON value that begins at i, or -1.
func validValue(data []byte, i, depth int) int {
	if i >= len(data) || depth > maxDepth {
		return -1
	}
	switch c := data[i]; {
	case c == '"':
		return validString(data, i)
	case c == '{':
		return validMembers(data, i, depth+1, '}')
	case c == '[':
		return validMembers(data, i, depth+1, ']')
	case c == '-' || digit(c):
		return validNumber(data, i)
	case c == 't':
		return validWord(data, i, "true")
	case c == 'f':
		return validWord(data, i, "false")
	case c == 'n':
		return validWord(data, i, "null")
	}
	return -1
}

// validMembers returns the index behind the object or array that begins at i and
// ends with closing, or -1.
func validMembers(data []byte, i, depth int, closing byte) int {
	if i = space(data, i+1); i < len(data) && data[i] == closing && depth <= maxDepth {
		return i + 1
	}
	for {
		if closing == '}' {
			if i >= len(data) || data[i] != '"' {
				return -1
			}
			if i = validString(data, i); i < 0 {
				return -1
			}
			if i = space(data, i); i >= len(data) || data[i] != ':' {
				return -1
			}
			i = space(data, i+1)
		}
		if i = validValue(data, i, depth); i < 0 {
			return -1
		}
		if i = space(data, i); i >= len(data) {
			return -1
		}
		switch data[i] {
		case closing:
			return i + 1
		case ',':
			i = space(data, i+1)
		default:
			return -1
		}
	}
}

// validString returns the index behind the string that begins at i, or -1.
func validString(data []byte, i int) int {
	for i++; i < len(data); i++ {
		switch c := data[i]; {
		case c == '"':
			return i + 1
		case c < 0x20:
			return -1
		case c == '\\':
			if i++; i >= len(data) {
				return -1
			}
			switch data[i] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				if i+4 >= len(data) || slices.ContainsFunc(data[i+1:i+5], func(c byte) bool { return !hexDigit(c) }) {
					return -1
				}
				i += 4
			default:
				return -1
			}
		}
	}
	return -1
}

// validNumber returns the index behind the number that begins at i, or -1.
func validNumber(data []byte, i int) int {
	if data[i] == '-' {
		i++
	}
	start := i
	i = skipDigits(data, i)
	if i == start || (data[start] == '0' && i > start+1) {
		return -1
	}
	if i < len(data) && data[i] == '.' {
		start = i + 1
		if i = skipDigits(data, start); i == start {
			return -1
		}
	}
	if i < len(data) && (data[i] == 'e' || data[i] == 'E') {
		if i++; i < len(data) && (data[i] == '+' || data[i] == '-') {
			i++
		}
		start = i
		if i = skipDigits(data, start); i == start {
			return -1
		}
	}
	return i
}

func validWord(data []byte, i int, word string) int {
	if len(data)-i < len(word) || string(data[i:i+len(word)]) != word {
		return -1
	}
	return i + len(word)
}

// skipDigits returns the index of the first byte at or after i that is no digit.
func skipDigits(data []byte, i int) int {
	for i < len(data) && digit(data[i]) {
		i++
	}
	return i
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

func hexDigit(c byte) bool { return digit(c) || ('a' <= c|0x20 && c|0x20 <= 'f') }
