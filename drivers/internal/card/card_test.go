package card

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// pack makes bytes of a text of zeros and ones.
func pack(bits string) []byte {
	data := make([]byte, (len(bits)+7)/8)
	for i, c := range bits {
		if c == '1' {
			data[i/8] |= 0x80 >> (i % 8)
		}
	}
	return data
}

func TestCheck(t *testing.T) {
	for _, test := range []struct {
		name, bits string
		want       Format
	}{
		{"facility 12, card 34567", "10000110010000111000001111", OK},
		{"all zero, 26", "00000000000000000000000001", OK},
		{"all one, 26", "01111111111111111111111111", OK},
		{"0x12345678, 34", "1000100100011010001010110011110001", OK},
		{"all zero, 34", "0000000000000000000000000000000001", OK},
		{"first parity bit wrong", "00000110010000111000001111", Parity},
		{"last parity bit wrong", "10000110010000111000001110", Parity},
		{"a bit of the first half flipped", "10100110010000111000001111", Parity},
		{"a bit of the second half flipped", "10000110010000111000011111", Parity},
		{"26 zeros", strings.Repeat("0", 26), Parity},
		{"26 ones", strings.Repeat("1", 26), Parity},
		{"34 ones", strings.Repeat("1", 34), Parity},
		{"25 bits", strings.Repeat("0", 24) + "1", Unknown},
		{"37 bits", strings.Repeat("0", 37), Unknown},
		{"none", "", Unknown},
	} {
		if got := Check(pack(test.bits), len(test.bits)); got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}

func TestHashKeepsTheNumberAndTellsCardsApart(t *testing.T) {
	key := []byte("0123456789abcdef")
	h, err := NewHasher(key)
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewHasher([]byte("0123456789abcdeg"))
	if err != nil {
		t.Fatal(err)
	}
	card := pack("10000110010000111000001111")
	first := string(h.Card(card, 26, OK).Data)
	// Computed with another implementation: HMAC-SHA-256 of 00 1a 86 43 83 c0.
	if want := `{"card":"` + witness + `","bits":26,"format":"ok"}`; first != want {
		t.Errorf("got  %s\nwant %s", first, want)
	}
	if !json.Valid([]byte(first)) {
		t.Errorf("%s is not JSON", first)
	}
	dirty := bytes.Clone(card)
	dirty[3] |= 0x3F // behind the 26 bits
	if got := string(h.Card(dirty, 26, OK).Data); got != first {
		t.Errorf("bits behind the last change the hash: %s, %s", first, got)
	}
	for name, got := range map[string][]byte{
		"another card":   h.Card(pack("10000110010000111000001110"), 26, OK).Data,
		"another length": h.Card(card, 25, OK).Data,
		"another key":    other.Card(card, 26, OK).Data,
	} {
		if bytes.Equal(got[:25], []byte(first)[:25]) {
			t.Errorf("%s has the same hash", name)
		}
	}
	key[0]++ // the caller may wipe its own
	if got := string(h.Card(card, 26, OK).Data); got != first {
		t.Error("the hasher shares the caller's key")
	}
}

func TestKeysAreCountedAndNothingElse(t *testing.T) {
	if got := string(Keys(4).Data); got != `{"keys":4}` {
		t.Errorf("got %s", got)
	}
}

func TestACardThatIsHeldIsOnePresentation(t *testing.T) {
	h, err := NewHasher([]byte("0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	one, other := pack("10000110010000111000001111"), pack("00000000000000000000000001")
	var held Held
	var now time.Time
	for i, step := range []struct {
		after time.Duration
		card  []byte
		still bool
	}{
		{time.Second, one, false},
		{time.Second, one, true},
		{Hold - 1, one, true}, // since it was seen last, not first
		{Hold - 1, one, true},
		{Hold, one, false},
		{time.Second, other, false},
		{time.Second, one, false},
	} {
		now = now.Add(step.after)
		o := h.Card(step.card, 26, OK)
		if got := held.Still(o, now); got != step.still {
			t.Errorf("step %d: got %v, want %v", i, got, step.still)
		}
		if !step.still {
			held.Told(o, now)
		}
	}
	var lost Held
	for range 2 { // what was not stored was not told
		if lost.Still(h.Card(one, 26, OK), now) {
			t.Error("a card that was never told is held")
		}
	}
}

func TestKeyIsRefused(t *testing.T) {
	for _, key := range [][]byte{nil, {}, make([]byte, 15)} {
		if _, err := NewHasher(key); err == nil {
			t.Errorf("a key of %d bytes was taken", len(key))
		}
	}
}

// witness is what Python's hmac module says.
const witness = "43682018c2b5a294"
