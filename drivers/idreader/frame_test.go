package idreader

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRequests(t *testing.T) {
	for r, want := range map[request]string{
		askStatus: "AA AA AA 96 69 00 03 11 FF ED",
		askCard:   "AA AA AA 96 69 00 03 20 01 22",
	} {
		if got := r.frame(); !bytes.Equal(got, unhex(t, want)) {
			t.Errorf("got % X, want %s", got, want)
		}
	}
}

func TestAnswers(t *testing.T) {
	const found = "AA AA AA 96 69 00 08 00 00 9F 00 00 00 00 97"
	for _, tt := range []struct {
		name, bytes string
		want        result
		err         error
	}{
		{"a card", found, resultFound, nil},
		{"none", "AA AA AA 96 69 00 04 00 00 80 84", resultNone, nil},
		{"alive", "AA AA AA 96 69 00 04 00 00 90 94", resultAlive, nil},
		{"not licensed", "AA AA AA 96 69 00 04 00 00 66 62", resultNoRight, nil},
		{"noise before it", "00 FF 96 69 AA " + found, resultFound, nil},
		{"more AA before it", "AA AA AA AA AA AA 96 69 00 04 00 00 90 94", resultAlive, nil},
		{"nothing", "", result{}, errMore},
		{"noise", "00 FF 12 34", result{}, errMore},
		{"the preamble alone", "AA AA AA 96 69", result{}, errMore},
		{"half of it", "AA AA AA 96 69 00 08 00 00 9F 00", result{}, errMore},
		{"a bit wrong", "AA AA AA 96 69 00 04 00 00 91 94", result{}, errChecksum},
		{"a broken one before a sound one", "AA AA AA 96 69 00 04 00 00 91 94 " + found, resultFound, nil},
		{"length 0", "AA AA AA 96 69 00 00 00", result{}, errForeign},
		{"length 65535", "AA AA AA 96 69 FF FF 00 00 90", result{}, errForeign},
		{"a card's content", "AA AA AA 96 69 05 08 00 00 90 01 00 04 00", result{}, errForeign},
	} {
		got, err := parse(unhex(t, tt.bytes))
		if got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%s: got %v, %v, want %v, %v", tt.name, got, err, tt.want, tt.err)
		}
	}
}

// TestNoRequestReadsACard looks for the commands that would, in the source.
func TestNoRequestReadsACard(t *testing.T) {
	for _, file := range []string{"frame.go", "reader.go"} {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, forbidden := range []string{"request{0x30", "request{0x20, 0x02", "request{48"} {
			if bytes.Contains(src, []byte(forbidden)) {
				t.Errorf("%s can ask %s", file, forbidden)
			}
		}
	}
}

// FuzzParse: whatever comes, an answer is only what stands there whole.
func FuzzParse(f *testing.F) {
	f.Add(unhex(f, "AA AA AA 96 69 00 08 00 00 9F 00 00 00 00 97"))
	f.Add(unhex(f, "AA AA AA AA 96 69 00 04 00 00 90 94"))
	f.Add(unhex(f, "AA AA AA 96 69 FF FF 00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parse(b)
		if err != nil {
			return
		}
		for n := 3; n < longest; n++ { // some frame with these status bytes is in it
			for i := range b {
				whole := headLength + n + 1
				if i+whole <= len(b) && bytes.HasPrefix(b[i:], preamble) && int(b[i+5])<<8|int(b[i+6]) == n+1 &&
					xor(b[i+5:i+whole]) == 0 && result(b[i+7:i+10]) == r {
					return
				}
			}
		}
		t.Errorf("% X: got %v from no frame", b, r)
	})
}
