package dc09

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"
)

// header is what stands before the content of a message, in the clear.
type header struct {
	token     string // "SIA-DCS", "ADM-CID", "NULL" …, without the asterisk
	encrypted bool   // the asterisk
	seq       string // four digits
	receiver  string // "R0", or "" where the panel sends none
	line      string // "L0", or ""
	account   string // upper case, without the #
}

// content is what stands in a message besides its header, decrypted.
type content struct {
	data  []byte // between the first brackets
	extra []byte // the extensions that follow, in their brackets
	time  time.Time
	timed bool
}

// errContent is why a message is answered with DUH.
var errContent = errors.New("content is malformed")

// parseHeader splits a body behind the bracket that ends its header.
func parseHeader(body []byte) (h header, rest []byte, err error) {
	head, rest, ok := bytes.Cut(body, []byte{'['})
	if !ok || len(head) == 0 || head[0] != '"' {
		return h, nil, errHeader
	}
	token, tail, ok := strings.Cut(string(head[1:]), `"`)
	if !ok {
		return h, nil, errHeader
	}
	h.token, h.encrypted = strings.CutPrefix(token, "*")
	if !within(h.token, 1, 16, tokenDigit) || len(tail) < 4 || !within(tail[:4], 4, 4, decimal) {
		return h, nil, errHeader
	}
	h.seq, tail = tail[:4], tail[4:]
	tail, h.account, ok = strings.Cut(tail, "#")
	h.account = strings.ToUpper(h.account)
	if !ok || !within(h.account, 3, 16, hexadecimal) {
		return h, nil, errHeader
	}
	if i := strings.IndexByte(tail, 'L'); i >= 0 {
		tail, h.line = tail[:i], tail[i:]
	}
	h.receiver = tail
	if !prefix(h.receiver, 'R') || !prefix(h.line, 'L') {
		return h, nil, errHeader
	}
	return h, rest, nil
}

// prefix reports whether s is a receiver or line number, or missing.
func prefix(s string, letter byte) bool {
	return s == "" || (s[0] == letter && within(s[1:], 1, 6, hexadecimal))
}

// parseContent reads data, extensions and time, behind the opening bracket.
func parseContent(text []byte) (c content, err error) {
	data, rest, ok := bytes.Cut(text, []byte{']'})
	if !ok || bytes.IndexByte(data, '[') >= 0 {
		return c, fmt.Errorf("%w: want data in one pair of brackets", errContent)
	}
	c.data = data
	begin := rest
	for len(rest) > 0 && rest[0] == '[' {
		end := bytes.IndexByte(rest, ']')
		if end < 0 {
			return c, fmt.Errorf("%w: an extension does not end", errContent)
		}
		rest = rest[end+1:]
	}
	c.extra = begin[:len(begin)-len(rest)]
	if len(rest) == 0 {
		return c, nil
	}
	if rest[0] != '_' {
		return c, fmt.Errorf("%w: want a time at the end", errContent)
	}
	if c.time, err = parseTime(string(rest[1:])); err != nil {
		return c, err
	}
	c.timed = true
	return c, nil
}

// timeLayout is how the standard writes a time, in UTC.
const timeLayout = "15:04:05,01-02-2006"

func parseTime(s string) (time.Time, error) {
	// package time would take the comma for that of fractions of a second.
	clock, date, _ := strings.Cut(s, ",")
	t, err := time.Parse("15:04:05 01-02-2006", clock+" "+date)
	if err != nil || len(s) != len(timeLayout) {
		return time.Time{}, fmt.Errorf("%w: want a time as 10:29:15,11-23-2026", errContent)
	}
	return t, nil
}

// answer returns the body of an ACK or DUH in the clear.
func (h header) answer(token string) string {
	return fmt.Sprintf(`"%s"%s%s%s#%s[]`, token, h.seq, h.receiver, h.line, h.account)
}

// nak returns the body of a NAK, which names no account and is never encrypted.
func nak(now time.Time) string {
	return `"NAK"0000R0L0A0[]_` + now.UTC().Format(timeLayout)
}

// within reports whether s has min to max bytes, all of one class.
func within(s string, min, max int, class func(byte) bool) bool {
	if len(s) < min || len(s) > max {
		return false
	}
	for i := range len(s) {
		if !class(s[i]) {
			return false
		}
	}
	return true
}

func decimal(b byte) bool     { return b >= '0' && b <= '9' }
func upper(b byte) bool       { return b >= 'A' && b <= 'Z' }
func lower(b byte) bool       { return b >= 'a' && b <= 'z' }
func hexadecimal(b byte) bool { return decimal(b) || (b >= 'A' && b <= 'F') || (b >= 'a' && b <= 'f') }
func tokenDigit(b byte) bool  { return decimal(b) || upper(b) || b == '-' }
