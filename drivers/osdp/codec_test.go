package osdp

import (
	"bytes"
	"crypto/aes"
	"encoding/hex"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/longan-edge/longan"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The examples that annex E of the standard prints.
func TestAnnexEChecksums(t *testing.T) {
	for _, test := range []struct {
		frame frame
		want  string
	}{
		{frame{address: broadcast, crc: true, code: 0x6E, data: unhex(t, "0080250000")}, "53 7f 0d 00 04 6e 00 80 25 00 00 6e 38"},
		{frame{crc: true, code: cmdID, data: []byte{0}}, "53 00 09 00 04 61 00 c0 66"},
		{frame{address: broadcast, code: 0x6E, data: unhex(t, "0080250000")}, "53 7f 0c 00 00 6e 00 80 25 00 00 0f"},
		{frame{code: cmdID, data: []byte{0}}, "53 00 08 00 00 61 00 44"},
	} {
		want := unhex(t, test.want)
		if got := test.frame.bytes(); !bytes.Equal(got, want) {
			t.Errorf("got % x, want % x", got, want)
		}
	}
}

func TestAnnexESecureChannel(t *testing.T) {
	a, b := unhex(t, "b0b1b2b3b4b5b6b7"), unhex(t, "a0a1a2a3a4a5a6a7")
	c, err := newChannel(defaultKey(), a)
	if err != nil {
		t.Fatal(err)
	}
	// A session key shows itself by what it encrypts; encrypting with a cipher
	// made from the printed key must give the same.
	for name, test := range map[string]struct {
		got  interface{ Encrypt(dst, src []byte) }
		want string
	}{
		"S-ENC":  {c.enc, "bf8dc2a8329acb8c67c6d0cd9a451682"},
		"S-MAC1": {c.mac1, "5e86c676603bdee2d8beafe178637332"},
		"S-MAC2": {c.mac2, "6fda86e857777e81132035758239172e"},
	} {
		if !sameCipher(t, test.got, unhex(t, test.want)) {
			t.Errorf("%s is not the printed one", name)
		}
	}
	if got, want := c.cryptogram(a, b), unhex(t, "fde5d2f428ec16312471ea3c02bd7796"); !bytes.Equal(got, want) {
		t.Errorf("client cryptogram: got % x, want % x", got, want)
	}
	server := c.cryptogram(b, a)
	if want := unhex(t, "26d3356e07762d262801fc8e6665a891"); !bytes.Equal(server, want) {
		t.Errorf("server cryptogram: got % x, want % x", server, want)
	}
	if got, want := c.begin(server), unhex(t, "b2a30057eb98ba2229ec1f875662b524"); !bytes.Equal(got, want) {
		t.Errorf("R-MAC-I: got % x, want % x", got, want)
	}
}

// recorded returns the frames of a recording in testdata, without their marks.
// The bytes were recorded between two programs that share nothing with this
// one: "> " is what the panel sends, "< " what the reader answers.
func recorded(t testing.TB, name string) (raw [][]byte, frames []*frame) {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		b := unhex(t, strings.TrimSpace(line[1:]))
		if b[0] != mark {
			t.Fatalf("%s: no mark: % x", name, b)
		}
		f, err := parseFrame(b[1:])
		if err != nil {
			t.Fatalf("%s: % x: %v", name, b, err)
		}
		if f.reply != (line[0] == '<') {
			t.Errorf("%s: % x: reply is %v", name, b, f.reply)
		}
		raw, frames = append(raw, b[1:]), append(frames, f)
	}
	return raw, frames
}

func TestRecordedFramesAreWrittenAsTheyWereRead(t *testing.T) {
	for name, count := range map[string]int{"plain.txt": 70, "secure.txt": 74} {
		raw, frames := recorded(t, name)
		if len(raw) != count {
			t.Errorf("%s: %d frames, want %d", name, len(raw), count)
		}
		for i, f := range frames {
			if got := f.bytes(); !bytes.Equal(got, raw[i]) {
				t.Errorf("%s: got % x, want % x", name, got, raw[i])
			}
		}
	}
}

// TestRecordedSecureChannel goes through the recorded exchange as the panel: what
// it would send must be what was sent, down to the last MAC, and what the reader
// answered must be taken.
func TestRecordedSecureChannel(t *testing.T) {
	raw, frames := recorded(t, "secure.txt")
	h, err := newHandshake(defaultKey(), keyDefault, frames[0].data)
	if err != nil {
		t.Fatal(err)
	}
	same := func(i int, f *frame) {
		t.Helper()
		f.address, f.seq, f.crc = frames[i].address, frames[i].seq, frames[i].crc
		if got := f.bytes(); !bytes.Equal(got, raw[i]) {
			t.Fatalf("frame %d: got % x, want % x", i, got, raw[i])
		}
	}
	same(0, h.challenge())
	if err := h.challenged(frames[1]); err != nil {
		t.Fatal(err)
	}
	same(2, h.prove())
	c, err := h.proved(frames[3])
	if err != nil {
		t.Fatal(err)
	}
	var cards []string
	macs := 0
	for i := 4; i < len(frames); i += 2 {
		f := &frame{address: frames[i].address, seq: frames[i].seq, crc: true, code: frames[i].code}
		if f.code == cmdID || f.code == cmdCap {
			f.data = []byte{0}
		}
		c.seal(f)
		same(i, f)
		if err := c.open(frames[i+1]); err != nil {
			t.Fatalf("frame %d: %v", i+1, err)
		}
		macs += 2
		if got, code := frames[i+1].data, frames[i+1].code; code == replyRaw {
			bits, n, err := parseCard(got)
			if err != nil || n != 26 {
				t.Errorf("card of % x: %d bits, %v", got, n, err)
			}
			cards = append(cards, hex.EncodeToString(bits))
		}
	}
	if macs != 70 {
		t.Errorf("%d MACs, want 70", macs)
	}
	if want := []string{"00000100", "00000200", "00000300", "00000400"}; !slices.Equal(cards, want) {
		t.Errorf("cards: got %q, want %q", cards, want)
	}
	id, err := parseIdentity(frames[5].data)
	if got := id.String(); err != nil || got != "5A4243-1.0 fw 0.1.0" {
		t.Errorf("identity: %q, %v", got, err)
	}
	if got := parseCapabilities(frames[7].data); got[capInputs] != (capability{4, 1}) || got[capSecure] != (capability{1, 1}) {
		t.Errorf("capabilities: %v", got)
	}
}

func TestChannelRefuses(t *testing.T) {
	pair := func() (panel, reader *channel) {
		a, b := []byte("12345678"), []byte("abcdefgh")
		panel, err := newChannel(defaultKey(), a)
		if err != nil {
			t.Fatal(err)
		}
		panel.begin(panel.cryptogram(b, a))
		twin := *panel
		return panel, &twin
	}
	// answer is what the reader makes of an answer, which only seals the other
	// way round.
	answer := func(reader *channel, data []byte) *frame {
		f := &frame{address: 1, reply: true, seq: 1, crc: true, code: replyACK, block: []byte{scs16}}
		if len(data) > 0 {
			f.code, f.block, f.data = replyRaw, []byte{scs18}, reader.encrypt(data, reader.command)
		}
		reader.reply = reader.mac(f.head(macSize), reader.command)
		f.mac = reader.reply[:macSize]
		parsed, err := parseFrame(f.bytes())
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	card := unhex(t, "00001a00864383c0")
	for _, test := range []struct {
		name  string
		spoil func(f *frame) // the second answer
		want  error
	}{
		{"nothing wrong", func(*frame) {}, nil},
		{"a bit of the MAC flipped", func(f *frame) { f.mac[3] ^= 1 }, errMAC},
		{"a bit of the data flipped", func(f *frame) { f.data[0] ^= 1 }, errMAC}, // shares memory with what is signed
		{"no block", func(f *frame) { f.block = nil }, errUnprotected},
		{"the block of a command", func(f *frame) { f.block[0] = scs17 }, errUnprotected},
		{"said to be in the clear", func(f *frame) { f.block[0] = scs16 }, errMAC},
	} {
		panel, reader := pair()
		poll := &frame{address: 1, seq: 1, crc: true, code: cmdPoll}
		panel.seal(poll)
		reader.command = panel.command
		f := answer(reader, card)
		test.spoil(f)
		before := panel.reply
		if err := panel.open(f); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, err, test.want)
		}
		if test.want != nil && panel.reply != before {
			t.Errorf("%s: the channel moved on", test.name)
		}
		if test.want == nil && !bytes.Equal(f.data, card) {
			t.Errorf("%s: got % x", test.name, f.data)
		}
	}

	panel, reader := pair()
	panel.seal(&frame{code: cmdPoll})
	reader.command = panel.command
	empty := &frame{address: 1, reply: true, seq: 1, crc: true, code: replyACK, block: []byte{scs18}}
	sum := reader.mac(empty.head(macSize), reader.command)
	empty.mac = sum[:macSize]
	if parsed, err := parseFrame(empty.bytes()); err != nil || panel.open(parsed) != nil {
		t.Errorf("block 18 without data was refused: %v", err)
	}

	panel, reader = pair()
	panel.seal(&frame{code: cmdPoll})
	reader.command = panel.command
	old := answer(reader, nil)
	if err := panel.open(old); err != nil {
		t.Fatal(err)
	}
	panel.seal(&frame{code: cmdPoll})
	if err := panel.open(old); !errors.Is(err, errMAC) {
		t.Errorf("a replayed answer: got %v, want errMAC", err)
	}
}

func TestPaddingIsChecked(t *testing.T) {
	c, err := newChannel(defaultKey(), []byte("12345678"))
	if err != nil {
		t.Fatal(err)
	}
	for n := range 40 {
		data := bytes.Repeat([]byte{0x80}, n)
		got, err := c.decrypt(c.encrypt(data, c.reply), c.reply)
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes: got % x, %v", n, got, err)
		}
	}
	zeros := make([]byte, 32)
	sealed := c.encrypt(zeros, c.reply)[:32] // its padding cut off
	for _, data := range [][]byte{nil, {1, 2, 3}, sealed, sealed[:16]} {
		if got, err := c.decrypt(data, c.reply); !errors.Is(err, errPadding) {
			t.Errorf("% x: got % x, %v", data, got, err)
		}
	}
}

func TestParseFrameRefuses(t *testing.T) {
	for _, test := range []struct {
		name, frame string
		want        error
	}{
		{"sound", "53 81 08 00 06 40 6a 60", nil},
		{"sound with a checksum", "53 80 07 00 00 40 e6", nil},
		{"empty", "", errMore},
		{"a head alone", "53 81 08 00", errMore},
		{"no SOM", "52 81 08 00 06 40 6a 60", errStart},
		{"cut short", "53 81 08 00 06 40 6a", errMore},
		{"a byte too many", "53 81 08 00 06 40 6a 60 00", errLength},
		{"length below 8", "53 81 07 00 06 40 6a", errLength},
		{"length 0", "53 81 00 00 06 40 6a 60", errLength},
		{"length huge", "53 81 ff ff 06 40 6a 60", errLength},
		{"reserved bits", "53 81 08 00 16 40 6a 60", errControl},
		{"CRC wrong", "53 81 08 00 06 40 6a 61", errChecksum},
		{"CRC where a checksum is announced", "53 81 08 00 02 40 6a 60", errChecksum},
		{"checksum where a CRC is announced", "53 80 08 00 04 40 e6 00", errChecksum},
	} {
		if _, err := parseFrame(unhex(t, test.frame)); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, err, test.want)
		}
	}
	// These have a checksum that is right.
	for _, test := range []struct{ name, body string }{
		{"block of length 0", "53 81 0a 00 0e 00 15 40"},
		{"block of length 1", "53 81 0a 00 0e 01 15 40"},
		{"block longer than the frame", "53 81 0a 00 0e 09 15 40"},
		{"block with nothing after it", "53 81 0a 00 0e 03 15 40"},
		{"no room for the MAC", "53 81 0d 00 0e 02 16 40 01 02 03"},
	} {
		b := unhex(t, test.body)
		crc := crc16(b)
		if _, err := parseFrame(append(b, byte(crc), byte(crc>>8))); !errors.Is(err, errLength) {
			t.Errorf("%s: got %v, want %v", test.name, err, errLength)
		}
	}
}

func TestPayloads(t *testing.T) {
	for _, test := range []struct {
		name, data string
		n          int
		ok         bool
	}{
		{"26 bits", "00 00 1a 00 86 43 83 c0", 26, true},
		{"more bytes than bits", "00 00 01 00 86 43 83 c0", 1, true},
		{"bit count above the bytes", "00 00 21 00 86 43 83 c0", 0, false},
		{"bit count 65535", "00 00 ff ff 86 43 83 c0", 0, false},
		{"no bits", "00 00 00 00", 0, false},
		{"cut short", "00 00 1a", 0, false},
		{"empty", "", 0, false},
	} {
		if _, n, err := parseCard(unhex(t, test.data)); n != test.n || (err == nil) != test.ok {
			t.Errorf("card, %s: got %d, %v", test.name, n, err)
		}
	}
	for _, test := range []struct {
		data string
		n    int
		ok   bool
	}{{"00 04 31 32 33 34", 4, true}, {"00 00", 0, true}, {"00 05 31 32", 0, false}, {"00", 0, false}} {
		data := unhex(t, test.data)
		if n, err := parseKeys(data); n != test.n || (err == nil) != test.ok {
			t.Errorf("keys %s: got %d, %v", test.data, n, err)
		}
		if test.ok && bytes.ContainsAny(data[2:], "0123456789") {
			t.Errorf("keys %s: the digits are still there", test.data)
		}
	}
	if tamper, power, err := parseLocal([]byte{1, 0}); tamper != longan.Active || power != longan.Normal || err != nil {
		t.Errorf("LSTATR: got %v, %v, %v", tamper, power, err)
	}
	if _, _, err := parseLocal([]byte{1}); err == nil {
		t.Error("LSTATR of one byte was taken")
	}
	want := []longan.PointState{longan.Normal, longan.Active, longan.Fault, longan.Fault, longan.Fault, longan.Unknown, longan.Unknown}
	if got := parseInputs([]byte{0, 1, 2, 3, 4, 5, 255}); !slices.Equal(got, want) {
		t.Errorf("ISTATR: got %v", got)
	}
}

// sameCipher reports whether c encrypts as AES with that key does.
func sameCipher(t *testing.T, c interface{ Encrypt(dst, src []byte) }, key []byte) bool {
	t.Helper()
	want, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	var a, b [16]byte
	c.Encrypt(a[:], []byte("any sixteen byte"))
	want.Encrypt(b[:], []byte("any sixteen byte"))
	return bytes.Equal(a[:], b[:])
}
