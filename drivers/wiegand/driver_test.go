package wiegand

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/gpio"

	"github.com/longan-edge/longan/drivers"
	"github.com/longan-edge/longan/drivers/porttest"
)

var cardKey = []byte("a key for tests!")

const (
	card26 = "10000110010000111000001111"
	card34 = "1000100100011010001010110011110001"
)

// bench is a reader on two wires, in a bubble.
type bench struct {
	t      *testing.T
	ports  porttest.Ports
	d0, d1 *porttest.Line
	done   chan struct{}
	cancel context.CancelFunc
	err    error // of Run, once done is closed

	mu    sync.Mutex
	said  []string // changes of state, and what happened
	last  drivers.Reading
	count int
	full  error // what emit fails with
}

func within(t *testing.T, cfg Config, history func(t *testing.T, b *bench)) {
	synctest.Test(t, func(t *testing.T) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
		b := &bench{t: t, done: make(chan struct{})}
		b.d0, b.d1 = b.ports.AddLine("soc:4"), b.ports.AddLine("soc:5")
		cfg.Point, cfg.D0, cfg.D1, cfg.Pull, cfg.CardKey = "reader", "soc:4", "soc:5", gpio.PullUp, cardKey
		r, err := New(&b.ports, cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		b.cancel = cancel
		go func() {
			defer close(b.done)
			b.err = r.Run(ctx, b.emit)
		}()
		synctest.Wait()
		history(t, b)
		cancel()
		<-b.done
	})
}

func (b *bench) emit(_ context.Context, r drivers.Reading) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.full != nil {
		return b.full
	}
	if b.count == 0 || r.State != b.last.State {
		b.said = append(b.said, r.State.String())
	}
	if h := r.Happened; h != nil {
		b.said = append(b.said, h.Type+string(h.Data))
	}
	b.last, b.count = r, b.count+1
	return nil
}

// fetch returns what was said since it was last called, and the last detail.
func (b *bench) fetch() (said []string, detail string) {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	said, b.said = b.said, nil
	return said, b.last.Detail
}

// send pulses the bits.
func (b *bench) send(bits string, interval time.Duration) {
	for _, bit := range bits {
		wire := map[rune]*porttest.Line{'0': b.d0, '1': b.d1}[bit]
		wire.Set(gpio.Low)
		time.Sleep(50 * time.Microsecond)
		wire.Set(gpio.High)
		time.Sleep(interval - 50*time.Microsecond)
	}
}

func TestCards(t *testing.T) {
	for _, test := range []struct {
		name, bits string
		interval   time.Duration
		want       string
	}{
		{"26", card26, time.Millisecond, `"bits":26,"format":"ok"`},
		{"26, slow", card26, 20 * time.Millisecond, `"bits":26,"format":"ok"`},
		{"26, fast", card26, 200 * time.Microsecond, `"bits":26,"format":"ok"`},
		{"34", card34, 2 * time.Millisecond, `"bits":34,"format":"ok"`},
		{"parity", "0" + card26[1:], time.Millisecond, `"bits":26,"format":"parity"`},
		{"25 bits", card26[1:], time.Millisecond, `access.misread{"reason":"bits","bits":25,"count":1}`},
		{"37 bits", card34 + "000", time.Millisecond, `access.misread{"reason":"bits","bits":37,"count":1}`},
		{"too fast", card26, 80 * time.Microsecond, `access.misread{"reason":"timing","bits":26,"count":1}`},
	} {
		within(t, Config{}, func(t *testing.T, b *bench) {
			if said, _ := b.fetch(); !slices.Equal(said, []string{"normal"}) {
				t.Errorf("%s: at rest: %q", test.name, said)
			}
			b.send(test.bits, test.interval)
			time.Sleep(100 * time.Millisecond)
			said, _ := b.fetch()
			if len(said) != 1 || !strings.Contains(said[0], test.want) {
				t.Errorf("%s: got %q, want %s", test.name, said, test.want)
			}
			for _, number := range []string{"864383c0", "34567", "12345678", card26, card34} {
				if strings.Contains(fmt.Sprint(said), number) {
					t.Errorf("%s: the number is in %q", test.name, said)
				}
			}
		})
	}
}

func TestOneCardOneHash(t *testing.T) {
	within(t, Config{}, func(t *testing.T, b *bench) {
		b.fetch()
		for _, interval := range []time.Duration{time.Millisecond, 5 * time.Millisecond} {
			for range 5 { // it is held to the reader
				b.send(card26, interval)
				time.Sleep(500 * time.Millisecond)
			}
			time.Sleep(3 * time.Second)
		}
		if said, _ := b.fetch(); len(said) != 2 || said[0] != said[1] {
			t.Errorf("the same card twice: %q", said)
		}
	})
}

func TestKeypad(t *testing.T) {
	for _, test := range []struct {
		keypad bool
		bits   string
		want   string
	}{
		{true, "0101", `access.keys{"keys":1}`},
		{true, "10100101", `access.keys{"keys":1}`},
		{true, "10100100", `access.misread{"reason":"key","bits":8,"count":1}`},
		{false, "0101", `access.misread{"reason":"bits","bits":4,"count":1}`},
		{true, card26, `"format":"ok"`},
	} {
		within(t, Config{Keypad: test.keypad}, func(t *testing.T, b *bench) {
			b.fetch()
			b.send(test.bits, time.Millisecond)
			time.Sleep(100 * time.Millisecond)
			if said, _ := b.fetch(); len(said) != 1 || !strings.Contains(said[0], test.want) {
				t.Errorf("%s: got %q, want %s", test.bits, said, test.want)
			}
		})
	}
}

func TestMisreadsAreCountedAndToldNowAndThen(t *testing.T) {
	within(t, Config{}, func(t *testing.T, b *bench) {
		b.fetch()
		for range 30 {
			b.send("101", time.Millisecond)
			time.Sleep(time.Second)
		}
		if said, _ := b.fetch(); !slices.Equal(said, []string{`access.misread{"reason":"bits","bits":3,"count":1}`}) {
			t.Errorf("a burst: %q", said)
		}
		time.Sleep(time.Minute)
		b.send("1", time.Millisecond)
		time.Sleep(time.Second)
		said, detail := b.fetch()
		if !slices.Equal(said, []string{`access.misread{"reason":"bits","bits":1,"count":30}`}) || !strings.Contains(detail, "misreads 31") {
			t.Errorf("later: %q, %q", said, detail)
		}
	})
}

func TestLostEdges(t *testing.T) {
	within(t, Config{}, func(t *testing.T, b *bench) {
		b.fetch()
		b.send(card26[:13], time.Millisecond)
		b.d0.Drop(2)
		b.send(card26[13:], time.Millisecond)
		time.Sleep(100 * time.Millisecond)
		if said, _ := b.fetch(); !slices.Equal(said, []string{`access.misread{"reason":"lost","bits":26,"count":1}`}) {
			t.Errorf("in a frame: %q", said)
		}
		b.d0.Drop(2) // before the next one
		b.send(card26, time.Millisecond)
		time.Sleep(100 * time.Millisecond)
		b.send(card26, time.Millisecond)
		time.Sleep(100 * time.Millisecond)
		if said, detail := b.fetch(); len(said) != 1 || !strings.Contains(said[0], `"format":"ok"`) || !strings.Contains(detail, "misreads 2") {
			t.Errorf("before a frame, and none: %q, %q", said, detail)
		}
	})
}

func TestWiresThatAreLowOrNoisy(t *testing.T) {
	within(t, Config{}, func(t *testing.T, b *bench) {
		b.fetch()
		b.d1.Set(gpio.Low)
		time.Sleep(3 * time.Second)
		said, detail := b.fetch()
		if len(said) != 2 || !strings.Contains(said[0], `"bits":1`) || said[1] != "fault" || !strings.Contains(detail, "D1 stays low") {
			t.Errorf("D1 low: %q, %q", said, detail)
		}
		b.d1.Set(gpio.High)
		time.Sleep(3 * time.Second)
		if said, _ := b.fetch(); !slices.Equal(said, []string{"normal"}) {
			t.Errorf("D1 high again: %q", said)
		}
		b.send(strings.Repeat("10", 2500), 2*time.Millisecond) // 10 s of noise
		said, detail = b.fetch()
		if !slices.Equal(said, []string{"fault"}) || !strings.Contains(detail, "pulses without end") {
			t.Errorf("noise: %q, %q", said, detail)
		}
		time.Sleep(3 * time.Second)
		if said, _ := b.fetch(); !slices.Equal(said, []string{"normal"}) {
			t.Errorf("rest: %q", said)
		}
	})
}

func TestLinesThatFail(t *testing.T) {
	within(t, Config{}, func(t *testing.T, b *bench) {
		b.fetch()
		b.d0.Unplug()
		<-b.done
		if said, _ := b.fetch(); !slices.Equal(said, []string{"unknown"}) || !errors.Is(b.err, drivers.ErrUnplugged) {
			t.Errorf("unplugged: %q, %v", said, b.err)
		}
	})
	within(t, Config{}, func(t *testing.T, b *bench) {
		b.fetch()
		broken := errors.New("broken")
		b.d0.Fail(broken)
		<-b.done
		if said, _ := b.fetch(); !slices.Equal(said, []string{"unknown"}) || !errors.Is(b.err, broken) {
			t.Errorf("unreadable: %q, %v", said, b.err)
		}
	})
	within(t, Config{}, func(t *testing.T, b *bench) {
		b.fetch()
		full := errors.New("spool is full")
		b.mu.Lock()
		b.full = full
		b.mu.Unlock()
		b.send(card26, time.Millisecond)
		<-b.done
		if said, _ := b.fetch(); len(said) > 0 || b.err != full {
			t.Errorf("not stored: %q, %v", said, b.err)
		}
	})
	within(t, Config{}, func(t *testing.T, b *bench) {
		b.send(card26[:5], time.Millisecond) // in the middle of a frame
		b.cancel()
		<-b.done
		if !errors.Is(b.err, context.Canceled) {
			t.Errorf("canceled: %v", b.err)
		}
	})
}

// plainPorts are ports without edges.
type plainPorts struct{ drivers.Ports }

func TestRefusals(t *testing.T) {
	good := Config{Point: "reader", D0: "soc:4", D1: "soc:5", CardKey: cardKey}
	for _, test := range []struct {
		name   string
		change func(*Config)
		says   string
	}{
		{"no key", func(c *Config) { c.CardKey = nil }, "key for card numbers"},
		{"no point", func(c *Config) { c.Point = "" }, "no name"},
		{"one line", func(c *Config) { c.D1 = "" }, "want two lines"},
		{"the same line twice", func(c *Config) { c.D1 = c.D0 }, "want two lines"},
	} {
		cfg := good
		test.change(&cfg)
		if _, err := New(&porttest.Ports{}, cfg); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: got %v, want an error that says %q", test.name, err, test.says)
		}
	}
	var ports porttest.Ports
	ports.AddLine("soc:4")
	ports.AddLine("expander:5")
	for _, test := range []struct {
		name  string
		ports drivers.Ports
		d1    string
		want  error
	}{
		{"no such line", &ports, "soc:5", drivers.ErrNoPort},
		{"two chips", &ports, "expander:5", errors.ErrUnsupported},
		{"ports without edges", plainPorts{&ports}, "soc:5", errors.ErrUnsupported},
	} {
		cfg := good
		cfg.D1 = test.d1
		r, err := New(test.ports, cfg)
		if err != nil {
			t.Fatal(err)
		}
		var said []string
		err = r.Run(t.Context(), func(_ context.Context, r drivers.Reading) error {
			said = append(said, r.Point+"="+r.State.String())
			return nil
		})
		if !errors.Is(err, test.want) || !slices.Equal(said, []string{"reader=unknown"}) {
			t.Errorf("%s: got %v, %q", test.name, err, said)
		}
	}
}
