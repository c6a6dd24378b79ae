package firmwareconfig

import (
	"errors"
	"os"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// FuzzParse: whatever the bytes are, there is a Site that keeps its promises or
// there are problems that can be shown.
func FuzzParse(f *testing.F) {
	seeds, err := os.ReadDir("testdata/check")
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range seeds {
		if strings.HasSuffix(e.Name(), ".toml") {
			src, err := os.ReadFile("testdata/check/" + e.Name())
			if err != nil {
				f.Fatal(err)
			}
			f.Add(src)
		}
	}
	f.Add(Example())
	f.Fuzz(func(t *testing.T, src []byte) {
		for _, lang := range [...]Language{Chinese, English} {
			site, err := Parse("site.toml", src, lang)
			if err == nil {
				checkSite(t, site)
				continue
			}
			checkProblems(t, err)
		}
	})
}

// FuzzParseProfile is the same for board profiles.
func FuzzParseProfile(f *testing.F) {
	for _, name := range [...]string{"generic-linux", "raspberrypi-4"} {
		src, err := boardFiles.ReadFile("boards/" + name + ".toml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	f.Add([]byte("title = \"x\"\nconsole = \"A\"\n[uart]\nA = \"/dev/a\"\nB = \"/dev/a\"\n[line]\nL = \"gpiochip0:1\"\n"))
	f.Fuzz(func(t *testing.T, src []byte) {
		p, err := ParseProfile("board.toml", src, Chinese)
		if err != nil {
			checkProblems(t, err)
			return
		}
		if p.Title == "" || p.Console != "" && p.UART[p.Console] == "" {
			t.Errorf("accepted a profile without title or with a console that is no UART: %+v", p)
		}
	})
}

func checkProblems(t *testing.T, err error) {
	t.Helper()
	ps, ok := errors.AsType[Problems](err)
	if !ok || len(ps) == 0 || len(ps) > maxProblems+1 {
		t.Fatalf("got %T with %d problems", err, len(ps))
	}
	for _, p := range ps {
		if p.Text == "" || p.Line > 0 && (p.Column < 1 || !strings.HasSuffix(strings.TrimRight(p.Marker, "~"), "^")) {
			t.Errorf("problem without text or marker: %+v", p)
		}
		for _, s := range [...]string{p.Text, p.Hint, p.Snippet, p.Marker} {
			if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
				t.Errorf("a message would upset a terminal: %q", s)
			}
		}
	}
}

func checkSite(t *testing.T, s *Site) {
	t.Helper()
	if s.Device == "" || s.Name == "" || len(s.Uplink.Brokers) == 0 || s.Uplink.Username == "" {
		t.Errorf("accepted an incomplete site: %+v", s)
	}
	points, ports := map[string]bool{}, map[string]bool{}
	for _, p := range s.Peripherals {
		spec := driverNamed(p.Driver)
		if spec == nil || p.Name == "" || p.Label == "" || spec.port != (p.Port != "") || p.Poll <= 0 {
			t.Fatalf("accepted peripheral %+v", p)
		}
		if p.Port != "" && ports[p.Port] {
			t.Errorf("port %s has two peripherals", p.Port)
		}
		ports[p.Port] = true
		for _, q := range p.Points {
			if q.Name == "" || q.Label == "" || q.Kind == "" || q.Signal == "" || points[q.Name] {
				t.Errorf("accepted point %+v", q)
			}
			points[q.Name] = true
		}
	}
}
