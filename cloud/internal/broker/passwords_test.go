package broker

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/longan-edge/longan"
)

func TestPasswords(t *testing.T) {
	path := filepath.Join(t.TempDir(), "passwords")
	set := func(device longan.DeviceID, password string) {
		t.Helper()
		if err := setPassword(path, device, []byte(password), bcrypt.MinCost); err != nil {
			t.Fatal(err)
		}
	}
	set(mawei, "马街镇")
	p, err := OpenPasswords(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	check := func(when string, device longan.DeviceID, password string, want bool) {
		t.Helper()
		for range 2 { // the second time from memory
			if got := p.Authenticate(device, []byte(password)); got != want {
				t.Errorf("%s: %s with %q: %v, want %v", when, device, password, got, want)
			}
		}
	}
	check("first", mawei, "马街镇", true)
	check("first", mawei, "", false)
	check("first", mawei, "马街", false)
	check("first", other, "马街镇", false)

	set(other, "second")
	set(mawei, "changed")
	touch(t, path, 1)
	check("changed", mawei, "马街镇", false)
	check("changed", mawei, "changed", true)
	check("changed", other, "second", true)

	// A file that is being spoilt does not lock all boards out.
	write(t, path, "nonsense")
	touch(t, path, 2)
	check("spoilt", mawei, "changed", true)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	check("gone", mawei, "changed", true)
	set(mawei, "new")
	check("back", mawei, "new", true)
	check("back", other, "second", false)
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// touch gives the file a time of its own: two writes may fall into one tick of
// the file system's clock.
func touch(t *testing.T, path string, n int) {
	t.Helper()
	at := time.Now().Add(time.Duration(n) * time.Hour)
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

func TestSetPasswordKeepsTheRest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "passwords")
	hash, err := bcrypt.GenerateFromPassword([]byte("x"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, "# 武都区\n\n621202104-01:"+string(hash)+"\n# 两当县\n621222101-01:"+string(hash)) // no line end
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	for _, d := range []longan.DeviceID{mawei, "621202104-02"} {
		if err := setPassword(path, d, []byte("y"), bcrypt.MinCost); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(got), "\n")
	if len(lines) != 7 || lines[0] != "# 武都区" || lines[2] == "621202104-01:"+string(hash) || lines[4] != "621222101-01:"+string(hash) ||
		!strings.HasPrefix(lines[5], "621202104-02:") {
		t.Errorf("file:\n%s", got)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, want 0640", info.Mode())
	}
	write(t, path, "nonsense")
	if err := setPassword(path, mawei, []byte("y"), bcrypt.MinCost); err == nil {
		t.Error("a file that is none was overwritten")
	}
	if err := setPassword(path+"2", mawei, bytes.Repeat([]byte("y"), 73), bcrypt.MinCost); err == nil {
		t.Error("bcrypt cannot tell passwords of more than 72 bytes apart: want an error")
	}
}

func TestParsePasswordsErrors(t *testing.T) {
	const hash = "$2a$04$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"
	for _, test := range []struct{ name, file, want string }{
		{"no colon", "# x\n621202104-01", "line 2"},
		{"no device", "mawei:" + hash, "621202104-01"},
		{"plain password", "621202104-01:secret", "hash of 621202104-01"},
		{"twice", "621202104-01:" + hash + "\n621202104-01:" + hash, "second time"},
		{"long line", strings.Repeat("x", 100000), "too long"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := parsePasswords(strings.NewReader(test.file)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func FuzzParsePasswords(f *testing.F) {
	f.Add([]byte("# x\r\n621202104-01:$2a$04$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy\n"))
	f.Add([]byte("621202104-01:"))
	f.Add([]byte(":\n\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		hashes, err := parsePasswords(bytes.NewReader(data))
		if err != nil {
			return
		}
		for d, h := range hashes {
			if _, err := longan.ParseDeviceID(string(d)); err != nil || h == "" {
				t.Errorf("took %q: %v", d, err)
			}
		}
	})
}
