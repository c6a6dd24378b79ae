package firmwareconfig

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares got with a file, or writes it.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s:\ngot\n%s\nwant\n%s", file, got, want)
	}
}

func glob(t *testing.T, pattern string, least int) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < least {
		t.Fatalf("%s: got %d files, want at least %d", pattern, len(files), least)
	}
	return files
}

// TestProblems: every file in testdata/check is wrong, and what is said about
// it in both languages is in the files beside it.
func TestProblems(t *testing.T) {
	for _, file := range glob(t, "testdata/check/*.toml", 33) {
		base := strings.TrimSuffix(file, ".toml")
		t.Run(filepath.Base(base), func(t *testing.T) {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for lang, suffix := range map[Language]string{Chinese: ".zh.txt", English: ".en.txt"} {
				site, err := Parse(filepath.Base(file), src, lang)
				ps, ok := errors.AsType[Problems](err)
				if !ok || len(ps) == 0 || site != nil {
					t.Fatalf("got site %v and error %v, want Problems", site, err)
				}
				if !slices.IsSortedFunc(ps, func(a, b Problem) int { return a.offset - b.offset }) {
					t.Errorf("problems are not in the order of the file: %v", ps)
				}
				golden(t, base+suffix, err.Error()+"\n")
			}
		})
	}
}

func TestParseAccepts(t *testing.T) {
	for _, file := range glob(t, "testdata/ok/*.toml", 2) {
		if _, err := Load(file, English); err != nil {
			t.Error(err)
		}
	}
}

func TestExample(t *testing.T) {
	s, err := Parse("site.example.toml", Example(), English)
	if err != nil {
		t.Fatal(err)
	}
	if s.Device != "621202107-01" || s.Name != "马街镇综治中心" || s.Board != "generic-linux" {
		t.Errorf("got center %q %q on %q", s.Device, s.Name, s.Board)
	}
	u := s.Uplink
	if !slices.Equal(u.Brokers, []string{"mqtt://127.0.0.1:1883"}) || u.Username != "621202107-01" ||
		u.PasswordFile != "/etc/longan/password" || u.Heartbeat != 10*time.Second {
		t.Errorf("got uplink %+v", u)
	}
	if len(s.Peripherals) != 3 {
		t.Fatalf("got %d peripherals, want 3", len(s.Peripherals))
	}
	io := s.Peripherals[0]
	if io.Driver != "modbus" || !strings.HasPrefix(io.Port, "/dev/serial/by-path/") || io.Baud != 9600 || io.Parity != "none" ||
		io.Address != 1 || io.Poll != 100*time.Millisecond || io.Label != "输入模块" {
		t.Errorf("got %+v", io)
	}
	want := Point{Name: "front-door", Label: "前门", Kind: KindDoor, Signal: "di1", NormallyClosed: true}
	if io.Points[0] != want {
		t.Errorf("got point %+v, want %+v", io.Points[0], want)
	}
	if out := (Output{Name: "siren", Label: "警号", Signal: "do1"}); !slices.Equal(io.Outputs, []Output{out}) {
		t.Errorf("got outputs %+v, want %+v", io.Outputs, out)
	}
	var printer []string
	for _, p := range s.Peripherals[1].Points {
		printer = append(printer, p.Name+"|"+p.Label+"|"+string(p.Kind)+"|"+p.Signal)
	}
	if want := []string{
		"printer-cover|小票打印机 上盖|kiosk|cover",
		"printer-paper-near-end|小票打印机 纸将尽|kiosk|paper-near-end",
		"printer-paper-out|小票打印机 缺纸|kiosk|paper-out",
		"printer-offline|小票打印机 脱机|kiosk|offline",
		"printer-error|小票打印机 故障|kiosk|error",
	}; !slices.Equal(printer, want) {
		t.Errorf("got the printer's points %q, want %q", printer, want)
	}
	want = Point{Name: "panic-button", Label: "紧急按钮", Kind: KindPanic, Signal: "pinctrl-bcm2711:17", Debounce: 30 * time.Millisecond, Pull: "up"}
	if got := s.Peripherals[2].Points[0]; got != want {
		t.Errorf("got point %+v, want %+v", got, want)
	}
}

// leastSite gives only what has to be given.
const leastSite = `
[center]
device = "621202107-01"
name = "马街镇综治中心"
[board]
profile = "raspberrypi-4"
[uplink]
brokers = ["mqtts://mqtt.example.cn"]
[[peripheral]]
name = "io"
driver = "modbus"
port = "RS485-1"
[[peripheral.point]]
name = "a"
kind = "input"
signal = "do64"
[[peripheral]]
name = "printer"
driver = "escpos"
port = "RS232-1"
[[peripheral]]
name = "inputs"
driver = "contact"
[[peripheral.point]]
name = "b"
kind = "door"
signal = "DI8"
`

// TestDefaults: what the README says about keys that are left out.
func TestDefaults(t *testing.T) {
	s, err := Parse("site.toml", []byte(leastSite), English)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := s.Uplink.Brokers[0], "mqtts://mqtt.example.cn:8883"; got != want {
		t.Errorf("got broker %s, want %s", got, want)
	}
	if got, want := s.Uplink.Heartbeat, 10*time.Second; got != want {
		t.Errorf("got heartbeat %v, want %v", got, want)
	}
	type peripheral struct {
		label, port, parity string
		baud, address       int
		poll                time.Duration
	}
	for i, want := range []peripheral{
		{"io", "/dev/longan/rs485-1", "none", 9600, 1, 100 * time.Millisecond},
		{"printer", "/dev/longan/rs232-1", "none", 9600, 0, time.Second},
		{"inputs", "", "", 0, 0, 250 * time.Millisecond},
	} {
		p := s.Peripherals[i]
		if got := (peripheral{p.Label, p.Port, p.Parity, p.Baud, p.Address, p.Poll}); got != want {
			t.Errorf("peripheral %s: got %+v, want %+v", p.Name, got, want)
		}
	}
	want := Point{Name: "b", Label: "b", Kind: KindDoor, Signal: "pinctrl-bcm2711:26", Debounce: 50 * time.Millisecond, Pull: "up"}
	if got := s.Peripherals[2].Points[0]; got != want {
		t.Errorf("got point %+v, want %+v", got, want)
	}
	if got, want := s.Peripherals[1].Points[0].Label, "printer-cover"; got != want {
		t.Errorf("label of a point of a peripheral without one: got %q, want %q", got, want)
	}
}

func TestLoadUnreadable(t *testing.T) {
	dir := t.TempDir()
	large := filepath.Join(dir, "large.toml")
	if err := os.WriteFile(large, make([]byte, MaxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		filepath.Join(dir, "none.toml"): "none.toml: there is no such file.",
		large:                           "large.toml: the file is too large: the limit is 256 KiB.",
		dir:                             ": can't read: is a directory.",
	} {
		_, err := Load(file, English)
		if ps, ok := errors.AsType[Problems](err); !ok || len(ps) != 1 || !strings.Contains(ps[0].Error(), want) || ps[0].Line != 0 {
			t.Errorf("Load(%s): got %v, want %q", file, err, want)
		}
	}
}
