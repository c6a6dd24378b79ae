package peripheral

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// osdpRecording returns the exchanges of a recording between two programs that
// share nothing with this one, without the marks.
func osdpRecording(t testing.TB, name string) (asked, answered [][]byte) {
	t.Helper()
	text, err := os.ReadFile("../../drivers/osdp/testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		b := unhex(t, strings.TrimSpace(line[1:]))[1:]
		if line[0] == '>' {
			asked = append(asked, b)
		} else {
			answered = append(answered, b)
		}
	}
	return asked, answered
}

func recordedReader(t testing.TB) *OSDPReader {
	return NewOSDPReader(OSDPConfig{
		Address:      1,
		Identity:     unhex(t, "5a4243010001000000000100"),
		Capabilities: unhex(t, "0104010204010301000404010502010601010801000901010a00020c00000d0001100200"),
		Random:       [8]byte(unhex(t, "1e2f4ea91f77b8db")),
	})
}

// TestOSDPReaderAnswersAsRecorded holds every byte of the reader, the rolling MACs
// included, against recordings of another one.
func TestOSDPReaderAnswersAsRecorded(t *testing.T) {
	for _, name := range []string{"plain.txt", "secure.txt"} {
		r := recordedReader(t)
		asked, answered := osdpRecording(t, name)
		cards := byte(0)
		for i, frame := range asked {
			want := answered[i]
			code := want[5]
			if want[4]&8 != 0 {
				code = want[5+int(want[5])]
			}
			if code == 0x50 {
				cards++
				r.Tell(0x50, 0, 0, 26, 0, 0, 0, cards, 0)
			}
			if got := r.answer(frame); !bytes.Equal(got, want) {
				t.Fatalf("%s, exchange %d: got % x, want % x", name, i, got, want)
			}
		}
		if cards != 4 {
			t.Errorf("%s: %d cards, want 4", name, cards)
		}
	}
}

func TestOSDPReaderRefuses(t *testing.T) {
	const poll1, poll2, poll3 = "53 01 08 00 05 60", "53 01 08 00 06 60", "53 01 08 00 07 60"
	whole := func(s string) []byte {
		b := unhex(t, s)
		crc := osdpCRC(b)
		return append(b, byte(crc), byte(crc>>8))
	}
	for _, test := range []struct {
		name   string
		frames []string
		want   string // the last answer
	}{
		{"ID", []string{"53 01 09 00 04 61 00"}, "53 81 14 00 04 45 5a 42 43 01 00 01 00 00 00 00 01 00"},
		{"a number that is not 0 first", []string{poll1}, "53 81 09 00 05 41 04"},
		{"a number left out", []string{"53 01 09 00 04 61 00", poll2}, "53 81 09 00 06 41 04"},
		{"a repeat", []string{"53 01 09 00 04 61 00", poll1, poll1}, "53 81 08 00 05 40"},
		{"the number of a repeat with another command", []string{"53 01 09 00 04 61 00", poll1, "53 01 09 00 05 62 00"}, "53 81 09 00 05 41 04"},
		{"1 follows 3", []string{"53 01 09 00 04 61 00", poll1, poll2, poll3, poll1}, "53 81 08 00 05 40"},
		{"an unknown command", []string{"53 01 08 00 04 aa"}, "53 81 09 00 04 41 03"},
		{"a secure command without a channel", []string{"53 01 0e 00 0c 02 15 60 01 02 03 04"}, "53 81 09 00 04 41 06"},
		{"a block that is longer than the frame", []string{"53 01 0a 00 0c 09 15 60"}, "53 81 09 00 04 41 02"},
		{"a block and nothing else", []string{"53 01 0a 00 0c 03 11 00"}, "53 81 09 00 04 41 02"},
		{"no code", []string{"53 01 07 00 04"}, ""},
	} {
		r := recordedReader(t)
		var got []byte
		for _, f := range test.frames {
			frame, _, ok := cutOSDP(whole(f))
			if got = nil; ok {
				got = r.answer(frame)
			}
		}
		want := []byte(nil)
		if test.want != "" {
			want = whole(test.want)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: got % x, want % x", test.name, got, want)
		}
	}
}

func FuzzOSDPReader(f *testing.F) {
	for _, name := range []string{"plain.txt", "secure.txt"} {
		asked, _ := osdpRecording(f, name)
		f.Add(bytes.Join(asked[:4], []byte{0xFF}))
	}
	f.Fuzz(func(t *testing.T, received []byte) {
		r := recordedReader(t)
		for {
			frame, rest, ok := cutOSDP(received)
			if !ok {
				return
			}
			if len(rest) >= len(received) {
				t.Fatal("cutting makes no progress")
			}
			received = rest
			if answer := r.answer(frame); osdpLength(answer) != len(answer) {
				t.Errorf("% x was answered with % x, which is no frame", frame, answer)
			}
		}
	})
}
