package longan

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestValidJSON(t *testing.T) {
	for _, s := range []string{
		``, ` `, `{`, `}`, `[`, `]`, `{}`, `[]`, ` { } `, "[\n]\t", `{"a":1}`, `{"a":1,}`, `{,}`, `{"a"}`, `{"a":}`, `{"a" : 1 , "b":[1, 2 ]}`, `{a:1}`,
		`[1,]`, `[,1]`, `[1 2]`, `[1,2] 3`, `"`, `"a`, `"a"`, `"\"`, `"\\"`, `"\u12"`, `"\u12g4"`, `"\u12aF"`, `"\x"`, "\"\x00\"", "\"\xff\"", "\"门\"",
		`0`, `-`, `-0`, `01`, `1.`, `1.0`, `.5`, `1e`, `1e+`, `1E-7`, `1e5.`, `--1`, `+1`, `Infinity`, `true`, `tru`, `truex`, `false`, `null`, `nul`, `True`,
		strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth),
		strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1),
		strings.Repeat(`{"a":`, maxDepth+1) + "1" + strings.Repeat("}", maxDepth+1),
	} {
		if got, want := validJSON([]byte(s)), json.Valid([]byte(s)) && utf8.ValidString(s); got != want {
			t.Errorf("validJSON(%.40q) = %v, want %v", s, got, want)
		}
	}
}

// FuzzValidJSON holds validJSON against package encoding/json, and the readers
// that rely on it against what it lets through.
func FuzzValidJSON(f *testing.F) {
	for _, m := range goldenMessages() {
		if payload, err := m.encode(m.want); err == nil {
			if data, err := unpack(payload); err == nil {
				f.Add(data)
			}
		}
	}
	f.Add([]byte(`{"a":[1,-2.5e+3,true,false,null,"\u00e9\n",{}],"b" : { } }`))
	f.Fuzz(func(t *testing.T, data []byte) {
		got := validJSON(data)
		if want := json.Valid(data) && utf8.Valid(data); got != want {
			t.Fatalf("validJSON(%q) = %v, want %v", data, got, want)
		}
		if !got {
			return
		}
		var walk func([]byte)
		walk = func(data []byte) {
			data = bytes.TrimSpace(data)
			switch data[0] {
			case '{':
				eachField(data, func(_ string, val []byte) error { walk(val); return nil })
			case '[':
				eachItem(data, func(val []byte) error { walk(val); return nil })
			}
		}
		walk(data)
	})
}
