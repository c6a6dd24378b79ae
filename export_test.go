package longan

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"
)

// testExport writes an export of three batches, of 2, 300 and 1 events.
func testExport(t testing.TB) []byte {
	t.Helper()
	var out bytes.Buffer
	x, err := NewExportWriter(&out, ExportHead{Device: testDevice, Time: testTime, Version: "v0.1.0"})
	if err != nil {
		t.Fatal(err)
	}
	for lane, n := range []int{2, 300, 1} {
		b := Batch{Device: testDevice, Epoch: testEpoch, Lane: Lane(lane), Oldest: 17}
		var raw [][]byte
		for i := range n {
			e := Event{Seq: uint64(17 + i), Type: DoorOpened, Point: "front-door", Time: testTime, Clock: ClockNTP, Boot: testBoot}
			if i == 0 {
				e.Data = []byte("{\"a\":\"<\u2028>\",\n \"b\": 1}") // carried as it is
			}
			raw = append(raw, e.AppendJSON(nil))
		}
		if err := x.Batch(&b, raw); err != nil {
			t.Fatal(err)
		}
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	if x.Events() != 303 {
		t.Errorf("wrote %d events, want 303", x.Events())
	}
	return out.Bytes()
}

// readExport reads all of an export: the batches, and what was wrong.
func readExport(t testing.TB, data []byte) (head ExportHead, batches []*Batch, wrong []error) {
	t.Helper()
	x := NewExportReader(bytes.NewReader(data))
	for {
		b, err := x.Next()
		if err == io.EOF {
			head, _ = x.Head()
			return head, batches, wrong
		}
		if err != nil {
			wrong = append(wrong, err)
		} else {
			batches = append(batches, b)
		}
		if len(wrong) > len(data)+2 {
			t.Fatal("no end of errors")
		}
	}
}

func TestExportGolden(t *testing.T) {
	const name = "testdata/export.txt"
	got := testExport(t)
	if *update {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	head, batches, wrong := readExport(t, want) // not got: compression may be another's
	if len(wrong) > 0 || len(batches) != 3 {
		t.Fatalf("%d batches, %v; want 3 and no error", len(batches), wrong)
	}
	if want := (ExportHead{Device: testDevice, Time: testTime, Version: "v0.1.0"}); !reflect.DeepEqual(head, want) {
		t.Errorf("head %+v, want %+v", head, want)
	}
	_, written, _ := readExport(t, got)
	if !reflect.DeepEqual(batches, written) {
		t.Errorf("the golden file and what is written differ")
	}
	if b := batches[1]; b.Lane != State || b.Oldest != 17 || len(b.Events) != 300 || b.Events[299].Seq != 316 {
		t.Errorf("second batch is %s from %d with %d events", b.Lane, b.Oldest, len(b.Events))
	}
	if got, want := string(batches[0].Events[0].Data), "{\"a\":\"<\u2028>\",\n \"b\": 1}"; got != want {
		t.Errorf("data %q, want %q", got, want)
	}
}

// TestExportDamage: whatever happens to a file, what is whole of it is read, and
// what is not is said.
func TestExportDamage(t *testing.T) {
	good := testExport(t)
	lines := strings.SplitAfter(string(good), "\n")[:5]
	join := func(l ...string) []byte { return []byte(strings.Join(l, "")) }
	flip := func(line string) string { return line[:10] + "~" + line[11:] }
	sum := func(text string) string { return fmt.Sprintf("%s %08x\n", text, exportSum([]byte(text))) }
	for _, test := range []struct {
		name    string
		data    []byte
		batches int
		wrong   []string // a part of each error
	}{
		{"whole", good, 3, nil},
		{"line ends of another system", bytes.ReplaceAll(good, []byte("\n"), []byte("\r\n")), 3, nil},
		{"no last line end", good[:len(good)-1], 3, nil},
		{"a byte", join(lines[0], lines[1], flip(lines[2]), lines[3], lines[4]), 2, []string{"line 3: malformed: checksum", "2 of 3 batches"}},
		{"the head", join(flip(lines[0]), lines[1], lines[2], lines[3], lines[4]), 3, []string{"line 1"}},
		{"a line is gone", join(lines[0], lines[1], lines[3], lines[4]), 2, []string{"2 of 3 batches"}},
		{"two lines became one", join(lines[0], strings.TrimSpace(lines[1]), lines[2], lines[3], lines[4]), 1, []string{"line 2", "1 of 3"}},
		{"cut at a line", join(lines[0], lines[1], lines[2]), 2, []string{"cut off"}},
		{"cut in a line", good[:len(good)/2], 1, []string{"line 3", "cut off"}},
		{"twice the same line", join(lines[0], lines[1], lines[1], lines[2], lines[3], lines[4]), 4, nil},
		{"a kind of a later version", join(lines[0], sum("sign abc"), lines[1], lines[2], lines[3], lines[4]), 3, nil},
		{"a later version", join(sum(`longan-export 2 {"device":"621202104-01"}`), lines[1]), 0, []string{"unknown contract version"}},
		{"two files", append(bytes.Clone(good), good...), 6, []string{"line 6"}},
		{"another device", join(sum(`longan-export 1 {"device":"621202104-02"}`), lines[1], lines[4]), 0, []string{"line 2: malformed: batch of 621202104-01", "0 of 3"}},
		{"empty", nil, 0, []string{"empty"}},
		{"something else", []byte("PK\x03\x04 anything"), 0, []string{"line 1", "not an export"}},
		{"an endless line", bytes.Repeat([]byte("A"), 4*maxExportLine), 0, []string{"line 1", "not an export"}},
		{"an endless line among good ones", join(lines[0], lines[1], strings.Repeat("A", 2*maxExportLine)+"\n", lines[2], lines[3], lines[4]), 3, []string{"line 3"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, batches, wrong := readExport(t, test.data)
			if len(batches) != test.batches {
				t.Errorf("%d batches, want %d", len(batches), test.batches)
			}
			for i, err := range wrong {
				wantSentinel(t, err)
				if i < len(test.wrong) && !strings.Contains(err.Error(), test.wrong[i]) {
					t.Errorf("error %q, want %q", err, test.wrong[i])
				}
			}
			if len(wrong) != len(test.wrong) {
				t.Errorf("errors %q, want %d", wrong, len(test.wrong))
			}
		})
	}
}

// TestExportFailingReader: an error of the reader below is no damage.
func TestExportFailingReader(t *testing.T) {
	gone := errors.New("stick was pulled out")
	x := NewExportReader(io.MultiReader(bytes.NewReader(testExport(t)[:300]), iotestErr{gone}))
	for range 10 {
		if _, err := x.Next(); errors.Is(err, gone) {
			if _, again := x.Next(); !errors.Is(again, gone) {
				t.Errorf("then %v", again)
			}
			return
		}
	}
	t.Error("the error of the reader never came")
}

type iotestErr struct{ err error }

func (r iotestErr) Read([]byte) (int, error) { return 0, r.err }

func TestExportRefusesWhatItsReaderWould(t *testing.T) {
	if _, err := NewExportWriter(io.Discard, ExportHead{Device: "mawei"}); !errors.Is(err, ErrMalformed) {
		t.Errorf("no device: %v", err)
	}
	x, err := NewExportWriter(io.Discard, ExportHead{Device: testDevice})
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Batch(&Batch{Device: "621202104-02", Epoch: testEpoch}, nil); !errors.Is(err, ErrMalformed) {
		t.Errorf("another device: %v", err)
	}
}

func FuzzReadExport(f *testing.F) {
	good := testExport(f)
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add([]byte("end {\"batches\":0,\"events\":0} 00000000\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, batches, wrong := readExport(t, data)
		for _, err := range wrong {
			wantSentinel(t, err)
		}
		for _, b := range batches {
			if len(b.Events) > MaxBatch {
				t.Errorf("a batch of %d events", len(b.Events))
			}
		}
		// The same with right checksums, for the parts behind them.
		var summed bytes.Buffer
		for line := range bytes.Lines(data) {
			line = bytes.TrimRight(line, "\r\n")
			fmt.Fprintf(&summed, "%s %08x\n", line, exportSum(line))
		}
		readExport(t, summed.Bytes())
	})
}
