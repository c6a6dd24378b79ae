package escpos

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/longan-edge/longan/drivers"
	"github.com/longan-edge/longan/drivers/porttest"
)

const uart = "/dev/ttyS2"

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// device answers DLE EOT n with the bytes under n, in hex; none is silence.
type device struct {
	peer *porttest.Peer

	mu      sync.Mutex
	answers map[int]string
	delay   time.Duration
	asked   [kinds + 1]int
}

func plug(t *testing.T, ports *porttest.Ports, answers map[int]string) *device {
	d := &device{peer: ports.AddSerial(uart), answers: answers}
	done := make(chan struct{})
	go func() {
		defer close(done)
		req := make([]byte, 0, 3)
		b := make([]byte, 1)
		for {
			if _, err := d.peer.Read(b); err != nil {
				return
			}
			if req = append(req, b...); len(req) == 3 {
				d.answer(t, req)
				req = req[:0]
			}
		}
	}()
	t.Cleanup(func() { d.peer.Close(); <-done })
	return d
}

func (d *device) answer(t *testing.T, req []byte) {
	if req[0] != dle || req[1] != eot || req[2] < 1 || req[2] > kinds {
		t.Errorf("got % x, want DLE EOT 1 to 4", req)
		return
	}
	d.mu.Lock()
	n := int(req[2])
	answer, delay := d.answers[n], d.delay
	d.asked[n]++
	d.mu.Unlock()
	time.Sleep(delay)
	d.peer.Write(unhex(t, answer))
}

func (d *device) set(n int, answer string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answers[n] = answer
}

func healthy() map[int]string { return map[int]string{1: "12", 2: "12", 3: "12", 4: "12"} }

var everything = map[Signal]string{
	Cover: "cover", PaperNearEnd: "near", PaperOut: "out", Offline: "offline", Error: "error",
}

type bench struct {
	printer *Printer
	cancel  context.CancelFunc
	done    chan struct{}
	err     error

	mu   sync.Mutex
	last map[string]string // state by point
	n    int
}

func start(t *testing.T, ports drivers.Ports, points map[Signal]string) *bench {
	ctx, cancel := context.WithCancel(t.Context())
	b := &bench{printer: New(ports, uart, Config{Points: points}), cancel: cancel, done: make(chan struct{}), last: map[string]string{}}
	go func() {
		defer close(b.done)
		b.err = b.printer.Run(ctx, b.emit)
	}()
	t.Cleanup(func() { cancel(); <-b.done })
	return b
}

func (b *bench) emit(_ context.Context, r drivers.Reading) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last[r.Point] = r.State.String()
	b.n++
	return nil
}

// states returns the last state of every point since the last call, in the
// order of everything's names.
func (b *bench) states() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var s []string
	for _, point := range []string{"cover", "error", "offline", "near", "out"} {
		if state, ok := b.last[point]; ok {
			s = append(s, point+"="+state)
		}
	}
	b.last = map[string]string{}
	return strings.Join(s, " ")
}

func TestStates(t *testing.T) {
	for _, test := range []struct {
		name    string
		answers map[int]string
		want    string
	}{
		{"healthy", healthy(), "cover=normal error=normal offline=normal near=normal out=normal"},
		{"drawer and feed button mean nothing", map[int]string{1: "56", 2: "1a", 3: "12", 4: "12"},
			"cover=normal error=normal offline=normal near=normal out=normal"},
		{"offline, stopped, no paper", map[int]string{1: "1a", 2: "32", 3: "12", 4: "7e"},
			"cover=normal error=normal offline=active near=active out=active"},
		{"cover open", map[int]string{1: "1a", 2: "16", 3: "12", 4: "12"},
			"cover=active error=normal offline=active near=normal out=normal"},
		{"near end", map[int]string{1: "12", 2: "12", 3: "12", 4: "1e"},
			"cover=normal error=normal offline=normal near=active out=normal"},
		{"cutter", map[int]string{1: "1a", 2: "52", 3: "1a", 4: "12"},
			"cover=normal error=active offline=active near=normal out=normal"},
		{"error told only by 2", map[int]string{1: "1a", 2: "52", 4: "12"},
			"cover=normal error=active offline=active near=normal out=normal"},
		{"clone without 3 and 4", map[int]string{1: "12", 2: "12"},
			"cover=normal error=unknown offline=normal near=unknown out=unknown"},
		{"clone without 4, out of paper", map[int]string{1: "1a", 2: "32", 3: "12"},
			"cover=normal error=normal offline=active near=unknown out=active"},
		{"clone with 4 alone", map[int]string{4: "12"},
			"cover=unknown error=unknown offline=unknown near=normal out=normal"},
		{"noise before the answer", map[int]string{1: "00 ff 12", 2: "11 13 12", 3: "93 12", 4: "10 00 00 0f 7e"},
			"cover=normal error=normal offline=normal near=active out=active"},
		{"flow control is no noise", map[int]string{1: "13 11 13 11 12 13", 2: "12", 3: "12", 4: "12"},
			"cover=normal error=normal offline=normal near=normal out=normal"},
		{"answers that drown in noise", map[int]string{1: "00 ff 00 1a", 2: "16 00 ff 00", 3: "1a 32 52 12", 4: "12"},
			"cover=unknown error=unknown offline=unknown near=normal out=normal"},
		{"wrong fixed bits", map[int]string{1: "92", 2: "02", 3: "13", 4: "12"},
			"cover=unknown error=unknown offline=unknown near=normal out=normal"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var ports porttest.Ports
				plug(t, &ports, test.answers)
				b := start(t, &ports, everything)
				time.Sleep(7 * time.Second)
				if got := b.states(); got != test.want {
					t.Errorf("got  %s\nwant %s", got, test.want)
				}
			})
		})
	}
}

func TestHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ports porttest.Ports
		d := plug(t, &ports, healthy())
		b := start(t, &ports, map[Signal]string{PaperOut: "out", Offline: "offline"})
		steps := []struct {
			name string
			do   func()
			wait time.Duration
			want string
		}{
			{"start", func() {}, time.Second, "offline=normal out=normal"},
			{"out of paper", func() { d.set(4, "72"); d.set(1, "1a") }, 2 * time.Second, "offline=active out=active"},
			{"refilled", func() { d.set(4, "12"); d.set(1, "12") }, 2 * time.Second, "offline=normal out=normal"},
			{"4 missed twice: no news", func() { d.set(4, "") }, 4 * time.Second, "offline=normal"},
			{"4 missed for the third time", func() {}, 2 * time.Second, "offline=normal out=unknown"},
			{"4 again", func() { d.set(4, "12") }, 2 * time.Second, "offline=normal out=normal"},
			{"unsolicited status", func() { d.peer.Write(unhex(t, "18 00 0c 0f 14 00 00 00")) }, 2 * time.Second, "offline=normal out=normal"},
		}
		for _, step := range steps {
			step.do()
			time.Sleep(step.wait)
			if got := b.states(); got != step.want {
				t.Errorf("%s: got %s, want %s", step.name, got, step.want)
			}
		}
		if got, want := b.printer.Stats(), (Stats{ASB: 8}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ports porttest.Ports
		d := plug(t, &ports, healthy())
		b := start(t, &ports, everything)
		time.Sleep(time.Second)
		b.states()
		d.mu.Lock()
		d.answers = map[int]string{}
		d.mu.Unlock()
		<-b.done
		if !errors.Is(b.err, drivers.ErrSilent) {
			t.Errorf("got %v, want ErrSilent", b.err)
		}
		if got, want := b.states(), "cover=unknown error=unknown offline=unknown near=unknown out=unknown"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.asked[1] != 1+misses {
			t.Errorf("asked %d times, want %d", d.asked[1], 1+misses)
		}
	})
}

// An answer that comes after the timeout says nothing about the next request:
// here the answer to 1 tells "offline", the one to 2 would read "error".
func TestLateAnswersAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ports porttest.Ports
		d := plug(t, &ports, map[int]string{1: "5a", 2: "12"})
		d.delay = 700 * time.Millisecond
		b := start(t, &ports, map[Signal]string{Cover: "cover", Offline: "offline", Error: "error"})
		<-b.done
		if got, want := b.states(), "cover=unknown error=unknown offline=unknown"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

// Where there is noise, an answer that the printer does not repeat is none.
func TestNoisyAnswerHasToBeRepeated(t *testing.T) {
	for _, test := range []struct {
		name    string
		answers []byte // to the first request and to the second
		want    string
	}{
		{"same", []byte{0x1a, 0x1a}, "offline=active"},
		{"other", []byte{0x1a, 0x12}, "offline=unknown"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var ports porttest.Ports
				ask := porttest.Expect(dle, eot, 1)
				ports.Script(uart, ask, porttest.Reply(0xff, test.answers[0]), ask, porttest.Reply(test.answers[1]))
				b := start(t, &ports, map[Signal]string{Offline: "offline"})
				time.Sleep(time.Second)
				if got := b.states(); got != test.want {
					t.Errorf("got %s, want %s", got, test.want)
				}
			})
		})
	}
}

func TestRequestNeverAnsweredIsRare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ports porttest.Ports
		d := plug(t, &ports, map[int]string{1: "12", 2: "12"})
		start(t, &ports, everything)
		time.Sleep(time.Minute - time.Second)
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.asked[1] < 25 || d.asked[4] < misses+1 || d.asked[4] > misses+2 {
			t.Errorf("in a minute: asked %v times", d.asked)
		}
	})
}

func TestBabbleIsNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ports porttest.Ports
		peer := ports.AddSerial(uart)
		stop := make(chan struct{})
		go func() {
			for i := byte(0); ; i++ {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
					peer.Write([]byte{i})
				}
			}
		}()
		defer close(stop)
		b := start(t, &ports, everything)
		<-b.done
		if b.err == nil || errors.Is(b.err, drivers.ErrSilent) || !strings.Contains(b.err.Error(), "never silent") {
			t.Errorf("got %v", b.err)
		}
		if got, want := b.states(), "cover=unknown error=unknown offline=unknown near=unknown out=unknown"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

func TestEnds(t *testing.T) {
	for _, test := range []struct {
		name   string
		points map[Signal]string
		ports  func(t *testing.T, b *porttest.Ports)
		end    func(b *bench, ports *porttest.Ports)
		want   string
	}{
		{"unplugged", everything, func(t *testing.T, p *porttest.Ports) { plug(t, p, healthy()) },
			func(_ *bench, p *porttest.Ports) { p.AddSerial(uart) }, "unplugged"},
		{"no port", everything, func(*testing.T, *porttest.Ports) {}, func(*bench, *porttest.Ports) {}, "no such port"},
		{"stopped", everything, func(t *testing.T, p *porttest.Ports) { plug(t, p, healthy()) },
			func(b *bench, _ *porttest.Ports) { b.cancel() }, "context canceled"},
		{"unknown signal", map[Signal]string{"toner": "x"}, func(*testing.T, *porttest.Ports) {},
			func(*bench, *porttest.Ports) {}, `signal "toner": want one of cover, error, offline`},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var ports porttest.Ports
				test.ports(t, &ports)
				b := start(t, &ports, test.points)
				time.Sleep(time.Second)
				test.end(b, &ports)
				<-b.done
				if b.err == nil || !strings.Contains(b.err.Error(), test.want) {
					t.Errorf("got %v, want %q", b.err, test.want)
				}
			})
		})
	}
}

func TestPrinterWithoutPointsIsStillWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ports porttest.Ports
		plug(t, &ports, nil)
		b := start(t, &ports, nil)
		<-b.done
		if !errors.Is(b.err, drivers.ErrSilent) {
			t.Errorf("got %v", b.err)
		}
	})
}
