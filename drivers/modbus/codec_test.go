package modbus

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// unhex reads bytes written as in a trace.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// must returns a request that is known to be right.
func must(t testing.TB) func(request, error) request {
	return func(r request, err error) request {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
}

func TestRecordedFrames(t *testing.T) {
	text, err := os.ReadFile("testdata/vectors.txt")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for line := range strings.Lines(string(text)) {
		name, frames, ok := strings.Cut(line, ": ")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		sent, answer, _ := strings.Cut(frames, "->")
		for _, frame := range [][]byte{unhex(t, strings.TrimSpace(sent)), unhex(t, strings.TrimSpace(answer))} {
			if len(frame) == 0 {
				continue
			}
			seen++
			slave, pdu, err := parseFrame(frame)
			if err != nil {
				t.Errorf("%s: parse % x: %v", name, frame, err)
			}
			if got := appendFrame(nil, slave, pdu); !bytes.Equal(got, frame) {
				t.Errorf("%s: got % x, want % x", name, got, frame)
			}
		}
	}
	if seen != 7 {
		t.Errorf("got %d frames, want 7", seen)
	}
}

func TestRequests(t *testing.T) {
	for _, test := range []struct {
		name   string
		make   func() (request, error)
		want   string // the request's frame
		answer string
		pdu    string // of the answer, where it is one
		err    error
	}{
		{"inputs", func() (request, error) { return readBits(1, ReadDiscreteInputs, 0, 8) },
			"01 02 00 00 00 08 79 cc", "01 02 01 09 61 8e", "02 01 09", nil},
		{"exception", func() (request, error) { return readBits(1, 3, 0x63, 1) },
			"01 03 00 63 00 01 74 14", "01 83 02 c0 f1", "", Exception(2)},
		{"coil on", func() (request, error) { return writeCoil(1, 0, true) },
			"01 05 00 00 ff 00 8c 3a", "01 05 00 00 ff 00 8c 3a", "05 00 00 ff 00", nil},
		// The PDUs of the next three stand in the specification, 6.1, 6.2, 6.11.
		{"coils read", func() (request, error) { return readBits(1, ReadCoils, 0x13, 0x13) },
			"01 01 00 13 00 13 8c 02", "01 01 03 cd 6b 05 42 82", "01 03 cd 6b 05", nil},
		{"22 inputs", func() (request, error) { return readBits(1, ReadDiscreteInputs, 0xC4, 0x16) },
			"01 02 00 c4 00 16 b8 39", "01 02 03 ac db 35 22 88", "02 03 ac db 35", nil},
		{"coils", func() (request, error) {
			return writeCoils(1, 0x13, []bool{true, false, true, true, false, false, true, true, true, false})
		}, "01 0f 00 13 00 0a 02 cd 01 72 cb", "01 0f 00 13 00 0a 24 09", "0f 00 13 00 0a", nil},
	} {
		r := must(t)(test.make())
		if got := r.frame(); !bytes.Equal(got, unhex(t, test.want)) {
			t.Errorf("%s: got % x, want %s", test.name, got, test.want)
		}
		pdu, err := r.match(unhex(t, test.answer))
		if !bytes.Equal(pdu, unhex(t, test.pdu)) || !errors.Is(err, test.err) {
			t.Errorf("%s: match: got % x, %v, want %s, %v", test.name, pdu, err, test.pdu, test.err)
		}
	}
}

func TestBitsOfTheSpecification(t *testing.T) {
	got := bits(unhex(t, "02 03 ac db 35"), 22)
	want := strings.Split("0 0 1 1 0 1 0 1 1 1 0 1 1 0 1 1 1 0 1 0 1 1", " ")
	for i, on := range got {
		if on != (want[i] == "1") {
			t.Errorf("input %d: got %v", 197+i, on)
		}
	}
}

func TestRequestLimits(t *testing.T) {
	for _, test := range []struct {
		name string
		make func() (request, error)
		want string
	}{
		{"broadcast", func() (request, error) { return writeCoil(0, 0, true) }, "1 to 247"},
		{"reserved slave", func() (request, error) { return readBits(248, ReadCoils, 0, 1) }, "1 to 247"},
		{"no bits", func() (request, error) { return readBits(1, ReadCoils, 0, 0) }, "1 to 2000"},
		{"2001 bits", func() (request, error) { return readBits(1, ReadCoils, 0, 2001) }, "1 to 2000"},
		{"1969 coils", func() (request, error) { return writeCoils(1, 0, make([]bool, 1969)) }, "1 to 1968"},
		{"past the end", func() (request, error) { return readBits(1, ReadCoils, 65535, 2) }, "1 to 65536"},
		{"before the start", func() (request, error) { return writeCoil(1, -1, true) }, "1 to 65536"},
	} {
		if _, err := test.make(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
	}
	for _, largest := range []func() (request, error){
		func() (request, error) { return readBits(247, ReadCoils, 65536-2000, 2000) },
		func() (request, error) { return writeCoils(1, 0, make([]bool, 1968)) },
	} {
		if r := must(t)(largest()); len(r.frame()) > MaxFrame || r.frameLength() > MaxFrame {
			t.Errorf("got %d and %d bytes, want at most %d", len(r.frame()), r.frameLength(), MaxFrame)
		}
	}
}

func TestExceptionNames(t *testing.T) {
	for e, want := range map[Exception]string{
		2: "exception 2 (illegal data address)", 4: "exception 4 (server device failure)", 99: "exception 99",
	} {
		if got := e.Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestBitsSurvivePacking(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(rapid.Bool(), 1, maxReadBits).Draw(t, "bits")
		if got := unpackBits(packBits(want), len(want)); !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

func TestFlippedBitIsNeverAnAnswer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, err := readBits(byte(rapid.IntRange(1, 247).Draw(t, "slave")), ReadDiscreteInputs, 0, 16)
		if err != nil {
			t.Fatal(err)
		}
		data := rapid.SliceOfN(rapid.Byte(), 2, 2).Draw(t, "data")
		frame := appendFrame(nil, r.slave, append(bytes.Clone(r.prefix), data...))
		bit := rapid.IntRange(0, len(frame)*8-1).Draw(t, "bit")
		frame[bit/8] ^= 1 << (bit % 8)
		if pdu, _, err := r.scan(frame, len(frame), false); !errors.Is(err, errMore) {
			t.Errorf("% x: got % x, %v", frame, pdu, err)
		}
	})
}
