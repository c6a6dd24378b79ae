package longan

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// seedMessages adds the golden messages of a kind, plain and compressed.
func seedMessages(f *testing.F, pattern string) {
	f.Helper()
	files, err := filepath.Glob("testdata/golden/" + pattern)
	if err != nil || len(files) == 0 {
		f.Fatalf("no golden files match %s: %v", pattern, err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		if data[0] == '{' {
			f.Add(deflated(f, data))
		}
	}
}

// wantSentinel fails when an error is none of those a receiver acts on.
func wantSentinel(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrTooLarge) && !errors.Is(err, ErrVersion) {
		t.Errorf("error %v wraps no sentinel of the contract", err)
	}
	if len(err.Error()) > 1000 {
		t.Errorf("an error of %d bytes: %.200s…", len(err.Error()), err)
	}
}

// roundTrip checks that a payload which decodes can be encoded, that the result
// decodes to the same, and that a second encoding is the same bytes.
func roundTrip[T any](t *testing.T, payload []byte, decode func([]byte) (T, error), encode func(T) ([]byte, error)) {
	t.Helper()
	first, err := decode(payload)
	if err != nil {
		wantSentinel(t, err)
		return
	}
	packed, err := encode(first)
	if errors.Is(err, ErrTooLarge) && len(payload) > MaxPayload/8 {
		return // written out canonically, a message at the limit may grow past it
	}
	if err != nil {
		t.Fatalf("encode %+v: %v", first, err)
	}
	if len(packed) > MaxPayload {
		t.Fatalf("encoded %d bytes, limit %d", len(packed), MaxPayload)
	}
	second, err := decode(packed)
	if err != nil {
		t.Fatalf("decode what was encoded, %q: %v", packed, err)
	}
	if !reflect.DeepEqual(first, second) {
		t.Fatalf("decoded, encoded, decoded:\n got %+v\nwant %+v", second, first)
	}
	again, err := encode(second)
	if err != nil || !bytes.Equal(packed, again) {
		t.Fatalf("encoded twice:\n got %q, %v\nwant %q", again, err, packed)
	}
}

func FuzzDecodeBatch(f *testing.F) {
	seedMessages(f, "batch-*")
	f.Fuzz(func(t *testing.T, payload []byte) {
		roundTrip(t, payload, DecodeBatch, (*Batch).Encode)
	})
}

// stored returns data as a message of encoding 0x01 in one stored block: a
// compressor would make the fuzzer a hundred times slower.
func stored(data []byte) []byte {
	n := uint16(len(data))
	head := binary.LittleEndian.AppendUint16([]byte{encodingDeflate1, 1}, n)
	return append(binary.LittleEndian.AppendUint16(head, ^n), data...)
}

// FuzzDecodeInflated is FuzzDecodeBatch behind the compression, where a mutated
// message is still a DEFLATE stream.
func FuzzDecodeInflated(f *testing.F) {
	seedMessages(f, "batch-*.json")
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16-1 {
			return // more than a stored block holds
		}
		roundTrip(t, stored(data), DecodeBatch, (*Batch).Encode)
	})
}

func FuzzDecodeAck(f *testing.F) {
	seedMessages(f, "ack.json")
	f.Fuzz(func(t *testing.T, payload []byte) {
		roundTrip(t, payload, DecodeAck, (*Ack).Encode)
	})
}

func FuzzDecodeStatus(f *testing.F) {
	seedMessages(f, "status-*")
	f.Fuzz(func(t *testing.T, payload []byte) {
		roundTrip(t, payload, DecodeStatus, (*Status).Encode)
	})
}

func FuzzParseEvent(f *testing.F) {
	seedMessages(f, "event-*.json")
	f.Fuzz(func(t *testing.T, data []byte) {
		roundTrip(t, data, ParseEvent, func(e Event) ([]byte, error) { return e.AppendJSON(nil), e.Validate() })
	})
}

func FuzzParseTopic(f *testing.F) {
	f.Add("longan/v1/621202/621202104-01/up/alarm")
	f.Add("longan/v1/621202/621202104201-07/status")
	f.Add(UpFilter(""))
	f.Fuzz(func(t *testing.T, name string) {
		topic, err := ParseTopic(name)
		if err != nil {
			wantSentinel(t, err)
			return
		}
		if got := topic.String(); got != name {
			t.Errorf("ParseTopic(%q).String() = %q", name, got)
		}
		if strings.ContainsAny(name, "+#\x00 ") || strings.ToLower(name) != name {
			t.Errorf("ParseTopic(%q): accepted a character that no topic has", name)
		}
	})
}

func FuzzParseDeviceID(f *testing.F) {
	f.Add("621202104-01")
	f.Add("621202104201-07")
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDeviceID(s)
		if err != nil {
			wantSentinel(t, err)
			if DeviceID(s).County() != "" || DeviceID(s).Township() != "" {
				t.Errorf("%q is no device id but has a county", s)
			}
			return
		}
		if string(d) != s || !strings.HasPrefix(s, d.Township()) || !strings.HasPrefix(d.Township(), d.County()) {
			t.Errorf("ParseDeviceID(%q) = %q of county %q, township %q", s, d, d.County(), d.Township())
		}
		if !ValidName(s) {
			t.Errorf("ParseDeviceID(%q): accepted what is no name", s)
		}
	})
}
