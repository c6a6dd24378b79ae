package ups

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// recorded returns the requests and answers of the recording, in turn.
func recorded(t testing.TB) (all [][2]string) {
	t.Helper()
	text, err := os.ReadFile("testdata/recorded.txt")
	if err != nil {
		t.Fatal(err)
	}
	request := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if r, ok := strings.CutPrefix(line, "> "); ok {
			request = r
		} else if a, ok := strings.CutPrefix(line, "< "); ok {
			all = append(all, [2]string{request, a})
		}
	}
	if len(all) == 0 {
		t.Fatal("nothing is recorded")
	}
	return all
}

// TestRecordedAnswers reads what NUT accepted.
func TestRecordedAnswers(t *testing.T) {
	var got []string
	for _, r := range recorded(t) {
		switch request, answer := r[0], r[1]; request {
		case "Q1":
			s, err := parseStatus(answer)
			if err != nil {
				t.Errorf("%s: %v", answer, err)
			}
			got = append(got, s.String())
		case "F":
			text, _ := rating(answer)
			got = append(got, text)
		case "I":
			text, _ := maker(answer)
			got = append(got, text)
		default:
			if !rejected(request, answer) {
				t.Errorf("%s: %s is no refusal", request, answer)
			}
		}
	}
	want := []string{
		"LONGNANSIM TC-1000 V1.00",
		"made for 220.0 V, 4 A, battery of 24.00 V",
		"input 220.4 V, output 219.9 V, load 21 %, battery 27.4 V, temperature 25 °C",
		"input 0 V, output 0 V, load 40 %, battery 24.6 V, temperature 25 °C, mains lost",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestParseStatus(t *testing.T) {
	const good = "(220.4 220.4 219.9 021 50.0 27.4 25.0 00000001"
	for _, test := range []struct{ name, answer, want string }{
		{"sound", good, "input 220.4 V, output 219.9 V, load 21 %, battery 27.4 V, temperature 25 °C"},
		{"all bits", "(0.0 0.0 0.0 0 0.0 0.0 -5.5 11111111", "input 0 V, output 0 V, load 0 %, battery 0 V, temperature -5.5 °C, mains lost, battery low, bypass, fault, testing, shutting down"},
		{"no thermometer", "(220.4 220.4 219.9 021 50.0 27.4 --.- 00000001", "input 220.4 V, output 219.9 V, load 21 %, battery 27.4 V"},
		{"dashes and points", "(---.- 220.4 219.9 --- 50.0 27.4 -- 00000001", "output 219.9 V, battery 27.4 V"},
		{"comma", "(220,4 220,4 219,9 021 50,0 27,4 25,0 00000001", "input 220.4 V, output 219.9 V, load 21 %, battery 27.4 V, temperature 25 °C"},
		{"one cell", "(220.4 220.4 219.9 021 50.0 2.22 25.0 00000001", "input 220.4 V, output 219.9 V, load 21 %, battery 2.22 V, temperature 25 °C"},
		{"noise in front", "\x00\xffQ(220.4 (220.4 220.4 219.9 021 50.0 27.4 25.0 00000001", "input 220.4 V, output 219.9 V, load 21 %, battery 27.4 V, temperature 25 °C"},
		{"seven bits", "(220.4 220.4 219.9 021 50.0 27.4 25.0 0000001", ""},
		{"nine bits", "(220.4 220.4 219.9 021 50.0 27.4 25.0 000000001", ""},
		{"another bit", "(220.4 220.4 219.9 021 50.0 27.4 25.0 00000002", ""},
		{"no bits", "(220.4 220.4 219.9 021 50.0 27.4 25.0", ""},
		{"one value more", good + " 1", ""},
		{"no parenthesis", good[1:], ""},
		{"truncated in front", good[9:], ""},
		{"letters", "(2z0.4 220.4 219.9 021 50.0 27.4 25.0 00000001", ""},
		{"two points", "(2.0.4 220.4 219.9 021 50.0 27.4 25.0 00000001", ""},
		{"exponent", "(2e2 220.4 219.9 021 50.0 27.4 25.0 00000001", ""},
		{"not a number", "(NaN 220.4 219.9 021 50.0 27.4 25.0 00000001", ""},
		{"too hot", "(220.4 220.4 219.9 021 50.0 27.4 251 00000001", ""},
		{"below nothing", "(-20.4 220.4 219.9 021 50.0 27.4 25.0 00000001", ""},
		{"one dash", "(- 220.4 219.9 021 50.0 27.4 25.0 00000001", ""},
		{"echo", "Q1", ""},
		{"nothing", "", ""},
	} {
		s, err := parseStatus(test.answer)
		if test.want == "" {
			if !errors.Is(err, errForm) {
				t.Errorf("%s: got %v, %v", test.name, s, err)
			}
			continue
		}
		if err != nil || s.String() != test.want {
			t.Errorf("%s: got %q, %v, want %q", test.name, s, err, test.want)
		}
	}
}

func TestIntroductions(t *testing.T) {
	for _, bad := range []string{"", "#", "F", "I", "#220.0 004 24.00", "#220.0 004 24.00 50.0 1", "#--.- 004 24.00 50.0", "(NAK", "#\x01NGNANSIM      TC-1000    V1.00     ", "#                                     "} {
		if text, ok := rating(bad); ok {
			t.Errorf("rating %q: got %q", bad, text)
		}
		if text, ok := maker(bad); ok {
			t.Errorf("maker %q: got %q", bad, text)
		}
	}
	for _, r := range []struct {
		request, answer string
		want            bool
	}{{"Q1", "Q1", true}, {"Q1", " Q1", true}, {"Q1", "NAK", true}, {"Q1", "(NAK", true}, {"Q1", "F", false}, {"Q1", "", false}} {
		if got := rejected(r.request, r.answer); got != r.want {
			t.Errorf("%+v: got %v", r, got)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	for _, r := range recorded(f) {
		f.Add(r[1])
	}
	f.Fuzz(func(t *testing.T, answer string) {
		if text, ok := rating(answer); ok && text == "" {
			t.Errorf("%q: got an empty rating", answer)
		}
		if text, ok := maker(answer); ok && (text == "" || len(text) > 45) {
			t.Errorf("%q: got %q", answer, text)
		}
		s, err := parseStatus(answer)
		if err != nil {
			return
		}
		points := map[Signal]string{}
		for _, signal := range signals() {
			points[signal] = string(signal)
		}
		got := readings(points, s, []string{strings.Repeat("x", 300)})
		if len(got) != len(points) {
			t.Errorf("%q: got %d readings", answer, len(got))
		}
		for _, r := range got {
			if r.Value != r.Value || len(r.Detail) > 256 || r.Detail == "" || r.Value < -60 || r.Value > 999 {
				t.Errorf("%q: got %+v", answer, r)
			}
		}
	})
}
