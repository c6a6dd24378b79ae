package peripheral

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/drivers"
	"github.com/longan-edge/longan/drivers/porttest"
	"github.com/longan-edge/longan/drivers/wiegand"
)

// wiegandBench is a driver and the reader on its wires, in a bubble.
type wiegandBench struct {
	ports  porttest.Ports
	reader *WiegandReader

	mu   sync.Mutex
	said []string // changes of state, and what happened
	last longan.PointState
	errs []error
}

func wiegandTest(t *testing.T, history func(*testing.T, *wiegandBench)) {
	synctest.Test(t, func(t *testing.T) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
		var b wiegandBench
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		b.plug(ctx, &wg)
		d, err := wiegand.New(&b.ports, wiegand.Config{Point: "reader", D0: "soc:4", D1: "soc:5", Keypad: true, CardKey: []byte("a key of the board")})
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			for ctx.Err() == nil {
				err := d.Run(ctx, b.emit)
				b.mu.Lock()
				b.errs = append(b.errs, err)
				b.mu.Unlock()
				select {
				case <-ctx.Done():
				case <-time.After(500 * time.Millisecond):
				}
			}
		})
		time.Sleep(time.Second)
		history(t, &b)
		cancel()
		wg.Wait()
	})
}

// plug wires a reader to the board, in place of the one before.
func (b *wiegandBench) plug(ctx context.Context, wg *sync.WaitGroup) {
	r := NewWiegandReader(WiegandConfig{D0: b.ports.AddLine("soc:4"), D1: b.ports.AddLine("soc:5")})
	b.reader = r
	wg.Go(func() { _ = r.Serve(ctx) })
}

func (b *wiegandBench) emit(_ context.Context, r drivers.Reading) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.said) == 0 && b.last == longan.Unknown || r.State != b.last {
		b.said = append(b.said, r.State.String())
	}
	if h := r.Happened; h != nil {
		b.said = append(b.said, h.Type+string(h.Data))
	}
	b.last = r.State
	return nil
}

// after waits and returns what was said, and the state.
func (b *wiegandBench) after(d time.Duration) (said []string, state longan.PointState) {
	time.Sleep(d)
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	said, b.said = b.said, nil
	return said, b.last
}

const (
	wiegand26 = "10000110010000111000001111"
	wiegand34 = "1000100100011010001010110011110001"
)

func TestWiegandReaderAndDriver(t *testing.T) {
	wiegandTest(t, func(t *testing.T, b *wiegandBench) {
		if got, _ := b.after(0); !slices.Equal(got, []string{"normal"}) {
			t.Errorf("at rest: %q", got)
		}
		for _, test := range []struct {
			name string
			do   func(r *WiegandReader)
			want []string // the beginning and the end of what is said, in turn
		}{
			{"26 bits", func(r *WiegandReader) { r.Card(wiegand26) }, []string{"access.card", `"bits":26,"format":"ok"}`}},
			{"34 bits", func(r *WiegandReader) { r.Card(wiegand34) }, []string{"access.card", `"bits":34,"format":"ok"}`}},
			{"two cards and a key", func(r *WiegandReader) { r.Card(wiegand26); r.Card(wiegand34); r.Key(7) },
				[]string{"access.card", `"bits":26,"format":"ok"}`, "access.card", `"bits":34,"format":"ok"}`, "access.keys", `{"keys":1}`}},
			{"silent", func(r *WiegandReader) { r.FailNext(1, Silent); r.Card(wiegand26) }, nil},
			{"late", func(r *WiegandReader) { r.FailNext(1, Late); r.Card(wiegand26) }, []string{"access.card", `"bits":26,"format":"ok"}`}},
			{"a bit wrong", func(r *WiegandReader) { r.FailNext(1, WrongCRC); r.Card(wiegand26) }, []string{"access.card", `"bits":26,"format":"parity"}`}},
			{"half a frame", func(r *WiegandReader) { r.FailNext(1, HalfFrame); r.Card(wiegand26) }, []string{"access.misread", `{"reason":"bits","bits":13,"count":1}`}},
			{"both wires at once, within the same minute", func(r *WiegandReader) { r.Both() }, nil},
			{"a card after all that", func(r *WiegandReader) { r.Card(wiegand26) }, []string{"access.card", `"bits":26,"format":"ok"}`}},
		} {
			test.do(b.reader)
			got, _ := b.after(3 * time.Second)
			ok := len(got)*2 == len(test.want)
			for i := 0; ok && i < len(got); i++ {
				ok = strings.HasPrefix(got[i], test.want[2*i]) && strings.HasSuffix(got[i], test.want[2*i+1])
			}
			if !ok {
				t.Errorf("%s: got %q, want %q", test.name, got, test.want)
			}
		}
		b.after(time.Minute)
		b.reader.Both()
		if got, _ := b.after(time.Second); !strings.Contains(fmt.Sprint(got), `{"reason":"timing","bits":2,"count":2}`) {
			t.Errorf("both wires at once: %q", got)
		}
		b.reader.SetFault(Babbling)
		if got, state := b.after(5 * time.Second); state != longan.Fault {
			t.Errorf("babbling: %q, %v", got, state)
		}
		b.reader.SetFault(NoFault)
		b.after(3 * time.Second)
		b.reader.Card(wiegand26)
		if got, state := b.after(time.Second); !strings.Contains(fmt.Sprint(got), `"format":"ok"`) || state != longan.Normal {
			t.Errorf("healed: %q, %v", got, state)
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		if len(b.errs) > 0 {
			t.Errorf("Run ended: %v", b.errs)
		}
	})
}

// TestWiegandReaderUnplugged also shows that nothing is left behind: the bubble
// fails the test if a goroutine is.
func TestWiegandReaderUnplugged(t *testing.T) {
	wiegandTest(t, func(t *testing.T, b *wiegandBench) {
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for round := range 1000 {
			b.after(2 * time.Second)
			b.plug(ctx, &wg) // the chip goes, and comes again
			if got, _ := b.after(2 * time.Second); !slices.Equal(got, []string{"unknown", "normal"}) {
				t.Errorf("round %d: %q", round, got)
				break
			}
			b.reader.Card(wiegand26)
			if got, _ := b.after(time.Second); len(got) != 1 || !strings.Contains(got[0], `"format":"ok"`) {
				t.Errorf("round %d: %q", round, got)
				break
			}
		}
		cancel()
		wg.Wait()
	})
}
