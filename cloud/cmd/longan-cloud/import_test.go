package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/cloud"
)

func TestImportCommand(t *testing.T) {
	dir := t.TempDir()
	newStore(t, filepath.Join(dir, cloud.StoreName))
	var export bytes.Buffer
	x, err := longan.NewExportWriter(&export, longan.ExportHead{Device: "621202104-01"})
	if err != nil {
		t.Fatal(err)
	}
	e := longan.Event{Seq: 1, Type: longan.DoorOpened}
	err = x.Batch(&longan.Batch{Device: "621202104-01", Epoch: "abc", Lane: longan.State, Oldest: 1}, [][]byte{e.AppendJSON(nil)})
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	good, bad := filepath.Join(dir, "good"), filepath.Join(dir, "bad")
	for name, data := range map[string][]byte{good: export.Bytes(), bad: export.Bytes()[:export.Len()-30]} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name   string
		args   []string
		status int
		want   string
	}{
		{"first", []string{"-data", dir, good}, 0, "621202104-01 新 1 条，重复 0 条 / 1 new, 0 already there"},
		{"again, and damaged", []string{"-data", dir, good, bad}, exitFailed, "0 new, 1 already there"},
		{"damaged", []string{"-data", dir, bad}, exitFailed, "cut off"},
		{"no such file", []string{"-data", dir, filepath.Join(dir, "none")}, exitFailed, "no such file"},
		{"nothing", nil, exitUsage, "longan-agent spool export"},
		{"no store", []string{"-data", filepath.Join(dir, "other"), good}, exitUsage, "-data"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			status := run(t.Context(), append([]string{"import"}, test.args...), nil, &out, &out)
			if status != test.status || !strings.Contains(out.String(), test.want) {
				t.Errorf("status %d, %s; want %d and %q", status, out.String(), test.status, test.want)
			}
		})
	}
	if _, err := os.Stat(filepath.Join(dir, "other")); err == nil {
		t.Error("import made a store in a folder that was named by mistake")
	}
}

// newStore makes the store of a city that has run once.
func newStore(t *testing.T, path string) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	log, in := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"run", "-insecure-demo", "-mqtt", "127.0.0.1:0", "-http", "", "-data", filepath.Dir(path)}, nil, io.Discard, in)
		in.Close()
	}()
	for lines := bufio.NewScanner(log); lines.Scan(); {
		if strings.Contains(lines.Text(), "link to the broker is up") {
			stop() // and read on, until it has ended
		}
	}
	if status := <-ended; status != 0 {
		t.Fatalf("city: status %d", status)
	}
}
