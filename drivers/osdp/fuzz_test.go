package osdp

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/drivers"
	"github.com/longan-edge/longan/drivers/internal/card"
)

// FuzzFrame: what parses is written as it was read.
func FuzzFrame(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		parsed, err := parseFrame(b)
		if err != nil {
			return
		}
		if got := parsed.bytes(); !bytes.Equal(got, b) {
			t.Errorf("% x was written as % x", b, got)
		}
	})
}

// FuzzScan: what is found is a sound frame among what was received, and patience
// only delays it.
func FuzzScan(f *testing.F) {
	f.Fuzz(func(t *testing.T, received []byte) {
		s := session{seq: 2}
		hasty, _ := scan(received, 1, false, s.wants)
		patient, _ := scan(received, 1, true, s.wants)
		if patient != nil && hasty == nil {
			t.Error("found with patience, not without")
		}
		for _, found := range []*frame{hasty, patient} {
			if found != nil && (!bytes.Contains(received, found.bytes()) || found.address != 1 || !found.reply) {
				t.Errorf("% x is not in % x", found.bytes(), received)
			}
		}
	})
}

// canned is a port on which answers lie ready, one for each command.
type canned struct {
	answers [][]byte
	pending []byte
}

func (c *canned) Write(b []byte) (int, error) {
	c.pending = nil
	if len(c.answers) > 0 {
		c.pending, c.answers = c.answers[0], c.answers[1:]
	}
	return len(b), nil
}

func (c *canned) Read(b []byte) (int, error) {
	n := copy(b, c.pending)
	if c.pending = c.pending[n:]; n == 0 {
		return 0, os.ErrDeadlineExceeded
	}
	return n, nil
}

func (c *canned) Close() error                     { return nil }
func (c *canned) SetReadDeadline(time.Time) error  { return nil }
func (c *canned) SetWriteDeadline(time.Time) error { return nil }

var happenings = regexp.MustCompile(`^(access\.card\{"card":"[0-9a-f]{16}","bits":[0-9]{1,5},"format":"(ok|parity|unknown)"\}` +
	`|access\.keys\{"keys":[0-9]{1,3}\})$`)

// FuzzReader: whatever a reader answers, the panel stands it, and only hashes and
// counts leave it. Each line of the input is one answer: its first byte says
// whether the panel's own wrapping, with number and checksum, is put around it.
func FuzzReader(f *testing.F) {
	f.Fuzz(func(t *testing.T, input []byte, secure bool) {
		cards, err := card.NewHasher(cardKey)
		if err != nil {
			t.Fatal(err)
		}
		cfg := Reader{Address: 1, Online: "r", Tamper: "t", Power: "p", Inputs: []Input{{Point: "i", Number: 2, NormallyClosed: true}},
			Plain: !secure, Installation: secure, Timeout: time.Millisecond}
		st := newStation(cfg, Config{Rand: rand.NewChaCha8([32]byte{}), Retries: 2}, cards)
		st.begin()
		port := &canned{}
		l := NewLine(nil, "canned", drivers.SerialMode{})
		k := link{l, newWire(port, l.mode)}
		k.wire.char = 0 // nothing here takes time
		emit := func(_ context.Context, r drivers.Reading) error {
			if len(r.Detail) > longan.MaxLabel {
				t.Errorf("a detail of %d bytes", len(r.Detail))
			}
			if h := r.Happened; h != nil && !happenings.MatchString(h.Type+string(h.Data)) {
				t.Errorf("happened: %s%s", h.Type, h.Data)
			}
			return nil
		}
		for answer := range bytes.SplitSeq(input, []byte{'\n'}) {
			if len(answer) > 1 && answer[0] == '=' {
				answer = (&frame{address: 1, reply: true, seq: st.seq, crc: true, code: answer[1], data: answer[2:]}).bytes()
			}
			port.answers = [][]byte{answer}
			if err := st.turn(t.Context(), k, emit); err != nil {
				t.Fatalf("turn: %v", err)
			}
			if err := st.flush(t.Context(), emit); err != nil {
				t.Fatal(err)
			}
			if st.seq > 3 || st.online && st.lost {
				t.Fatalf("number %d, online %v, lost %v", st.seq, st.online, st.lost)
			}
		}
	})
}
