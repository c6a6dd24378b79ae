package osdp

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/longan-edge/longan/drivers"
	"github.com/longan-edge/longan/drivers/porttest"
)

const (
	led3  = "53 01 16 00 07 69 00 00 00 00 00 00 00 00 00 01 01 00 02 02"
	dark1 = "53 01 16 00 05 69 00 00 00 00 00 00 00 00 00 01 01 00 00 00"
	buz3  = "53 01 0d 00 07 6a 00 02 05 05 00"
)

// lamp is a reader with a LED and a buzzer, at the end of a script.
func lamp(t *testing.T, frames ...string) (*bench, *porttest.Script) {
	var ports porttest.Ports
	script := ports.Script(port, dialogue(t, frames...)...)
	b := start(t, &ports, Config{Poll: time.Hour, Readers: []Reader{{Address: 1, Online: "r", Plain: true, LED: "led", Buzzer: "buzzer"}}})
	time.Sleep(time.Second)
	return b, script
}

func TestAct(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, script := lamp(t, hello(poll2, ack2, led3, ack3, dark1, "53 81 08 00 05 40")...)
		start := time.Now()
		for _, on := range []bool{true, false} {
			if err := b.panel.Act(t.Context(), "led", on); err != nil {
				t.Errorf("%v: %v", on, err)
			}
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("switching took %v: it waited for the next poll", took)
		}
		if err := script.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestActFails(t *testing.T) {
	for _, test := range []struct {
		name  string
		more  []string // of the script, after the first poll
		after func(b *bench, cancel context.CancelFunc)
		want  error
	}{
		{"refused", []string{buz3, "53 81 09 00 07 41 03"}, nil, NakCommand},
		{"silent", []string{buz3}, nil, drivers.ErrSilent},
		{"the session is over", []string{buz3, "53 81 09 00 07 41 04"}, nil, NakSequence},
		{"canceled", []string{buz3}, func(_ *bench, cancel context.CancelFunc) { cancel() }, context.Canceled},
		{"Run ends", []string{buz3}, func(b *bench, _ context.CancelFunc) { b.cancel() }, drivers.ErrNotRunning},
	} {
		synctest.Test(t, func(t *testing.T) {
			b, script := lamp(t, hello(append([]string{poll2, ack2}, test.more...)...)...)
			if test.name == "silent" || test.name == "canceled" || test.name == "Run ends" {
				// the reader hears the command three times
				script.Close()
				b.stop()
				frames := hello(poll2, ack2)
				steps := dialogue(t, frames...)
				for range 3 {
					steps = append(steps, porttest.Expect(append([]byte{mark}, crced(t, buz3)...)...))
				}
				steps = append(steps, porttest.Delay(time.Hour))
				var ports porttest.Ports
				script = ports.Script(port, steps...)
				b = start(t, &ports, Config{Poll: time.Hour, Readers: []Reader{{Address: 1, Online: "r", Plain: true, Buzzer: "buzzer"}}})
				time.Sleep(time.Second)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if test.after != nil {
				go func() { time.Sleep(100 * time.Millisecond); test.after(b, cancel) }()
			}
			if err := b.panel.Act(ctx, "buzzer", true); !errors.Is(err, test.want) {
				t.Errorf("%s: got %v, want %v", test.name, err, test.want)
			}
			b.stop()
			script.Close() // steps are left in some
		})
	}
}

func TestActOnALostReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ports porttest.Ports
		peer := ports.AddSerial(port)
		defer peer.Close()
		b := start(t, &ports, Config{Readers: []Reader{
			{Address: 1, Online: "r1", Plain: true, LED: "led1"}, {Address: 2, Online: "r2", Plain: true},
		}})
		go answerOnly(peer, 2)
		time.Sleep(5 * time.Second)
		if got := b.changes(); got == "" {
			t.Error("nothing was emitted")
		}
		if err := b.panel.Act(t.Context(), "led1", true); !errors.Is(err, drivers.ErrSilent) {
			t.Errorf("got %v, want ErrSilent", err)
		}
		b.stop()
	})
}

// answerOnly acknowledges every command to one reader, until the port is gone.
func answerOnly(peer *porttest.Peer, address byte) {
	buf := make([]byte, 256)
	for {
		n, err := peer.Read(buf)
		if err != nil {
			return
		}
		f, err := parseFrame(buf[1:n])
		if err != nil || f.address != address {
			continue
		}
		answer := frame{address: address, reply: true, seq: f.seq, crc: true, code: replyACK}
		peer.Write(answer.bytes())
	}
}

// TestCardIsStoredBeforeItIsConfirmed: the next command tells the reader that its
// card was taken.
func TestCardIsStoredBeforeItIsConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ports porttest.Ports
		script := ports.Script(port, dialogue(t, hello(poll2, "53 81 10 00 06 50 00 00 1a 00 86 43 83 c0", poll3, ack3)...)...)
		panel, err := New(&ports, port, Config{CardKey: cardKey, Readers: []Reader{{Address: 1, Online: "r", Plain: true}}})
		if err != nil {
			t.Fatal(err)
		}
		cards := 0
		err = panel.Run(t.Context(), func(_ context.Context, r drivers.Reading) error {
			if r.Happened != nil && r.Happened.Type == "access.card" {
				cards++
				time.Sleep(10 * time.Second) // the disk
				if left := script.Left(); left != 2 {
					t.Errorf("%d steps left while the card is being stored, want 2", left)
				}
			}
			return nil
		})
		if cards != 1 || !errors.Is(err, drivers.ErrSilent) { // at the end of the script
			t.Errorf("%d cards, %v", cards, err)
		}
		if err := script.Close(); err != nil {
			t.Error(err)
		}
	})
}
