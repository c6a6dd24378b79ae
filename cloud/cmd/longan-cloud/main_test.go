package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestUsage: a wrong command says what to do, in Chinese and English, starts
// nothing and ends with status 2.
func TestUsage(t *testing.T) {
	dir := t.TempDir()
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"nothing", nil, "用法"},
		{"unknown", []string{"start"}, "usage"},
		{"no passwords", []string{"run"}, "-insecure-demo"},
		{"unknown flag", []string{"run", "-port", "1"}, "-port"},
		{"argument", []string{"run", "-insecure-demo", "now"}, `"now"`},
		{"both", []string{"run", "-insecure-demo", "-passwords", "x"}, "choose one"},
		{"broker and mqtt", []string{"run", "-broker", "tcp://h", "-mqtt", ":1"}, "-broker"},
		{"no mqtt", []string{"run", "-insecure-demo", "-mqtt", ""}, "-mqtt"},
		{"TLS without a certificate", []string{"run", "-insecure-demo", "-mqtts", ":1"}, "-tls-cert city.pem"},
		{"a certificate without TLS", []string{"run", "-insecure-demo", "-tls-cert", "x", "-tls-key", "y"}, "-mqtts :8883"},
		{"broker and TLS", []string{"run", "-broker", "tcp://h", "-mqtts", ":1", "-tls-cert", "x", "-tls-key", "y"}, "-broker"},
		{"no such certificate", []string{"run", "-insecure-demo", "-mqtts", "127.0.0.1:0", "-http", "", "-data", dir,
			"-tls-cert", filepath.Join(dir, "none.pem"), "-tls-key", filepath.Join(dir, "none.key")}, "docs/operations.md"},
		{"log", []string{"run", "-insecure-demo", "-log", "xml"}, "text 或 json"},
		{"level", []string{"run", "-insecure-demo", "-log-level", "loud"}, "-log-level"},
		{"county", []string{"run", "-broker", "tcp://h", "-http", "", "-data", dir, "-county", "武都"}, "621202"},
		{"passwd", []string{"passwd"}, "passwd /etc/longan/passwords 621202104-01"},
		{"passwd device", []string{"passwd", "file", "mawei"}, "621202104-01"},
		{"passwd empty", []string{"passwd", "-stdin", filepath.Join(dir, "p"), "621202104-01"}, "empty"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var stderr bytes.Buffer
			got := run(t.Context(), test.args, strings.NewReader(""), io.Discard, &stderr)
			if got != exitUsage || !strings.Contains(stderr.String(), test.want) {
				t.Errorf("status %d, %q; want %d and %q", got, stderr.String(), exitUsage, test.want)
			}
		})
	}
}

func TestDemoListensHereOnly(t *testing.T) {
	o, err := parseOptions([]string{"-insecure-demo"}, io.Discard)
	if err != nil || o.mqtt != "127.0.0.1:1883" || o.http != "127.0.0.1:8080" {
		t.Errorf("mqtt %s, http %s, %v; want loopback", o.mqtt, o.http, err)
	}
	o, err = parseOptions([]string{"-insecure-demo", "-mqtt", ":1883"}, io.Discard)
	if err != nil || o.mqtt != ":1883" || o.http != "127.0.0.1:8080" {
		t.Errorf("mqtt %s, http %s, %v; want what was told", o.mqtt, o.http, err)
	}
}

// TestTLSAlone: with TLS nothing is open without it, unless told.
func TestTLSAlone(t *testing.T) {
	tls := []string{"-passwords", "p", "-mqtts", ":8883", "-tls-cert", "c", "-tls-key", "k"}
	for _, test := range []struct {
		args []string
		want string
	}{
		{tls, ""},
		{append(tls, "-mqtt", ":1883"), ":1883"},
		{[]string{"-passwords", "p"}, ":1883"},
		{[]string{"-insecure-demo", "-mqtts", ":8883", "-tls-cert", "c", "-tls-key", "k"}, ""},
	} {
		if o, err := parseOptions(test.args, io.Discard); err != nil || o.mqtt != test.want {
			t.Errorf("%v: mqtt %q, %v; want %q", test.args, o.mqtt, err, test.want)
		}
	}
}

func TestPasswd(t *testing.T) {
	file := filepath.Join(t.TempDir(), "passwords")
	var first bytes.Buffer
	if got := run(t.Context(), []string{"passwd", file, "621202104-01"}, nil, &first, io.Discard); got != 0 || first.Len() < 20 {
		t.Fatalf("status %d, password %q", got, first.String())
	}
	var second bytes.Buffer
	if got := run(t.Context(), []string{"passwd", "-stdin", file, "621202104-02"}, strings.NewReader("门禁口令\n"), &second, io.Discard); got != 0 || second.Len() > 0 {
		t.Fatalf("status %d, printed %q", got, second.String())
	}
	content, err := os.ReadFile(file)
	if err != nil || !regexp.MustCompile(`^621202104-01:\$2a\$\S+\n621202104-02:\$2a\$\S+\n$`).Match(content) {
		t.Errorf("file %q, %v", content, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
}

// TestRun starts the real thing on free ports of this machine.
func TestRun(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, in := io.Pipe()
	ended := make(chan int, 1)
	dir := filepath.Join(t.TempDir(), "new", "data")
	go func() {
		ended <- run(ctx, []string{"run", "-insecure-demo", "-mqtt", "127.0.0.1:0", "-http", "127.0.0.1:0", "-data", dir}, nil, io.Discard, in)
		in.Close()
	}()
	lines := bufio.NewScanner(out)
	address := ""
	for lines.Scan() {
		if m := regexp.MustCompile(`http=(\S+)`).FindStringSubmatch(lines.Text()); m != nil {
			address = m[1]
		}
		if strings.Contains(lines.Text(), "link to the broker is up") {
			break
		}
	}
	rest := make(chan bool)
	go func() { io.Copy(io.Discard, out); close(rest) }()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("healthz: %s", res.Status)
	}
	cancel()
	if got := <-ended; got != 0 {
		t.Errorf("status %d, want 0", got)
	}
	<-rest
	if _, err := os.Stat(filepath.Join(dir, "city.db")); err != nil {
		t.Error(err)
	}
}
