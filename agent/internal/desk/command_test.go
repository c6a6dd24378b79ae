package desk

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/agent/internal/spool"
)

// filled returns a folder with an open spool of 3 alarms and 900 states, of
// which 10 are acknowledged.
func filled(t *testing.T) (dir string, s *spool.Spool) {
	t.Helper()
	dir = t.TempDir()
	s, err := spool.Open(dir, spool.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	at := time.Now().Add(-time.Hour)
	for lane, n := range map[longan.Lane]int{longan.Alarm: 3, longan.State: 900} {
		var entries []spool.Entry
		for range n {
			entries = append(entries, spool.Entry{Event: &longan.Event{Lane: lane, Type: "door.opened", Point: "front-door", Time: at, Clock: longan.ClockNTP,
				Data: []byte("{\"a\":\"<\u2028&\",\n\"b\":1}")}})
		}
		if err := s.Append(t.Context(), entries...); err != nil {
			t.Fatal(err)
		}
	}
	s.Free(longan.State, 10)
	return dir, s
}

// command runs longan-agent spool with the language of LANG.
func run(lang string, args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = Command(context.Background(), args, &out, &errs, func(name string) string {
		if name == "LANG" {
			return lang
		}
		return ""
	})
	return status, out.String(), errs.String()
}

// TestCommand asks the same of an agent that runs and of its file.
func TestCommand(t *testing.T) {
	dir, s := filled(t)
	stop := serve(t, dir, &Running{Spool: s, Device: "621202107-01", Version: "v0.1.0", Now: time.Now})
	export := filepath.Join(t.TempDir(), "out.export")
	tests := []struct {
		name   string
		lang   string
		args   []string
		status int
		want   []string // of standard output and standard error
	}{
		{"stat", "", []string{"stat", "-data", dir}, 0, []string{"等待 890", "（当前）", "上限 48 MiB", "磁盘：正常"}},
		{"stat in English", "en_US.UTF-8", []string{"stat", "-data", dir}, 0, []string{"last 900, acknowledged 10, waiting 890, the oldest is 1h0m", "disk: good"}},
		{"stat as JSON", "", []string{"stat", "-data", dir, "-json"}, 0, []string{`"backlog":890`, `"ok":true`}},
		{"list", "", []string{"list", "-data", dir, "-n", "4"}, 0, []string{"alarm   1  ", "alarm   3  ", "state   11  ", "door.opened  front-door  {"}},
		{"list a lane from", "", []string{"list", "-data", dir, "-lane", "state", "-from", "899"}, 0, []string{"state   899", "state   900"}},
		{"list as JSON", "", []string{"list", "-data", dir, "-lane", "alarm", "-json", "-n", "1"}, 0, []string{`"lane":"alarm","event":{"seq":1`}},
		{"list nothing", "en", []string{"list", "-data", dir, "-lane", "sample"}, 0, []string{"no event waits"}},
		{"list no such lane", "en", []string{"list", "-data", dir, "-lane", "doors"}, 2, []string{"want alarm, state or sample"}},
		{"list no such epoch", "en", []string{"list", "-data", dir, "-epoch", "abc"}, 2, []string{`no epoch "abc"`}},
		{"list none", "en", []string{"list", "-data", dir, "-n", "0"}, 2, []string{"more than 0"}},
		{"check", "", []string{"check", "-data", dir}, 0, []string{"完好", "903 条事件"}},
		{"check in English", "en", []string{"check", "-data", dir}, 0, []string{"sound", "903 event(s)"}},
		{"check as JSON", "en", []string{"check", "-data", dir, "-json"}, 0, []string{`"events":903`}},
		{"export", "", []string{"export", "-data", dir, "-device", "621202107-01", export}, 0, []string{"621202107-01 的 893 条事件", export}},
		{"export over it", "en", []string{"export", "-data", dir, "-device", "621202107-01", export}, 2, []string{"was not replaced"}},
		{"export by force", "en", []string{"export", "-data", dir, "-device", "621202107-01", "-force", export}, 0, []string{"893 event(s) of device 621202107-01"}},
		{"export to nowhere", "en", []string{"export", "-data", dir, "-device", "621202107-01", filepath.Join(dir, "no", "x")}, 1, []string{"no such file"}},
		{"nothing", "", nil, 2, []string{"用法"}},
		{"unknown", "en", []string{"delete"}, 2, []string{"usage"}},
		{"unknown flag", "en", []string{"stat", "-lane", "alarm"}, 2, []string{"-lane"}},
		{"argument", "en", []string{"stat", "-data", dir, "now"}, 2, []string{"want 0 argument(s)"}},
		{"no file", "en", []string{"export", "-data", dir}, 2, []string{"want 1 argument(s)"}},
		{"no spool", "en", []string{"stat", "-data", filepath.Join(dir, "none")}, 2, []string{"there is no spool"}},
	}
	for _, running := range []bool{true, false} {
		for _, test := range tests {
			t.Run(fmt.Sprintf("%s, running %v", test.name, running), func(t *testing.T) {
				status, out, errs := run(test.lang, test.args...)
				if status != test.status {
					t.Errorf("status %d, want %d: %s%s", status, test.status, out, errs)
				}
				for _, want := range test.want {
					if !strings.Contains(out+errs, want) {
						t.Errorf("%q is not in\n%s%s", want, out, errs)
					}
				}
			})
		}
		checkExport(t, export)
		if running {
			stop()
			s.Close()
			if err := os.Remove(export); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// checkExport holds an export against what filled has put in.
func checkExport(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	x := longan.NewExportReader(f)
	next := map[longan.Lane]uint64{longan.Alarm: 1, longan.State: 11}
	for {
		b, err := x.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range b.Events {
			if e.Seq != next[b.Lane] || string(e.Data) != "{\"a\":\"<\u2028&\",\n\"b\":1}" {
				t.Fatalf("%s: event %d with %q, want %d", b.Lane, e.Seq, e.Data, next[b.Lane])
			}
			next[b.Lane]++
		}
	}
	if next[longan.Alarm] != 4 || next[longan.State] != 901 {
		t.Errorf("export ends before %v", next)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("export %v, %v; want mode 0600", info, err)
	}
	if parts, err := filepath.Glob(path + ".part*"); err != nil || len(parts) > 0 {
		t.Errorf("left behind: %v, %v", parts, err)
	}
}

func TestWhoseSpool(t *testing.T) {
	dir, s := filled(t)
	stop := serve(t, dir, &Running{Spool: s, Device: "621202107-01", Now: time.Now})
	out := filepath.Join(t.TempDir(), "out.export")
	if status, _, errs := run("en", "export", "-data", dir, "-device", "621202107-02", out); status != 2 || !strings.Contains(errs, "621202107-01") {
		t.Errorf("the device of another: %d, %s", status, errs)
	}
	if status, _, errs := run("en", "export", "-data", dir, "-site", "nowhere", out); status != 0 {
		t.Errorf("a running agent knows its device: %d, %s", status, errs)
	}
	stop()
	if status, _, errs := run("en", "stat", "-data", dir); status != 1 || !strings.Contains(errs, "does not answer") {
		t.Errorf("an agent without its socket: %d, %s", status, errs)
	}
	s.Close()
	for _, args := range [][]string{{"-site", filepath.Join(dir, "nowhere.toml")}, {"-device", "mawei"}} {
		args = append(append([]string{"export", "-data", dir, "-force"}, args...), out)
		if status, _, errs := run("en", args...); status != 2 || errs == "" {
			t.Errorf("%v: status %d, %s", args, status, errs)
		}
	}
}

// TestCommandOnDamage: what is wrong, what will be done, and what is still there
// can be taken along.
func TestCommandOnDamage(t *testing.T) {
	dir, s := filled(t)
	s.Close()
	path := filepath.Join(dir, spool.FileName)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	clear(content[:4096]) // a meta page
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	status, out, _ := run("", "check", "-data", dir)
	if status != 1 || !strings.Contains(out, "文件已损坏") || !strings.Contains(out, "state  保留 890 条，丢失 0 条") {
		t.Errorf("check: status %d\n%s", status, out)
	}
	status, out, _ = run("en", "check", "-data", dir, "-json")
	var f Finding
	if err := json.Unmarshal([]byte(out), &f); err != nil || status != 1 || f.Sound() || len(f.Losses) != 2 {
		t.Errorf("check -json: status %d, %v, %s", status, err, out)
	}
	if status, out, _ = run("en", "stat", "-data", dir); status != 0 || !strings.Contains(out, "damaged") || !strings.Contains(out, "waiting 890") {
		t.Errorf("stat: status %d\n%s", status, out)
	}
	export := filepath.Join(t.TempDir(), "out.export")
	if status, out, errs := run("en", "export", "-data", dir, "-device", "621202107-01", export); status != 0 || !strings.Contains(out, "893 event(s)") {
		t.Errorf("export: status %d, %s%s", status, out, errs)
	}
	checkExport(t, export)
	if aside, err := filepath.Glob(path + "*"); err != nil || len(aside) != 1 {
		t.Errorf("the folder has %v, %v; want the damaged file alone", aside, err)
	}
	if err := os.Remove(filepath.Join(dir, spool.IdentityName)); err != nil {
		t.Fatal(err)
	}
	if status, out, _ = run("en", "check", "-data", dir); status != 1 || !strings.Contains(out, "identity.json can't be used") {
		t.Errorf("check without the second file: status %d\n%s", status, out)
	}
}

// TestLongFolder: in a folder too deep for a socket the agent says why it has
// none, and its file can still be read.
func TestLongFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("x", 120))
	s, err := spool.Open(dir, spool.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if _, err := Listen(dir); err == nil || !strings.Contains(err.Error(), "shorter") {
		t.Errorf("listen: %v", err)
	}
	if status, out, errs := run("en", "check", "-data", dir); status != 0 {
		t.Errorf("check: status %d, %s%s", status, out, errs)
	}
}

// TestWriteFileFails: what fails leaves neither a file nor a part of one.
func TestWriteFileFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.export")
	err := WriteFile(path, false, func(w io.Writer) error {
		if _, err := w.Write(make([]byte, 1<<20)); err != nil {
			return err
		}
		return io.ErrUnexpectedEOF
	})
	if err == nil {
		t.Error("no error")
	}
	if left, err := filepath.Glob(path + "*"); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestExportTellsOfGaps: what the board gave up is in the export as a gap, in its
// place, whether the agent runs or not.
func TestExportTellsOfGaps(t *testing.T) {
	dir := t.TempDir()
	s, err := spool.Open(dir, spool.Options{MaxSize: 1 << 20, Budget: 24 << 10})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	for i := range 60 {
		var entries []spool.Entry
		for j := range 20 {
			e := &longan.Event{Lane: longan.Sample, Type: "meter.read", Data: fmt.Appendf(nil, `{"v":"%x"}`, sha256.Sum256([]byte{byte(i), byte(j)}))}
			entries = append(entries, spool.Entry{Event: e})
		}
		if err := s.Append(t.Context(), entries...); err != nil {
			t.Fatal(err)
		}
	}
	if st := s.Lane(longan.Sample); st.Last != 1200 {
		t.Fatalf("sample lane %+v", st)
	}
	books := map[string]Book{"running": &Running{Spool: s, Device: "621202107-01", Now: time.Now}}
	check := func(name string) {
		var out bytes.Buffer
		n, err := Export(t.Context(), books[name], longan.ExportHead{Device: "621202107-01"}, &out)
		if err != nil || int64(out.Len()) != n.Bytes {
			t.Fatalf("%s: %+v, %v", name, n, err)
		}
		x := longan.NewExportReader(&out)
		next, gaps := uint64(1), 0
		for {
			b, err := x.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range b.Events {
				var gap struct{ From, To uint64 }
				if e.Type == longan.SpoolGap {
					if err := json.Unmarshal(e.Data, &gap); err != nil {
						t.Fatal(err)
					}
					gaps++
				} else {
					gap.From, gap.To = e.Seq, e.Seq
				}
				if gap.From != next || gap.To != e.Seq {
					t.Fatalf("%s: event %d stands for %d to %d, want from %d", name, e.Seq, gap.From, gap.To, next)
				}
				next = gap.To + 1
			}
		}
		if next != 1201 || gaps == 0 {
			t.Errorf("%s: export ends before %d with %d gaps", name, next, gaps)
		}
	}
	check("running")
	s.Close()
	if books["stopped"], err = Inspect(dir, time.Now); err != nil {
		t.Fatal(err)
	}
	check("stopped")
}
