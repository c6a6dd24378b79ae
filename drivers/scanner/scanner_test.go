package scanner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/drivers"
	"github.com/longan-edge/longan/drivers/porttest"
)

const line = "/dev/ttyS3"

var key = []byte("sixteen bytes or more")

// desk is a scanner under a test, and what it emitted.
type desk struct {
	mu       sync.Mutex
	readings []drivers.Reading
	cancel   context.CancelFunc
	done     chan struct{}
	err      error
}

func start(t *testing.T, ports drivers.Ports, cfg Config) *desk {
	ctx, cancel := context.WithCancel(t.Context())
	d := &desk{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(d.done)
		d.err = New(ports, line, cfg).Run(ctx, d.emit)
	}()
	t.Cleanup(func() { cancel(); <-d.done })
	return d
}

func (d *desk) emit(_ context.Context, r drivers.Reading) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.readings = append(d.readings, r)
	return nil
}

// codes returns the data of all codes since the last call, and the readings as
// text, in which no code may be.
func (d *desk) codes() (codes []string, text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range d.readings {
		if r.Happened != nil {
			codes = append(codes, string(r.Happened.Data))
			text += r.Happened.Type
		}
		text += fmt.Sprint(r.Point, r.State, r.Detail, codes)
	}
	d.readings = nil
	return codes, text
}

func TestCodes(t *testing.T) {
	for _, tt := range []struct {
		name    string
		pieces  []string // 20 ms apart
		lengths []int
	}{
		{"with CR", []string{"6901234567892\r"}, []int{13}},
		{"with LF", []string{"6901234567892\n"}, []int{13}},
		{"with CR LF", []string{"6901234567892\r\n"}, []int{13}},
		{"without an end", []string{"6901234567892"}, []int{13}},
		{"in pieces", []string{"690", "1234", "567892\r"}, []int{13}},
		{"several at once", []string{"a\rbc\r\n\r\ndef\n"}, []int{1, 2, 3}},
		{"Chinese and NUL", []string{"健康码\x00x\r"}, []int{11}},
		{"empty", []string{"\r\n\r\n"}, nil},
		{"the longest", []string{strings.Repeat("x", MaxCode), "\r"}, []int{MaxCode}},
		{"too long, then one", []string{strings.Repeat("x", MaxCode), strings.Repeat("x", 100), "\rabc\r"}, []int{3}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var ports porttest.Ports
				peer := ports.AddSerial(line)
				d := start(t, &ports, Config{Point: "scanner", Key: key})
				time.Sleep(time.Second)
				for _, p := range tt.pieces {
					if _, err := peer.Write([]byte(p)); err != nil {
						t.Fatal(err)
					}
					time.Sleep(20 * time.Millisecond)
				}
				time.Sleep(time.Second)
				codes, text := d.codes()
				if len(codes) != len(tt.lengths) {
					t.Fatalf("%d codes %v, want %d", len(codes), codes, len(tt.lengths))
				}
				for i, c := range codes {
					if want := fmt.Sprintf(`"length":%d}`, tt.lengths[i]); !strings.HasSuffix(c, want) {
						t.Errorf("code %d is %s, want %s", i, c, want)
					}
				}
				for _, secret := range []string{"690123", "健康码", "def", "xxx"} {
					if strings.Contains(text, secret) {
						t.Errorf("what was scanned leaves the driver: %s", text)
					}
				}
			})
		})
	}
}

// TestHashes: the same code gives the same hash, at every scanner with the same
// key; another key gives another.
func TestHashes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hash := func(key []byte, text string) string {
			var ports porttest.Ports
			peer := ports.AddSerial(line)
			d := start(t, &ports, Config{Point: "scanner", Key: key})
			time.Sleep(time.Second)
			if _, err := peer.Write([]byte(text + "\r")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			codes, _ := d.codes()
			return strings.Join(codes, " ")
		}
		one := hash(key, "622621199001011234")
		if again := hash(key, "622621199001011234"); again != one || one == "" {
			t.Errorf("the same code gives %q and %q", one, again)
		}
		if other := hash(key, "622621199001011235"); other == one {
			t.Error("two codes have one hash")
		}
		if other := hash([]byte("another key of sixteen"), "622621199001011234"); other == one {
			t.Error("two keys have one hash")
		}
	})
}

func TestItLivesAndFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ports porttest.Ports
		peer := ports.AddSerial(line)
		d := start(t, &ports, Config{Point: "scanner", Key: key})
		time.Sleep(time.Minute)
		d.mu.Lock()
		if n := len(d.readings); n < 12 || n > 14 || d.readings[n-1].State != longan.Normal {
			t.Errorf("%d signs of life in a quiet minute", n)
		}
		d.mu.Unlock()
		peer.Close()
		<-d.done
		if last := d.readings[len(d.readings)-1]; !errors.Is(d.err, drivers.ErrUnplugged) || last.State != longan.Unknown || last.Point != "scanner" {
			t.Errorf("unplugged: %v, %+v", d.err, last)
		}
		for _, short := range [][]byte{nil, []byte("too short")} {
			d := start(t, &ports, Config{Point: "scanner", Key: short})
			<-d.done
			if d.err == nil || !strings.Contains(d.err.Error(), "key") {
				t.Errorf("with the key %q: %v", short, d.err)
			}
		}
	})
}

// TestAnErrorOfEmitEndsRun: a code that could not be stored is not passed over.
func TestAnErrorOfEmitEndsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ports porttest.Ports
		peer := ports.AddSerial(line)
		full := errors.New("disk full")
		done := make(chan error, 1)
		go func() {
			done <- New(&ports, line, Config{Point: "scanner", Key: key}).Run(t.Context(), func(_ context.Context, r drivers.Reading) error {
				if r.Happened != nil {
					return full
				}
				return nil
			})
		}()
		time.Sleep(time.Second)
		if _, err := peer.Write([]byte("x\r")); err != nil {
			t.Fatal(err)
		}
		if err := <-done; !errors.Is(err, full) {
			t.Errorf("got %v, want %v", err, full)
		}
	})
}

// FuzzSplit holds the splitter against what it should find.
func FuzzSplit(f *testing.F) {
	f.Add([]byte("6901234567892\r\n\r\nabc"))
	f.Add([]byte("\x00\xff\r\r\n\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var s splitter
		var got [][]byte
		for _, b := range data {
			if s.take(b) {
				if !s.tooLong {
					got = append(got, bytes.Clone(s.code))
				}
				s.forget()
			}
		}
		rest := bytes.FieldsFunc(data, func(r rune) bool { return r == '\r' || r == '\n' })
		var want [][]byte
		for i, code := range rest {
			last := i == len(rest)-1 && len(data) > 0 && data[len(data)-1] != '\r' && data[len(data)-1] != '\n'
			if !last && len(code) <= MaxCode {
				want = append(want, code)
			}
		}
		if len(got) != len(want) {
			t.Fatalf("%d codes of %q, want %d", len(got), data, len(want))
		}
		for i := range got {
			if !bytes.Equal(got[i], want[i]) {
				t.Errorf("code %d is %q, want %q", i, got[i], want[i])
			}
		}
	})
}
