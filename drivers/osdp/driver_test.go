package osdp

import (
	"bytes"
	"context"
	"errors"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/drivers"
	"github.com/longan-edge/longan/drivers/internal/card"
	"github.com/longan-edge/longan/drivers/porttest"
)

const port = "/dev/ttyS1"

var cardKey = []byte("a key for tests!")

// bench runs a panel against whatever is on its line, inside a bubble.
type bench struct {
	panel  *Panel
	cancel context.CancelFunc
	err    error // of Run, once done is closed
	done   chan struct{}

	mu       sync.Mutex
	readings []drivers.Reading
}

func start(t *testing.T, ports drivers.Ports, cfg Config) *bench {
	t.Helper()
	cfg.CardKey = cardKey
	panel, err := New(ports, port, cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	b := &bench{panel: panel, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(b.done)
		b.err = panel.Run(ctx, b.emit)
	}()
	t.Cleanup(func() { cancel(); <-b.done })
	return b
}

func (b *bench) emit(_ context.Context, r drivers.Reading) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.readings = append(b.readings, r)
	return nil
}

// changes returns the points that took another state since the last call, and
// what happened, in order.
func (b *bench) changes() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	last := map[string]longan.PointState{}
	var s []string
	for _, r := range b.readings {
		if state, ok := last[r.Point]; !ok || state != r.State {
			last[r.Point] = r.State
			s = append(s, r.Point+"="+r.State.String())
		}
		if r.Happened != nil {
			s = append(s, r.Happened.Type+string(r.Happened.Data))
		}
	}
	b.readings = nil
	return strings.Join(s, " ")
}

// stop ends Run and returns its error.
func (b *bench) stop() error {
	b.cancel()
	<-b.done
	return b.err
}

// play plays a recording's reader.
func play(t *testing.T, ports *porttest.Ports, name string) *porttest.Script {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	steps, err := porttest.ParseTranscript(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return ports.Script(port, steps...)
}

// TestRecordedExchanges lets the panel talk to the recorded readers: it must send
// every byte that the recorded panel sent.
func TestRecordedExchanges(t *testing.T) {
	var cards [][]string
	for _, test := range []struct {
		name   string
		reader Reader
		want   string // in the changes, once
	}{
		{"plain.txt", Reader{Address: 1, Online: "reader", Plain: true}, `reader.insecure{"reason":"plain"}`},
		{"secure.txt", Reader{Address: 1, Online: "reader", Installation: true}, `reader.insecure{"reason":"default-key"}`},
	} {
		synctest.Test(t, func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
			var ports porttest.Ports
			script := play(t, &ports, test.name)
			b := start(t, &ports, Config{
				Poll: 200 * time.Millisecond, Readers: []Reader{test.reader},
				Rand: bytes.NewReader(unhex(t, "1e2f4ea91f77b8db")),
			})
			for script.Left() > 0 {
				time.Sleep(time.Millisecond)
			}
			if err := b.stop(); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: Run: %v", test.name, err)
			}
			if err := script.Close(); err != nil {
				t.Errorf("%s: %v", test.name, err)
			}
			got := b.changes()
			if strings.Count(got, test.want) != 1 {
				t.Errorf("%s: %q has not one %q", test.name, got, test.want)
			}
			cards = append(cards, slices.DeleteFunc(strings.Fields(got), func(s string) bool { return !strings.HasPrefix(s, card.TypeCard) }))
			for _, number := range []string{"00000100", "00000200", "00000300", "00000400"} {
				if strings.Contains(got, number) {
					t.Errorf("%s: the card's bits are in %q", test.name, got)
				}
			}
		})
	}
	// The same cards were held to both.
	if len(cards[0]) != 4 || !slices.Equal(cards[0], cards[1]) {
		t.Errorf("cards: got\n%q\n%q", cards[0], cards[1])
	}
}

// crced adds the CRC to a frame in hex.
func crced(t testing.TB, s string) []byte {
	b := unhex(t, s)
	crc := crc16(b)
	return append(b, byte(crc), byte(crc>>8))
}

// dialogue makes a script of frames in hex, in turn from the panel and from the
// reader, whose CRC and mark it adds.
func dialogue(t testing.TB, frames ...string) []porttest.Step {
	var steps []porttest.Step
	for i, f := range frames {
		b := append([]byte{mark}, crced(t, f)...)
		if i%2 == 0 {
			steps = append(steps, porttest.Expect(b...))
		} else {
			steps = append(steps, porttest.Reply(b...))
		}
	}
	return steps
}

// hello is how a session without a secure channel begins, up to sequence number 2.
func hello(frames ...string) []string {
	return append([]string{
		"53 01 09 00 04 61 00", "53 81 14 00 04 45 5a 42 43 01 00 01 00 00 00 00 01 00",
		"53 01 09 00 05 62 00", "53 81 0b 00 05 46 04 04 01",
	}, frames...)
}

const (
	poll2, poll3 = "53 01 08 00 06 60", "53 01 08 00 07 60"
	ack2, ack3   = "53 81 08 00 06 40", "53 81 08 00 07 40"
)

// TestRefusals has the panel meet a NAK, or what is like one.
func TestRefusals(t *testing.T) {
	for _, test := range []struct {
		name    string
		frames  []string
		changes string // after the frames
		err     string // of Run, when the reader goes on so; "" is that it goes on
	}{
		{"NAK 1: the command is repeated as it was", hello(poll2, "53 81 09 00 06 41 01", poll2, ack2, poll3, ack3), "reader=normal", ""},
		{"NAK 3 to CAP: it does without", []string{
			"53 01 09 00 04 61 00", "53 81 14 00 04 45 5a 42 43 01 00 01 00 00 00 00 01 00",
			"53 01 09 00 05 62 00", "53 81 09 00 05 41 03", poll2, ack2}, "reader=normal", ""},
		{"NAK 3 to ID: it does without", []string{
			"53 01 09 00 04 61 00", "53 81 09 00 04 41 03", "53 01 09 00 05 62 00", "53 81 08 00 05 46", poll2, ack2}, "reader=normal", ""},
		{"NAK 4: the session begins again", append(hello(poll2, "53 81 09 00 06 41 04"), hello(poll2, ack2)...), "reader=normal", ""},
		{"NAK 6: it is told", append(hello(poll2, "53 81 09 00 06 41 06"), append(hello(poll2, "53 81 09 00 06 41 06"), hello(poll2, "53 81 09 00 06 41 06")...)...),
			"reader=unknown", "wants a secure channel"},
		{"BUSY has number 0 and asks for the same again", hello(poll2, "53 81 08 00 04 79", poll2, "53 81 08 00 04 79", poll2, ack2), "reader=normal", ""},
		{"NAK 3 to POLL is no reader", hello(poll2, "53 81 09 00 06 41 03", poll3, "53 81 09 00 07 41 03", "53 01 08 00 05 60", "53 81 09 00 05 41 03"),
			"reader=unknown", "unknown command"},
		{"NAK without a reason", hello(poll2, "53 81 08 00 06 41", poll2, "53 81 08 00 06 41", poll2, "53 81 08 00 06 41"), "reader=unknown", "malformed"},
		{"RAW with more bits than bytes is not believed", hello(poll2, "53 81 10 00 06 50 00 00 21 00 86 43 83 c0", poll3, ack3), "reader=normal", ""},
		{"RAW with no bits", hello(poll2, "53 81 0c 00 06 50 00 00 00 00", poll3, ack3), "reader=normal", ""},
		{"RAW cut short", hello(poll2, "53 81 0a 00 06 50 00 00", poll3, ack3), "reader=normal", ""},
		{"KEYPAD that lies", hello(poll2, "53 81 0c 00 06 53 00 05 31 32", poll3, ack3), "reader=normal", ""},
		{"LSTATR cut short", hello(poll2, "53 81 09 00 06 48 01", poll3, ack3), "reader=normal", ""},
		{"a reply that nobody knows", hello(poll2, "53 81 0b 00 06 b1 01 02 03", poll3, ack3), "reader=normal", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var ports porttest.Ports
				script := ports.Script(port, dialogue(t, test.frames...)...)
				b := start(t, &ports, Config{Poll: 100 * time.Millisecond, Readers: []Reader{{Address: 1, Online: "reader", Plain: true}}})
				for end := time.Now().Add(time.Minute); script.Left() > 0 && time.Now().Before(end); {
					time.Sleep(time.Millisecond)
				}
				time.Sleep(10 * time.Millisecond) // for what follows from the last
				got := strings.ReplaceAll(b.changes(), ` reader.insecure{"reason":"plain"}`, "")
				if last := got[strings.LastIndex(got, " ")+1:]; last != test.changes {
					t.Errorf("got %q, want %q in the end", got, test.changes)
				}
				err := b.stop()
				if test.err == "" && !errors.Is(err, context.Canceled) || test.err != "" && !strings.Contains(err.Error(), test.err) {
					t.Errorf("Run: got %v, want %q", err, test.err)
				}
				if err := script.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestNobodyElseIsBelieved has a foreign card in the clear, a replay and a flipped
// MAC among the recorded frames of a secure channel.
func TestNobodyElseIsBelieved(t *testing.T) {
	raw, frames := recorded(t, "secure.txt")
	for name, forged := range map[string][]byte{
		"a card in the clear": crced(t, "53 81 10 00 05 50 00 00 1a 00 86 43 83 c0"),
		"a replay":            raw[5],
		"a flipped MAC": func() []byte {
			f := *frames[9]
			f.mac = []byte{f.mac[0] ^ 1, f.mac[1], f.mac[2], f.mac[3]}
			return f.bytes()
		}(),
	} {
		synctest.Test(t, func(t *testing.T) {
			var ports porttest.Ports
			var steps []porttest.Step
			for i := range 10 { // up to the answer to the first poll
				b := append([]byte{mark}, raw[i]...)
				switch {
				case i%2 == 0:
					steps = append(steps, porttest.Expect(b...))
				case i < 9:
					steps = append(steps, porttest.Reply(b...))
				default:
					forged := bytes.Clone(forged)
					forged[4] = forged[4]&^3 | frames[9].seq // and its sum
					forged = forged[:len(forged)-2]
					crc := crc16(forged)
					steps = append(steps, porttest.Reply(append(forged, byte(crc), byte(crc>>8))...))
				}
			}
			script := ports.Script(port, steps...)
			b := start(t, &ports, Config{
				Readers: []Reader{{Address: 1, Online: "reader", Installation: true}}, Retries: -1,
				Rand: bytes.NewReader(unhex(t, "1e2f4ea91f77b8db")),
			})
			<-b.done
			if got := b.changes(); got != "reader=unknown" {
				t.Errorf("%s: got %q, want nothing but unknown", name, got)
			}
			if err := b.err; !errors.Is(err, errRestart) {
				t.Errorf("%s: Run: %v", name, err)
			}
			if err := script.Close(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

// TestWhatAReaderDoesNotTell: tamper and inputs that it refuses to tell of are
// unknown, and the reader is well.
func TestWhatAReaderDoesNotTell(t *testing.T) {
	const lstat2, istat3 = "53 01 08 00 06 64", "53 01 08 00 07 65"
	reader := Reader{Address: 1, Online: "r", Plain: true, Tamper: "t", Power: "p", Inputs: []Input{{Point: "i", Number: 2}}}
	for _, test := range []struct {
		name   string
		frames []string
		want   string
	}{
		{"refused", hello(lstat2, "53 81 09 00 06 41 03", istat3, "53 81 09 00 07 41 03", "53 01 08 00 05 60", "53 81 08 00 05 40"),
			"r=normal t=unknown i=unknown p=unknown"},
		{"too few", hello(lstat2, "53 81 0a 00 06 48 00 01", istat3, "53 81 09 00 07 49 01", "53 01 08 00 05 60", "53 81 08 00 05 40"),
			"r=normal t=normal p=active i=unknown"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var ports porttest.Ports
			script := ports.Script(port, dialogue(t, test.frames...)...)
			b := start(t, &ports, Config{Poll: 100 * time.Millisecond, Readers: []Reader{reader}})
			time.Sleep(260 * time.Millisecond)
			if got := strings.ReplaceAll(b.changes(), ` reader.insecure{"reason":"plain"}`, ""); got != test.want {
				t.Errorf("%s: got %q, want %q", test.name, got, test.want)
			}
			b.stop()
			if err := script.Close(); err != nil {
				t.Errorf("%s: %v", test.name, err)
			}
		})
	}
}

func TestNoRandomNumbers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ports porttest.Ports
		peer := ports.AddSerial(port)
		defer peer.Close()
		b := start(t, &ports, Config{Readers: []Reader{{Address: 1, Online: "r", Installation: true}}, Rand: bytes.NewReader(nil)})
		<-b.done
		if got := b.changes(); got != "r=unknown" || b.err == nil || !strings.Contains(b.err.Error(), "random number") {
			t.Errorf("got %q, %v", got, b.err)
		}
	})
}

func TestBusyForTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ports porttest.Ports
		frames := hello()
		for range 60 {
			frames = append(frames, poll2, "53 81 08 00 04 79")
		}
		script := ports.Script(port, dialogue(t, frames...)...)
		began := time.Now()
		b := start(t, &ports, Config{Poll: 100 * time.Millisecond, Readers: []Reader{{Address: 1, Online: "r", Plain: true}}})
		<-b.done
		if took := time.Since(began); b.err == nil || !strings.Contains(b.err.Error(), "busy") || took < busyLimit || took > busyLimit+time.Second {
			t.Errorf("after %v: %v", took, b.err)
		}
		script.Close()
	})
}

func TestHandshakeRefuses(t *testing.T) {
	_, frames := recorded(t, "secure.txt")
	for _, test := range []struct {
		name  string
		spoil func(ccrypt, rmac *frame)
		want  error
	}{
		{"as recorded", func(_, _ *frame) {}, nil},
		{"another code", func(c, _ *frame) { c.code = replyACK }, errHandshake},
		{"another block", func(c, _ *frame) { c.block[0] = scs14 }, errHandshake},
		{"cut short", func(c, _ *frame) { c.data = c.data[:31] }, errHandshake},
		{"another random number", func(c, _ *frame) { c.data[8] ^= 1 }, errKey},
		{"another cryptogram", func(c, _ *frame) { c.data[31] ^= 1 }, errKey},
		{"the reader says no", func(_, r *frame) { r.block[1] = 0xFF }, errRefusedKey},
		{"another initial MAC", func(_, r *frame) { r.data[0] ^= 1 }, errRefusedKey},
		{"no initial MAC", func(_, r *frame) { r.data = nil }, errHandshake},
	} {
		clone := func(i int) *frame {
			f := *frames[i]
			f.block, f.data = slices.Clone(f.block), slices.Clone(f.data)
			return &f
		}
		ccrypt, rmac := clone(1), clone(3)
		test.spoil(ccrypt, rmac)
		h, err := newHandshake(defaultKey(), keyDefault, frames[0].data)
		if err != nil {
			t.Fatal(err)
		}
		if err = h.challenged(ccrypt); err == nil {
			_, err = h.proved(rmac)
		}
		if !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, err, test.want)
		}
	}
	if _, err := newHandshake(defaultKey()[:15], keyOwn, frames[0].data); err == nil {
		t.Error("a short key was taken")
	}
}
