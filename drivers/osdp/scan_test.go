package osdp

import (
	"bytes"
	"errors"
	"testing"
)

// The answer to a poll with number 2 of the reader at address 1, and what stands
// in the way of finding it.
func TestScan(t *testing.T) {
	const ack = "53 81 08 00 06 40 6a 60"
	other := func(s string) string { return string(crced(t, s)) }
	sound := string(unhex(t, ack))
	echo := other("53 01 08 00 06 60")
	for _, test := range []struct {
		name, received string
		found          bool
		patient        error // what is wrong when nothing was found, while more may come
		last           error // and when the deadline has passed; nil is that it is found then
	}{
		{"the answer alone", sound, true, nil, nil},
		{"a mark before it", "\xff" + sound, true, nil, nil},
		{"two marks", "\xff\xff" + sound, true, nil, nil},
		{"noise before it", "\x00\x53\x53\x81" + sound, true, nil, nil},
		{"noise after it", sound + "\x12\x34", true, nil, nil},
		{"the echo of the command", "\xff" + echo + "\xff" + sound, true, nil, nil},
		{"the echo alone", "\xff" + echo, false, errMore, errMore},
		{"nothing", "", false, errMore, errMore},
		{"half of it", sound[:4], false, errMore, errMore},
		{"another reader's", other("53 82 08 00 06 40"), false, errMore, errMore},
		{"another reader's, then it", other("53 82 08 00 06 40") + sound, true, nil, nil},
		{"an earlier number", other("53 81 08 00 05 40"), false, errLate, errLate},
		{"an earlier number, then it", other("53 81 08 00 05 40") + sound, true, nil, nil},
		{"a bit flipped", "\x53\x81\x08\x00\x06\x41\x6a\x60", false, errChecksum, errChecksum},
		{"a bit flipped, then it", "\x53\x81\x08\x00\x06\x41\x6a\x60" + sound, true, nil, nil},
		{"two readers at once", sound[:5] + string(unhex(t, "53 82 08 00 06 40"))[3:] + sound[3:], false, errChecksum, errChecksum},
		{"a length that lies", "\x53\x81\x20\x00\x06" + sound, false, errMore, nil},
		{"a length of 0", "\x53\x81\x00\x00\x06" + sound, true, nil, nil},
		{"a length of 65535", "\x53\x81\xff\xff\x06" + sound, true, nil, nil},
		{"a frame within a card", other("53 81 14 00 06 50 00 00 40 00" + hexed(sound)), true, nil, nil},
		{"BUSY", other("53 81 08 00 04 79"), true, nil, nil},
		{"a checksum instead of a CRC", "\x53\x81\x07\x00\x02\x40\xe3", true, nil, nil},
		{"a wrong checksum", "\x53\x81\x07\x00\x02\x40\xe4", false, errChecksum, errChecksum},
	} {
		s := session{seq: 2}
		f, err := scan([]byte(test.received), 1, true, s.wants)
		if (f != nil) != test.found || !errors.Is(err, test.patient) {
			t.Errorf("%s: got %v, %v, want %v, %v", test.name, f, err, test.found, test.patient)
		}
		f, err = scan([]byte(test.received), 1, false, s.wants)
		if (f != nil) != (test.last == nil) || test.last != nil && !errors.Is(err, test.last) {
			t.Errorf("%s, after the deadline: got %v, %v, want %v", test.name, f, err, test.last)
		}
	}
	// What is within a card is its data, whether the frame is whole yet or not.
	card := other("53 81 14 00 06 50 00 00 40 00" + hexed(sound))
	if f, err := scan([]byte(card), 1, true, (&session{seq: 2}).wants); f == nil || f.code != replyRaw {
		t.Errorf("a frame within a card: got %v, %v", f, err)
	}
	if f, _ := scan([]byte(card[:len(card)-1]), 1, true, (&session{seq: 2}).wants); f != nil {
		t.Error("a frame within a card that isn't whole yet was taken")
	}
}

func hexed(s string) string {
	const digits = "0123456789abcdef"
	var b bytes.Buffer
	for _, c := range []byte(s) {
		b.WriteByte(digits[c>>4])
		b.WriteByte(digits[c&15])
	}
	return b.String()
}
