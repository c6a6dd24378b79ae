package video

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"testing/iotest"
)

// TestRecordedAnswers reads what npm's rtsp-streaming-server answered, the first
// piece that came being the status line alone.
func TestRecordedAnswers(t *testing.T) {
	text, err := os.ReadFile("testdata/recorded.txt")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		answer, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "< ")
		if !ok {
			continue
		}
		n++
		whole := strings.ReplaceAll(answer, `\r\n`, "\r\n")
		status, err := readAnswer(iotest.OneByteReader(strings.NewReader(whole)))
		if err != nil || !serves(status) {
			t.Errorf("%s: got %d, %v", answer, status, err)
		}
	}
	if n != 2 {
		t.Errorf("%d answers are recorded, want 2", n)
	}
}

func TestReadAnswer(t *testing.T) {
	const frame = "$\x00\x00\x05\r\n\r\n$" // a piece of a stream
	for _, test := range []struct {
		name, answer string
		want         int
		wrong        string
	}{
		{"sound", "RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: OPTIONS, DESCRIBE\r\n\r\n", 200, ""},
		{"login wanted", "RTSP/1.0 401 Unauthorized\r\nCSeq: 1\r\nWWW-Authenticate: Digest realm=\"cam\", nonce=\"1\"\r\n\r\n", 401, ""},
		{"no CSeq", "RTSP/1.0 200 OK\r\n\r\n", 200, ""},
		{"cseq in small", "RTSP/1.0 200 OK\r\ncseq:1\r\n\r\n", 200, ""},
		{"line feeds alone", "RTSP/1.0 200 OK\nCSeq: 1\n\n", 200, ""},
		{"no reason", "RTSP/1.0 200\r\n\r\n", 200, ""},
		{"folded header", "RTSP/1.0 200 OK\r\nPublic: OPTIONS,\r\n DESCRIBE\r\n\r\n", 200, ""},
		{"version 2", "RTSP/2.0 200 OK\r\n\r\n", 200, ""},
		{"something behind", "RTSP/1.0 200 OK\r\n\r\nRTSP/1.0 500", 200, ""},
		{"a stream in front", frame + frame + "RTSP/1.0 200 OK\r\n\r\n", 200, ""},
		{"busy", "RTSP/1.0 503 Service Unavailable\r\n\r\n", 503, ""},
		{"answer to another request", "RTSP/1.0 200 OK\r\nCSeq: 7\r\n\r\n", 0, `answers request "7" instead of 1`},
		{"a web server", "HTTP/1.1 400 Bad Request\r\n\r\n", 0, "no RTSP server"},
		{"noise", "\x00\xff\x13\n\n", 0, "no RTSP server"},
		{"no number", "RTSP/1.0 OK\r\n\r\n", 0, "no RTSP server"},
		{"four digits", "RTSP/1.0 2000 OK\r\n\r\n", 0, "no RTSP server"},
		{"a status of none", "RTSP/1.0 099 OK\r\n\r\n", 0, "no RTSP server"},
		{"no header", "RTSP/1.0 200 OK\r\nwhat\r\n\r\n", 0, "no RTSP server"},
		{"status line alone", "RTSP/1.0 200 OK\r\n", 0, "without a whole answer"},
		{"half a line", "RTSP/1.0 2", 0, "without a whole answer"},
		{"nothing", "", 0, "without a whole answer"},
		{"endless line", "RTSP/1.0 200 " + strings.Repeat("x", 2*maxLine), 0, "does not end"},
		{"endless header", "RTSP/1.0 200 OK\r\n" + strings.Repeat("A: b\r\n", 1000), 0, "does not end"},
		{"endless stream", strings.Repeat(frame, maxFrames+1), 0, "does not end"},
		{"cut in a stream", "$\x00\xff\xffxx", 0, "without a whole answer"},
		{"cut in its head", "$\x00", 0, "without a whole answer"},
	} {
		for _, piece := range []string{"whole", "byte by byte"} {
			r := bytes.NewReader([]byte(test.answer))
			from := iotest.DataErrReader(r)
			if piece != "whole" {
				from = iotest.OneByteReader(r)
			}
			got, err := readAnswer(from)
			switch {
			case test.wrong == "":
				if err != nil || got != test.want {
					t.Errorf("%s, %s: got %d, %v, want %d", test.name, piece, got, err, test.want)
				}
			case err == nil || !strings.Contains(err.Error(), test.wrong):
				t.Errorf("%s, %s: got %d, %v, want %s", test.name, piece, got, err, test.wrong)
			}
		}
	}
}

func TestServes(t *testing.T) {
	for status, want := range map[int]bool{200: true, 401: true, 403: true, 404: true, 405: true, 454: true, 500: false, 501: true, 503: false, 505: true, 551: true} {
		if got := serves(status); got != want {
			t.Errorf("%d: got %v", status, got)
		}
	}
}

func TestAddress(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"192.168.1.64:554", "192.168.1.64:554"},
		{"192.168.1.64", "192.168.1.64:554"},
		{"camera-1.lan:8554", "camera-1.lan:8554"},
		{"[fe80::1]:554", "[fe80::1]:554"},
		{"fe80::1", "[fe80::1]:554"},
		{"[fe80::1]", "[fe80::1]:554"},
		{"", ""},
		{":554", ""},
		{"192.168.1.64:", ""},
		{"rtsp://192.168.1.64:554", ""},
		{"admin:12345@192.168.1.64", ""},
		{"admin@192.168.1.64:554", ""},
		{"192.168.1.64:554/stream", ""},
		{"192.168.1.64\r\nX: y", ""},
		{"摄像机", ""},
	} {
		got, err := address(test.in)
		if (err == nil) != (test.want != "") || (err == nil && got != test.want) {
			t.Errorf("%q: got %q, %v, want %q", test.in, got, err, test.want)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte("RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n"))
	f.Add([]byte("$\x00\x00\x05\r\n\r\n$RTSP/1.0 401 Unauthorized\r\n\r\n"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		status, err := readAnswer(bytes.NewReader(answer))
		again, other := readAnswer(iotest.OneByteReader(bytes.NewReader(answer)))
		if status != again || (err == nil) != (other == nil) {
			t.Errorf("%q: got %d, %v and in pieces %d, %v", answer, status, err, again, other)
		}
		if err == nil && (status < 100 || status > 599 || !bytes.Contains(answer, []byte("RTSP/"))) {
			t.Errorf("%q: got %d", answer, status)
		}
	})
}
