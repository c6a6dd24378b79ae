package firmwareconfig

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// checkWithCA runs check on a site file with that ca, and returns its status and
// what it said.
func checkWithCA(t *testing.T, ca, broker, lang string) (status int, said string) {
	t.Helper()
	site := strings.NewReplacer("brokers = [\"mqtts://mqtt.example.cn\"]", "brokers = [\""+broker+"\"]\nca = \""+ca+"\"").Replace(leastSite)
	file := filepath.Join(t.TempDir(), "site.toml")
	if err := os.WriteFile(file, []byte(site), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr strings.Builder
	status = CheckCommand([]string{file}, &stdout, &stderr, func(string) string { return lang })
	return status, strings.ReplaceAll(stdout.String()+stderr.String(), filepath.Dir(ca), "/etc/longan")
}

// TestCheckCA: what check says of every file in testdata/ca, as the board's ca,
// is in the files beside it.
func TestCheckCA(t *testing.T) {
	dir, err := filepath.Abs("testdata/ca")
	if err != nil {
		t.Fatal(err)
	}
	right := []string{"good", "ended"} // the board may have a better one by then
	for _, file := range glob(t, dir+"/*.pem", 6) {
		name := strings.TrimSuffix(filepath.Base(file), ".pem")
		want := checkWrong
		if slices.Contains(right, name) {
			want = 0
		}
		for lang, suffix := range map[string]string{"zh_CN.UTF-8": ".zh.txt", "en_US.UTF-8": ".en.txt"} {
			status, said := checkWithCA(t, file, "mqtts://mqtt.example.cn", lang)
			if status != want {
				t.Errorf("%s: status %d, want %d", name, status, want)
			}
			golden(t, filepath.Join("testdata", "ca", name+suffix), said)
		}
	}
}

func TestCheckCANotes(t *testing.T) {
	dir, err := filepath.Abs("testdata/ca")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, ca, broker string
		status           int
		want             string
	}{
		{"on another machine", dir + "/elsewhere.pem", "mqtts://mqtt.example.cn", 0, "note: this machine has no ca file /etc/longan/elsewhere.pem"},
		{"of no use", dir + "/good.pem", "mqtt://127.0.0.1", 0, "note: there is a ca, but no address with mqtts://"},
		{"a folder", dir, "mqtts://mqtt.example.cn", checkWrong, "is a directory"},
	} {
		status, said := checkWithCA(t, c.ca, c.broker, "en")
		if status != c.status || !strings.Contains(said, c.want) {
			t.Errorf("%s: status %d, %q; want %d and %q", c.name, status, said, c.status, c.want)
		}
	}
}

// FuzzParseCA: whatever the bytes are, there are certificates or there is
// something to say that a terminal can show.
func FuzzParseCA(f *testing.F) {
	files, err := filepath.Glob("testdata/ca/*.pem")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		certs, what, hint := parseCA(data)
		if (len(certs) == 0) == (what == text{}) {
			t.Errorf("%d certificates, and %q", len(certs), what)
		}
		for _, lang := range [...]Language{Chinese, English} {
			for _, s := range [...]string{printable(what.in(lang)), printable(hint.in(lang))} {
				if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
					t.Errorf("a message would upset a terminal: %q", s)
				}
			}
		}
	})
}
