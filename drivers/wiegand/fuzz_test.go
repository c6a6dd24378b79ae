package wiegand

import (
	"context"
	"encoding/binary"
	"os"
	"regexp"
	"testing"
	"time"

	"periph.io/x/conn/v3/gpio"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/drivers"
	"github.com/longan-edge/longan/drivers/internal/card"
)

// still are lines on which nothing happens any more.
type still struct{ lost uint64 }

func (s *still) Read([]drivers.Edge) (int, error) { return 0, os.ErrDeadlineExceeded }
func (s *still) SetReadDeadline(time.Time) error  { return nil }
func (s *still) Sense() ([]gpio.Level, error)     { return []gpio.Level{gpio.High, gpio.High}, nil }
func (s *still) Lost() uint64                     { return s.lost }
func (s *still) Close() error                     { return nil }

var happenings = regexp.MustCompile(`^(access\.card\{"card":"[0-9a-f]{16}","bits":(26|34),"format":"(ok|parity)"\}` +
	`|access\.keys\{"keys":1\}|access\.misread\{"reason":"(bits|timing|lost|key|noise)","bits":[0-9]+,"count":[0-9]+\})$`)

// FuzzPulses: whatever stands on the wires, each pulse is in one frame, and only
// hashes and counts leave the driver. A pulse is two bytes: the wire in the lowest
// bit, lost edges in the next, the time since the one before in units of 10 µs in
// the others.
func FuzzPulses(f *testing.F) {
	f.Fuzz(func(t *testing.T, input []byte, keypad bool) {
		cards, err := card.NewHasher(cardKey)
		if err != nil {
			t.Fatal(err)
		}
		lines := &still{}
		pulses, inFrames := 0, 0
		w := &watch{
			Reader: &Reader{cfg: Config{Point: "r", Gap: DefaultGap, Poll: DefaultPoll, Keypad: keypad}, cards: cards},
			lines:  lines, decoder: decoder{gap: DefaultGap},
			emit: func(_ context.Context, r drivers.Reading) error {
				if len(r.Detail) > longan.MaxLabel {
					t.Errorf("a detail of %d bytes", len(r.Detail))
				}
				if h := r.Happened; h != nil && !happenings.MatchString(h.Type+string(h.Data)) {
					t.Errorf("happened: %s%s", h.Type, h.Data)
				}
				return nil
			},
		}
		d := decoder{gap: DefaultGap} // beside it, to count
		at := time.Duration(0)
		for ; len(input) >= 2; input = input[2:] {
			v := binary.BigEndian.Uint16(input)
			at += time.Duration(v>>2) * 10 * time.Microsecond
			lines.lost += uint64(v >> 1 & 1)
			e := drivers.Edge{Line: int(v & 1), At: at}
			pulses++
			if ended, ok := d.pulse(e.Line, e.At); ok {
				inFrames += ended.n
			}
			if err := w.take(t.Context(), []drivers.Edge{e}); err != nil {
				t.Fatal(err)
			}
			if d.n > maxBits || d.n != w.n {
				t.Fatalf("%d and %d bits", d.n, w.n)
			}
		}
		if ended, ok := d.end(); ok {
			inFrames += ended.n
		}
		if pulses != inFrames {
			t.Errorf("%d pulses made %d bits", pulses, inFrames)
		}
		if f, ok := w.end(); ok {
			if err := w.frame(t.Context(), f); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.look(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}
