package wiegand

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/longan-edge/longan/drivers"
	"github.com/longan-edge/longan/drivers/internal/card"
)

// readTrace reads what stood on the wires: a line for each pulse, with the
// microseconds since the one before and the wire. Comments say what it is and
// what is wanted of it.
func readTrace(t testing.TB, path string) (edges []drivers.Edge, want []string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Duration(0)
	for line := range strings.Lines(string(text)) {
		if comment, ok := strings.CutPrefix(line, "#"); ok {
			if w, ok := strings.CutPrefix(comment, " want "); ok {
				want = append(want, strings.TrimSpace(w))
			}
			continue
		}
		var us, wire int
		if _, err := fmt.Sscan(line, &us, &wire); err != nil || wire < 0 || wire > 1 {
			t.Fatalf("%s: %q: %v", path, line, err)
		}
		at += time.Duration(us) * time.Microsecond
		edges = append(edges, drivers.Edge{Line: wire, At: at})
	}
	return edges, want
}

func traces(t testing.TB) []string {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) < 10 {
		t.Fatalf("traces: %q, %v", paths, err)
	}
	return paths
}

func TestTraces(t *testing.T) {
	for _, path := range traces(t) {
		edges, want := readTrace(t, path)
		d := decoder{gap: DefaultGap}
		var got []string
		note := func(f frame, ok bool) {
			switch {
			case !ok:
			case f.reason != noReason:
				got = append(got, fmt.Sprintf("misread %s %d", f.reason, f.n))
			case f.n == 26 || f.n == 34:
				got = append(got, fmt.Sprintf("card %d %s", f.n, card.Check(f.data, f.n)))
			default:
				got = append(got, fmt.Sprintf("misread %s %d", badBits, f.n))
			}
		}
		for _, e := range edges {
			note(d.pulse(e.Line, e.At))
		}
		note(d.end())
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
}

func TestPulsesWithoutEnd(t *testing.T) {
	d := decoder{gap: DefaultGap}
	var ended []frame
	for i := range 10 * maxBits {
		if f, ok := d.pulse(i%2, time.Duration(i)*time.Millisecond); ok {
			ended = append(ended, f)
		}
	}
	if len(ended) != 9 {
		t.Errorf("%d frames, want 9", len(ended))
	}
	for _, f := range ended {
		if f.reason != babbling || f.n != maxBits {
			t.Errorf("got %d bits, %q", f.n, f.reason)
		}
	}
}

func TestKeys(t *testing.T) {
	for _, test := range []struct {
		data      byte
		n         int
		is, right bool
	}{
		{0x50, 4, true, true},
		{0xF0, 4, true, true},
		{0xA5, 8, true, true},
		{0x5A, 8, true, true},
		{0xFF, 8, true, false},
		{0xA4, 8, true, false},
		{0xA5, 7, false, false},
	} {
		is, right := frame{data: []byte{test.data}, n: test.n}.key()
		if is != test.is || right != test.right {
			t.Errorf("%d bits of %#x: got %v, %v", test.n, test.data, is, right)
		}
	}
}
