package longan

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// Extra holds the fields of a message that this program does not know, so that
// a program which reads and writes a message hands them on.
type Extra map[string]json.RawMessage

// eachField calls f with every key and raw value of the JSON object in data.
// data must have passed validJSON. Keys are matched exactly, unlike in package
// encoding/json, which takes "SEQ" for "seq", and a key that stands there twice
// is an error: which of the two counts would depend on who reads.
func eachField(data []byte, f func(key string, val []byte) error) error {
	var seen keySet
	i := space(data, 0)
	if i >= len(data) || data[i] != '{' {
		return malformed("want a JSON object")
	}
	for i = space(data, i+1); i < len(data) && data[i] != '}'; i = space(data, i) {
		if data[i] == ',' {
			i = space(data, i+1)
		}
		end := value(data, i)
		key, err := parseKey(data[i:end])
		if err != nil {
			return err
		}
		if !seen.add(key) {
			return malformed("field %q stands there twice", clip(key))
		}
		i = space(data, end) // at the colon
		i = space(data, i+1) // at the value
		end = value(data, i) // behind the value
		if err := f(key, data[i:end]); err != nil {
			return err
		}
		i = end
	}
	return nil
}

// keySet holds the keys of one object, the usual few of them without a map.
type keySet struct {
	few  [12]string
	n    int
	many map[string]bool
}

// add reports whether key is new.
func (s *keySet) add(key string) bool {
	if slices.Contains(s.few[:s.n], key) || s.many[key] {
		return false
	}
	if s.n < len(s.few) {
		s.few[s.n] = key
		s.n++
		return true
	}
	if s.many == nil {
		s.many = map[string]bool{}
	}
	s.many[key] = true
	return true
}

// eachItem calls f with every raw value of the JSON array in data, which must
// have passed validJSON.
func eachItem(data []byte, f func(val []byte) error) error {
	i := space(data, 0)
	if i >= len(data) || data[i] != '[' {
		return malformed("want a JSON array")
	}
	for i = space(data, i+1); i < len(data) && data[i] != ']'; i = space(data, i) {
		if data[i] == ',' {
			i = space(data, i+1)
		}
		end := value(data, i)
		if err := f(data[i:end]); err != nil {
			return err
		}
		i = end
	}
	return nil
}

// space returns the index of the first byte at or after i that is no white space.
func space(data []byte, i int) int {
	for i < len(data) && (data[i] == ' ' || data[i] == '\t' || data[i] == '\n' || data[i] == '\r') {
		i++
	}
	return i
}

// value returns the index behind the JSON value that begins at i.
func value(data []byte, i int) int {
	depth := 0
	for i < len(data) {
		switch data[i] {
		case '"':
			for i++; i < len(data) && data[i] != '"'; i++ {
				if data[i] == '\\' {
					i++
				}
			}
			i++
			if depth == 0 {
				return i
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ':', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return i
			}
		}
		i++
	}
	return i
}

func parseString(val []byte) (string, error) {
	if len(val) < 2 || val[0] != '"' {
		return "", malformed("%s: want a string", clip(string(val)))
	}
	plain := val[1 : len(val)-1]
	if bytes.IndexByte(plain, '\\') < 0 && utf8.Valid(plain) {
		return string(plain), nil
	}
	var s string
	if err := json.Unmarshal(val, &s); err != nil {
		return "", malformed("string: %v", err)
	}
	return s, nil
}

// parseKey is parseString for a field's name, without memory for those of an
// event, which a batch has by the hundred.
func parseKey(val []byte) (string, error) {
	switch string(val) {
	case `"seq"`:
		return "seq", nil
	case `"type"`:
		return "type", nil
	case `"point"`:
		return "point", nil
	case `"time"`:
		return "time", nil
	case `"clock"`:
		return "clock", nil
	case `"boot"`:
		return "boot", nil
	case `"mono"`:
		return "mono", nil
	case `"data"`:
		return "data", nil
	}
	return parseString(val)
}

// known holds the strings of a batch that come again and again.
type known map[string]string

// parse is parseString, which returns an equal string that came before.
func (k known) parse(val []byte) (string, error) {
	if s, ok := k[string(val)]; ok {
		return s, nil
	}
	s, err := parseString(val)
	if err == nil && len(k) < 64 {
		k[string(val)] = s
	}
	return s, err
}

func parseUint(val []byte) (uint64, error) {
	n, err := strconv.ParseUint(string(val), 10, 64)
	if err != nil || n > maxUint {
		return 0, malformed("%s: want a whole number from 0 to 2^62", clip(string(val)))
	}
	return n, nil
}

// maxUint bounds the numbers of the contract: they fit an int64 wherever they
// are stored.
const maxUint = 1 << 62

func checkUint(field string, n uint64) error {
	if n > maxUint {
		return malformed("%s %d: want at most 2^62", field, n)
	}
	return nil
}

// timeFormat is how times are written: UTC, RFC 3339, milliseconds.
const timeFormat = "2006-01-02T15:04:05.000Z"

func parseTime(val []byte) (time.Time, error) {
	s, err := parseString(val)
	if err != nil {
		return time.Time{}, err
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || t.IsZero() || checkTime("", t) != nil {
		return time.Time{}, malformed("time %q: want RFC 3339 from 1970 on, like 2026-11-23T08:15:30.123Z", clip(s))
	}
	return t.UTC().Truncate(time.Millisecond), nil
}

// checkTime returns an error unless t is zero or has a year that parseTime
// takes, in UTC: with an offset, the first hours of 1970 are still 1969.
func checkTime(field string, t time.Time) error {
	if y := t.UTC().Year(); !t.IsZero() && (y < 1970 || y > 9999) {
		return malformed("%s %v: want 1970 to 9999", field, t)
	}
	return nil
}

// object builds a JSON object field by field. Empty values are left out, so
// that a field which nobody set costs nothing on a thin link.
type object struct{ buf []byte }

func newObject(dst []byte) object { return object{append(dst, '{')} }

func (o *object) key(name string) {
	if last := o.buf[len(o.buf)-1]; last != '{' {
		o.buf = append(o.buf, ',')
	}
	o.buf = append(appendString(o.buf, name), ':')
}

func (o *object) str(name, s string) {
	if s != "" {
		o.key(name)
		o.buf = appendString(o.buf, s)
	}
}

func (o *object) uint(name string, n uint64) {
	if n != 0 {
		o.key(name)
		o.buf = strconv.AppendUint(o.buf, n, 10)
	}
}

func (o *object) time(name string, t time.Time) {
	if !t.IsZero() {
		o.key(name)
		o.buf = append(t.UTC().AppendFormat(append(o.buf, '"'), timeFormat), '"')
	}
}

func (o *object) raw(name string, val []byte) {
	if len(val) > 0 {
		o.key(name)
		o.buf = append(o.buf, val...)
	}
}

// end writes the kept fields in a stable order and closes the object.
func (o *object) end(extra Extra) []byte {
	keys := make([]string, 0, len(extra))
	for k := range extra {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		o.raw(k, extra[k])
	}
	return append(o.buf, '}')
}

func appendString(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c == '"' || c == '\\' || c >= 0x80 {
			return appendStringSlow(dst, s)
		}
	}
	return append(append(append(dst, '"'), s...), '"')
}

// appendStringSlow writes Chinese as itself (encoding/json would too), escapes
// what must be, and replaces broken UTF-8 by U+FFFD.
func appendStringSlow(dst []byte, s string) []byte {
	quoted, err := json.Marshal(s)
	if err != nil { // json.Marshal of a string has no error
		return append(dst, `""`...)
	}
	return append(dst, quoted...)
}

// keep stores an unknown field.
func (e *Extra) keep(key string, val []byte) error {
	if len(key) > MaxName {
		return tooLarge("field name", len(key), MaxName)
	}
	if *e == nil {
		*e = Extra{}
	}
	(*e)[key] = slices.Clone(val)
	return nil
}
