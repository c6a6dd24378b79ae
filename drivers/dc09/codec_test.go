package dc09

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// Published and recorded frames; the CRC and the length of each were computed by
// programs nobody here wrote.
var sound = []string{
	`F4D20029"SIA-DCS"0001RF3L77#1234[#1234|NRR|Atest]`,
	`96ED0016"SIA-DCS"0001L0#1234[]`,
	`E4410025"NAK"0000R0L0A0[]_16:20:01,09-24-2025`,
}

// exchange is a recorded request and its answer.
type exchange struct{ name, request, answer string }

func recorded(t testing.TB, file string) (all []exchange) {
	t.Helper()
	text, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	unescape := strings.NewReplacer(`\n`, "\n", `\r`, "\r")
	for line := range strings.Lines(string(text)) {
		switch line = strings.TrimSuffix(line, "\n"); {
		case line == "" || line[0] == '#':
		case line[0] == '>':
			all[len(all)-1].request = unescape.Replace(line[2:])
		case line[0] == '<':
			all[len(all)-1].answer = unescape.Replace(line[2:])
		default:
			all = append(all, exchange{name: line})
		}
	}
	if len(all) == 0 {
		t.Fatal("nothing is recorded")
	}
	return all
}

func TestPublishedFrames(t *testing.T) {
	for _, frame := range sound {
		body, err := openFrame([]byte(frame))
		if err != nil {
			t.Errorf("%s: %v", frame, err)
			continue
		}
		if got := string(appendFrame(nil, string(body))); got != "\n"+frame+"\r" {
			t.Errorf("got %q, want %q", got, frame)
		}
	}
}

func TestOpenFrame(t *testing.T) {
	good := `1523003B"SIA-DCS"0001R0L0#1234[#1234|Nri1/BA01]_10:29:15,11-23-2026`
	for _, test := range []struct {
		name, frame string
		want        error
	}{
		{"sound", good, nil},
		{"lower case", "1523003b" + good[8:], nil},
		{"CRC wrong", "0523" + good[4:], errChecksum},
		{"one bit wrong", strings.Replace(good, "BA01", "BA03", 1), errChecksum},
		{"length one short", good[:7] + "A" + good[8:], errLength},
		{"length of more", good[:4] + "0FFF" + good[8:], errLength},
		{"cut short", good[:40], errLength},
		{"something behind", good + "x", errLength},
		{"no hex", "15G3" + good[4:], errHead},
		{"a signed length", "1523+03B" + good[8:], errHead},
		{"head alone", good[:8], errShort},
		{"nothing", "", errShort},
	} {
		if _, err := openFrame([]byte(test.frame)); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, err, test.want)
		}
	}
}

func TestSplitter(t *testing.T) {
	long := strings.Repeat("x", maxFrame+1)
	for _, test := range []struct {
		name  string
		bytes string
		want  string // frames, joined by bars
		lost  int
	}{
		{"one", "\nA\r", "A", 0},
		{"two at once", "\nA\r\nB\r", "A|B", 0},
		{"no line feed", "A\rB\r", "A|B", 0},
		{"no carriage return between", "\nA\nB\r", "B", 1},
		{"broken off, then whole", "\nhalf a fra\n\nA\r", "A", 1},
		{"empty ones", "\r\n\r\r\nA\r", "A", 0},
		{"noise in front", "noise\nA\r", "A", 1},
		{"not ended", "\nA", "", 0},
		{"endless", long, "", 1},
		{"endless, then one", long + "\nA\r", "A", 1},
	} {
		for _, piece := range []int{1, 3, len(test.bytes)} {
			var s splitter
			var got []string
			for rest := test.bytes; rest != ""; {
				n := min(piece, len(rest))
				s.push([]byte(rest[:n]))
				rest = rest[n:]
				for f, ok := s.next(); ok; f, ok = s.next() {
					got = append(got, string(f))
				}
				if len(s.buf) > maxFrame {
					t.Fatalf("%s: %d bytes are kept", test.name, len(s.buf))
				}
			}
			if strings.Join(got, "|") != test.want || (piece == 3) && s.lost < min(1, test.lost) {
				t.Errorf("%s in pieces of %d: got %q and %d lost, want %q and %d", test.name, piece, got, s.lost, test.want, test.lost)
			}
		}
	}
}

func TestParseHeader(t *testing.T) {
	for _, test := range []struct {
		body string
		want header
		ok   bool
	}{
		{`"SIA-DCS"0001RF3L77#1234[x`, header{token: "SIA-DCS", seq: "0001", receiver: "RF3", line: "L77", account: "1234"}, true},
		{`"*ADM-CID"9999L0#abc[x`, header{token: "ADM-CID", encrypted: true, seq: "9999", line: "L0", account: "ABC"}, true},
		{`"NULL"0000#0123456789ABCDEF[x`, header{token: "NULL", seq: "0000", account: "0123456789ABCDEF"}, true},
		{`"NULL"0000L0#12[x`, header{}, false},                // account of two digits
		{`"NULL"0000L0#0123456789ABCDEF0[x`, header{}, false}, // of seventeen
		{`"NULL"0000L0#12G4[x`, header{}, false},
		{`"NULL"000L0#1234[x`, header{}, false},
		{`"NULL"0000L0R0#1234[x`, header{}, false},
		{`"NULL"0000R#1234[x`, header{}, false},
		{`"NULL"0000L0A0[x`, header{}, false}, // an answer
		{`"NU LL"0000L0#1234[x`, header{}, false},
		{`""0000L0#1234[x`, header{}, false},
		{`NULL0000L0#1234[x`, header{}, false},
		{`"NULL"0000L0#1234`, header{}, false},
		{`[`, header{}, false},
		{``, header{}, false},
	} {
		got, rest, err := parseHeader([]byte(test.body))
		if (err == nil) != test.ok || (test.ok && (got != test.want || string(rest) != "x")) {
			t.Errorf("%s: got %+v, %q, %v, want %+v", test.body, got, rest, err, test.want)
		}
	}
}

func TestParseContent(t *testing.T) {
	at := time.Date(2026, 11, 23, 10, 29, 15, 0, time.UTC)
	for _, test := range []struct {
		text, data, extra string
		timed, ok         bool
	}{
		{`#1|x]`, "#1|x", "", false, true},
		{`]`, "", "", false, true},
		{`]_10:29:15,11-23-2026`, "", "", true, true},
		{`a][X104E57.6][Y33N23.4]_10:29:15,11-23-2026`, "a", "[X104E57.6][Y33N23.4]", true, true},
		{`a`, "", "", false, false},
		{`a[b]]`, "", "", false, false},
		{`a][b`, "", "", false, false},
		{`a]b`, "", "", false, false},
		{`a]_`, "", "", false, false},
		{`a]_10:29:15,11-23-2026 `, "", "", false, false},
		{`a]_10:29:15.5,11-23-2026`, "", "", false, false},
		{`a]_25:29:15,11-23-2026`, "", "", false, false},
		{`a]_10:29:15,13-23-2026`, "", "", false, false},
		{`a]_10:29:15,02-30-2026`, "", "", false, false},
	} {
		c, err := parseContent([]byte(test.text))
		if !test.ok {
			if !errors.Is(err, errContent) {
				t.Errorf("%s: got %v", test.text, err)
			}
			continue
		}
		if err != nil || string(c.data) != test.data || string(c.extra) != test.extra || c.timed != test.timed || (c.timed && !c.time.Equal(at)) {
			t.Errorf("%s: got %q %q %v %v, %v", test.text, c.data, c.extra, c.time, c.timed, err)
		}
	}
}

// The digits were made with openssl enc -aes-*-cbc -nopad and a vector of zeros.
const (
	key128, key192, key256 = "0123456789abcdef", "0123456789abcdef01234567", "0123456789abcdef0123456789abcdef"
	digits128              = "6D75A7C9F7545F09C8B7A621202B2331B6F86BEBB5574166EF812880852B1693F684FF040F64638C3D6C6B1EB8E95285"
	digits192              = "4E6B5F32F7ADE1CB4B583606401604E5E1FD35A9FFD11CC12B1C345F5A6B44FAF15F1BE9BC7C3DFA7BA318C9074D1901"
	digits256              = "688ACB4FA83B4AF8F171840EF567533F1543788F924925F18A59D42B895A0C358DB4508D7F49EFBE2FB05E4EDC037E75"
	digitsACK              = "FE06FE7519B891501FC0BD768E97B5806F1D9B0FB995BFED9A7F5BE9F1A7DA91"
	// untimed is xxx|#AAA|NBA001].
	untimed = "A66B443EBB5CAE0A76C6E93406FB7CD4"
)

func TestDecrypt(t *testing.T) {
	const want = `#1234|Nri1/BA01]_10:29:15,11-23-2026`
	for _, test := range []struct{ name, key, digits, want string }{
		{"AES-128", key128, digits128, want},
		{"AES-192", key192, digits192, want},
		{"AES-256", key256, digits256, want},
		{"lower case", key128, strings.ToLower(digits128), want},
		{"an answer", key128, digitsACK, "]_10:29:15,11-23-2026"},
	} {
		if got, err := decrypt([]byte(test.key), []byte(test.digits)); err != nil || string(got) != test.want {
			t.Errorf("%s: got %q, %v, want %q", test.name, got, err, test.want)
		}
	}
	for _, bad := range []string{"", "0", digits128[:31], digits128[:30], digits128[:40], "x" + digits128[1:]} {
		if got, err := decrypt([]byte(key128), []byte(bad)); !errors.Is(err, errContent) {
			t.Errorf("%q: got %q, %v", bad, got, err)
		}
	}
}

func TestSeal(t *testing.T) {
	h := header{encrypted: true, seq: "0009", receiver: "R0", line: "L0", account: "AAA"}
	got, err := h.seal("ACK", []byte(key128), time.Date(2026, 11, 23, 10, 29, 15, 0, time.UTC))
	if want := `"*ACK"0009R0L0#AAA[` + digitsACK; err != nil || got != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

func TestParseKey(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{key128, key128},
		{key192, key192},
		{"my key is 16 ch.", "my key is 16 ch."},
		{strings.Repeat("41", 16), strings.Repeat("A", 16)},
		{strings.Repeat("4a", 24), strings.Repeat("J", 24)},
		{strings.Repeat("4A", 32), strings.Repeat("J", 32)},
		{"text:" + strings.Repeat("41", 16), strings.Repeat("41", 16)},
		{strings.Repeat("zz", 16), strings.Repeat("zz", 16)},
		{"short", ""},
		{strings.Repeat("41", 17), ""},
		{"text:" + strings.Repeat("41", 32), ""},
		{"", ""},
	} {
		got, err := ParseKey(test.text)
		if string(got) != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%q: got %q, %v", test.text, got, err)
		}
		if err != nil && test.text != "" && strings.Contains(err.Error(), test.text) {
			t.Errorf("%q: the error tells the key: %v", test.text, err)
		}
	}
}

func FuzzFrame(f *testing.F) {
	for _, frame := range sound {
		f.Add([]byte("\n" + frame + "\r"))
	}
	for _, e := range append(recorded(f, "recorded.txt"), recorded(f, "sender.txt")...) {
		f.Add([]byte(e.request))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var s splitter
		for i, b := range data { // in the smallest pieces
			s.push(data[i : i+1])
			frame, ok := s.next()
			if ok != (b == cr && len(frame) > 0) || bytes.ContainsAny(frame, "\r\n") {
				t.Fatalf("%q at %d: got %q, %v", data, i, frame, ok)
			}
			if !ok {
				continue
			}
			body, err := openFrame(frame)
			if err != nil {
				continue
			}
			if again := appendFrame(nil, string(body)); !bytes.EqualFold(again[1:len(again)-1], frame) {
				t.Errorf("got %q, want %q", again, frame)
			}
		}
	})
}

// FuzzMessage reads a body whose frame is sound, encrypted or not.
func FuzzMessage(f *testing.F) {
	for _, e := range append(recorded(f, "recorded.txt"), recorded(f, "sender.txt")...) {
		f.Add([]byte(strings.Trim(e.request, "\r\n"))[headLength:])
	}
	f.Add([]byte(`"*SIA-DCS"0009R0L0#1234[` + digits128))
	f.Add([]byte(`"SIA-DCS"0009L0#1234[#1234|Nti10:29id7ri1/BA01^Room/Door^/BR1*x*|Atext|OCL7]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		h, rest, err := parseHeader(body)
		if err != nil {
			return
		}
		if again, _, err := parseHeader([]byte(strings.Replace(h.answer("ACK"), `"ACK"`, `"`+h.token+`"`, 1))); err != nil || again.account != h.account || again.seq != h.seq {
			t.Errorf("%q: the answer %s says %+v, %v", body, h.answer("ACK"), again, err)
		}
		if h.encrypted {
			if rest, err = decrypt([]byte(key128), rest); err != nil {
				return
			}
		}
		c, err := parseContent(rest)
		if err != nil {
			return
		}
		account, events, err := parseEvents(h.token, c.data)
		if err != nil {
			return
		}
		if len(events) == 0 || len(events) > mostEvents {
			t.Errorf("%q: got %d events", body, len(events))
		}
		for _, e := range events {
			checkEvent(t, account, e)
		}
	})
}
