//go:build linux

package peripheral

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

	"github.com/longan-edge/longan/drivers"
	"github.com/longan-edge/longan/drivers/osdp"
	"github.com/longan-edge/longan/drivers/porttest"
)

const osdpPort = "/dev/ttyS1"

var (
	osdpKey     = []byte("reader-1 own key")
	osdpCardKey = []byte("a key of the board's own")
)

// panelBench is a panel and the readers on its line, in a bubble.
type panelBench struct {
	t       *testing.T
	ports   porttest.Ports
	line    *OSDPLine
	panel   *osdp.Panel
	serving sync.WaitGroup
	peer    *porttest.Peer

	mu       sync.Mutex
	last     map[string]drivers.Reading
	happened []string
	errs     []error
	said     strings.Builder // all that was emitted or returned as an error
}

// panelTest runs a history with a panel that is run again and again, as the
// supervisor does.
func panelTest(t *testing.T, readers []*OSDPReader, cfg osdp.Config, history func(*testing.T, *panelBench)) {
	synctest.Test(t, func(t *testing.T) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
		b := &panelBench{t: t, line: NewOSDPLine(readers...), last: map[string]drivers.Reading{}}
		cfg.CardKey = osdpCardKey
		var err error
		if b.panel, err = osdp.New(&b.ports, osdpPort, cfg); err != nil {
			t.Fatal(err)
		}
		b.plug()
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { b.supervise(ctx, b.panel) })
		history(t, b)
		cancel()
		wg.Wait()
		b.peer.Close()
		b.serving.Wait()
	})
}

// supervise runs a panel again and again until ctx ends.
func (b *panelBench) supervise(ctx context.Context, panel *osdp.Panel) {
	for ctx.Err() == nil {
		err := panel.Run(ctx, b.emit)
		b.mu.Lock()
		b.errs = append(b.errs, err)
		fmt.Fprintln(&b.said, err)
		b.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// plug puts the line's adaptor in.
func (b *panelBench) plug() {
	b.peer = b.ports.AddSerial(osdpPort)
	peer := b.peer
	b.serving.Go(func() { _ = b.line.Serve(context.Background(), peer) }) // ends with the unplugging
}

func (b *panelBench) emit(_ context.Context, r drivers.Reading) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last[r.Point] = r
	fmt.Fprintln(&b.said, r.Point, r.State, r.Detail)
	if r.Happened != nil {
		b.happened = append(b.happened, r.Happened.Type+string(r.Happened.Data))
		fmt.Fprintln(&b.said, string(r.Happened.Data))
	}
	return nil
}

// after waits for d and compares the points named in want, "a=normal b=fault".
func (b *panelBench) after(d time.Duration, step, want string) {
	b.t.Helper()
	time.Sleep(d)
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	for pair := range strings.FieldsSeq(want) {
		point, state, _ := strings.Cut(pair, "=")
		if r := b.last[point]; r.State.String() != state {
			b.t.Errorf("%s: %s is %v (%s), want %s; errors %v", step, point, r.State, r.Detail, state, b.errs)
		}
	}
}

// fetch returns what happened since it was last called.
func (b *panelBench) fetch() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	h := b.happened
	b.happened = nil
	return h
}

// failures returns the errors of all Runs so far.
func (b *panelBench) failures() []error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.errs)
}

func (b *panelBench) lastError() error {
	if errs := b.failures(); len(errs) > 0 {
		return errs[len(errs)-1]
	}
	return nil
}

// everything returns all that was said.
func (b *panelBench) everything() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.said.String()
}

func secured(address int) osdp.Reader {
	return osdp.Reader{
		Address: address, Online: fmt.Sprintf("r%d", address), Tamper: fmt.Sprintf("t%d", address),
		Power: fmt.Sprintf("p%d", address), Key: osdpKey,
		LED: fmt.Sprintf("led%d", address), Buzzer: fmt.Sprintf("buzzer%d", address),
		Inputs: []osdp.Input{{Point: fmt.Sprintf("i%d", address), Number: 1}, {Point: fmt.Sprintf("j%d", address), Number: 2, NormallyClosed: true}},
	}
}

func securedReader(address byte) *OSDPReader {
	r := NewOSDPReader(OSDPConfig{Address: address, Key: osdpKey, Inputs: 2, Random: [8]byte{1, 2, 3, address}})
	r.SetInput(2, 1)
	return r
}

// osdpCard is a card of 26 bits: facility 12, number 34567; otherCard is another.
const (
	osdpCard  = "10000110010000111000001111"
	otherCard = "00000000000000000000000001"
)

func TestPanelAndReader(t *testing.T) {
	for _, test := range []struct {
		name   string
		reader *OSDPReader
		cfg    func(*osdp.Reader)
		warns  string
	}{
		{"secure", securedReader(1), func(*osdp.Reader) {}, ""},
		{"secure, checksum", securedReader(1), func(r *osdp.Reader) { r.Checksum = true }, ""},
		{"plain", NewOSDPReader(OSDPConfig{Address: 1, Plain: true, Inputs: 2}), func(r *osdp.Reader) { r.Key, r.Plain = nil, true }, "plain"},
		{"installation", NewOSDPReader(OSDPConfig{Address: 1, Inputs: 2}), func(r *osdp.Reader) { r.Key, r.Installation = nil, true }, "default-key"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := secured(1)
			test.cfg(&cfg)
			r := test.reader
			r.SetInput(2, 1)
			panelTest(t, []*OSDPReader{r}, osdp.Config{Readers: []osdp.Reader{cfg}}, func(t *testing.T, b *panelBench) {
				b.after(time.Second, "start", "r1=normal t1=normal p1=normal i1=normal j1=normal")
				if got := strings.Join(b.fetch(), " "); (test.warns == "") != (got == "") || !strings.Contains(got, test.warns) {
					t.Errorf("warnings: got %q, want %q", got, test.warns)
				}
				if all := b.everything(); strings.Contains(all, "WARNING") != (test.warns != "") {
					t.Errorf("details: %q", all)
				}
				r.SetTamper(true)
				b.after(150*time.Millisecond, "tamper", "r1=normal t1=active p1=normal")
				r.SetPower(true)
				r.SetInput(1, 1)
				b.after(300*time.Millisecond, "power, input", "p1=active i1=active j1=normal")
				r.SetInput(1, 3)
				r.SetInput(2, 0)
				b.after(300*time.Millisecond, "open, opened", "i1=fault j1=active")
				r.Card(osdpCard)
				r.Keys("1379")
				time.Sleep(300 * time.Millisecond)
				got := b.fetch()
				if len(got) != 2 || !strings.HasPrefix(got[0], `access.card{"card":"`) ||
					!strings.HasSuffix(got[0], `","bits":26,"format":"ok"}`) || got[1] != `access.keys{"keys":4}` {
					t.Errorf("card and keys: got %q", got)
				}
				r.Busy(10)
				b.after(2*time.Second, "busy", "r1=normal t1=active")
				for _, on := range []bool{true, false} {
					if err := errors.Join(b.panel.Act(t.Context(), "led1", on), b.panel.Act(t.Context(), "buzzer1", on)); err != nil {
						t.Error(err)
					}
					if led, buzzer := r.Shows(); (led == byte(osdp.Green)) != on || buzzer != on {
						t.Errorf("switched %v: LED %d, buzzer %v", on, led, buzzer)
					}
				}
				if err := b.panel.Act(t.Context(), "siren", true); err == nil {
					t.Error("an output that is not there was switched")
				}
				r.Restart()
				r.Card(otherCard)
				r.Card(otherCard) // it is held there
				b.after(time.Second, "restarted", "r1=normal t1=active")
				if got := b.fetch(); len(got) != 1 {
					t.Errorf("after a restart: got %q, want the card alone", got)
				}
				if errs := b.failures(); len(errs) > 0 {
					t.Errorf("Run ended: %v", errs)
				}
				for _, secret := range []string{"1379", "31333739", "864383", "34567"} {
					if strings.Contains(b.everything(), secret) {
						t.Errorf("%q got out", secret)
					}
				}
			})
		})
	}
}

// TestPanelAndFaults lets a reader fail in every way, for a moment and for long.
func TestPanelAndFaults(t *testing.T) {
	names := map[Fault]string{Silent: "silent", Babbling: "babbling", HalfFrame: "half frames", WrongCRC: "wrong CRC", Late: "late"}
	for fault, name := range names {
		t.Run(name, func(t *testing.T) {
			r := securedReader(1)
			panelTest(t, []*OSDPReader{r}, osdp.Config{Readers: []osdp.Reader{secured(1)}}, func(t *testing.T, b *panelBench) {
				b.after(time.Second, "start", "r1=normal t1=normal i1=normal")
				if fault != Babbling { // which answers nothing, so that it has no next
					r.SetDelay(300 * time.Millisecond)
					for i := range 20 {
						r.Card([]string{osdpCard, otherCard}[i%2])
						r.FailNext(1, fault)
						time.Sleep(2 * time.Second)
					}
					b.after(time.Second, "single failures", "r1=normal t1=normal i1=normal")
					if n, errs := len(b.fetch()), b.failures(); n != 20 || len(errs) > 0 {
						t.Errorf("%d cards of 20; errors %v", n, errs)
					}
				}
				r.SetDelay(time.Second)
				r.SetFault(fault)
				b.after(5*time.Second, "failing", "r1=unknown t1=unknown p1=unknown i1=unknown j1=unknown")
				if err := b.lastError(); err == nil || (errors.Is(err, drivers.ErrSilent) != (fault == Silent) && fault != Late) {
					t.Errorf("error: %v", err)
				}
				r.SetFault(NoFault)
				r.Card(osdpCard)
				b.after(5*time.Second, "healed", "r1=normal t1=normal p1=normal i1=normal j1=normal")
				if n := len(b.fetch()); n != 1 {
					t.Errorf("%d cards after the failure, want 1", n)
				}
			})
		})
	}
}

func TestPanelWithSeveralReaders(t *testing.T) {
	readers := []*OSDPReader{securedReader(1), securedReader(2), securedReader(3), securedReader(4)}
	cfg := osdp.Config{Readers: []osdp.Reader{secured(1), secured(2), secured(3), secured(4)}}
	panelTest(t, readers, cfg, func(t *testing.T, b *panelBench) {
		b.after(2*time.Second, "start", "r1=normal r2=normal r3=normal r4=normal t4=normal")
		before := make([]int, len(readers))
		polls := func(step string, least, most int) {
			t.Helper()
			for i, r := range readers {
				n := r.Polls()
				if got := n - before[i]; i != 1 && (got < least || got > most) {
					t.Errorf("%s: reader %d was polled %d times, want %d to %d", step, i+1, got, least, most)
				}
				before[i] = n
			}
		}
		polls("start", 0, 100)
		time.Sleep(10 * time.Second)
		polls("all talk", 60, 100)
		for _, fault := range []Fault{Silent, HalfFrame, WrongCRC, Late} {
			readers[1].SetFault(fault)
			b.after(5*time.Second, "one fails", "r1=normal t1=normal r2=fault t2=unknown i2=unknown r3=normal r4=normal t4=normal")
			polls("one fails", 0, 100)
			time.Sleep(10 * time.Second)
			polls("one failed", 45, 100) // a silent reader may take its timeout once every two seconds, no more
			readers[1].SetFault(NoFault)
			b.after(5*time.Second, "it is healed", "r1=normal r2=normal t2=normal r3=normal r4=normal")
			if errs := b.failures(); len(errs) > 0 {
				t.Fatalf("Run ended: %v", errs)
			}
		}
		for _, r := range readers {
			r.SetFault(Silent)
		}
		b.after(5*time.Second, "all fail", "r1=unknown r2=unknown r3=unknown r4=unknown t1=unknown")
		if err := b.lastError(); !errors.Is(err, drivers.ErrSilent) {
			t.Errorf("error: %v", err)
		}
	})
}

// TestPanelsOnOneLine has each reader be a peripheral of its own.
func TestPanelsOnOneLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
		readers := []*OSDPReader{securedReader(1), securedReader(2), securedReader(3)}
		b := &panelBench{t: t, line: NewOSDPLine(readers...), last: map[string]drivers.Reading{}}
		b.plug()
		line := osdp.NewLine(&b.ports, osdpPort, drivers.SerialMode{})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for i := range readers {
			panel, err := osdp.NewOn(line, osdp.Config{CardKey: osdpCardKey, Readers: []osdp.Reader{secured(i + 1)}})
			if err != nil {
				t.Fatal(err)
			}
			wg.Go(func() { b.supervise(ctx, panel) })
		}
		b.after(2*time.Second, "start", "r1=normal r2=normal r3=normal t1=normal t2=normal t3=normal")
		readers[1].SetFault(Silent)
		b.after(5*time.Second, "one fails", "r1=normal r2=unknown t2=unknown r3=normal")
		if err := b.lastError(); !errors.Is(err, drivers.ErrSilent) || !strings.Contains(err.Error(), "reader 2") {
			t.Errorf("one fails: %v", err)
		}
		before := readers[0].Polls()
		time.Sleep(10 * time.Second)
		if got := readers[0].Polls() - before; got < 40 || got > 100 {
			t.Errorf("beside a silent one, reader 1 was polled %d times in 10 s, want 40 to 100", got)
		}
		readers[1].SetFault(NoFault)
		b.after(5*time.Second, "it is healed", "r1=normal r2=normal r3=normal")
		if _, open := b.peer.Opens(); !open {
			t.Error("the port is closed")
		}
		b.peer.Close()
		b.after(time.Second, "unplugged", "r1=unknown r2=unknown r3=unknown")
		if errs := b.failures(); len(errs) < 3 {
			t.Errorf("unplugged: %v", errs)
		}
		b.plug()
		b.after(5*time.Second, "plugged in", "r1=normal r2=normal r3=normal")
		cancel()
		wg.Wait()
		if times, open := b.peer.Opens(); open || times != 1 {
			t.Errorf("the port was opened %d times, and is open: %v", times, open)
		}
		b.peer.Close()
		b.serving.Wait()
	})
}

func TestPanelAndKeys(t *testing.T) {
	own := osdp.Reader{Address: 1, Online: "r1", Key: osdpKey}
	for _, test := range []struct {
		name   string
		reader OSDPConfig
		cfg    osdp.Reader
		says   string // the error
	}{
		{"another key", OSDPConfig{Address: 1, Key: []byte("another readers!")}, own, "the key is not the reader's"},
		{"no key yet", OSDPConfig{Address: 1}, own, "only the default key"},
		{"no secure channel", OSDPConfig{Address: 1, Plain: true}, own, "refuses the secure channel"},
		{"a key of its own, and installation", OSDPConfig{Address: 1, Key: osdpKey},
			osdp.Reader{Address: 1, Online: "r1", Installation: true}, "refuses the secure channel"},
		{"another address", OSDPConfig{Address: 2, Key: osdpKey}, own, "silent"},
	} {
		t.Run(test.name, func(t *testing.T) {
			panelTest(t, []*OSDPReader{NewOSDPReader(test.reader)}, osdp.Config{Readers: []osdp.Reader{test.cfg}}, func(t *testing.T, b *panelBench) {
				b.after(5*time.Second, "start", "r1=unknown")
				if err := b.lastError(); err == nil || !strings.Contains(err.Error(), test.says) {
					t.Errorf("got %v, want an error that says %q", err, test.says)
				}
				if got := b.fetch(); len(got) > 0 {
					t.Errorf("happened: %q", got)
				}
			})
		})
	}
}

func TestPanelAndReaderWithANewKey(t *testing.T) {
	r := securedReader(1)
	panelTest(t, []*OSDPReader{r}, osdp.Config{Readers: []osdp.Reader{secured(1)}}, func(t *testing.T, b *panelBench) {
		b.after(time.Second, "start", "r1=normal")
		r.Rekey([]byte("somebody else's!"))
		r.Card(osdpCard)
		b.after(5*time.Second, "rekeyed", "r1=unknown")
		if got := b.fetch(); len(got) > 0 {
			t.Errorf("happened: %q", got)
		}
		r.Rekey(osdpKey)
		b.after(5*time.Second, "its old key again", "r1=normal")
	})
}

// TestPanelSurvivesAThousandUnplugs also shows that nothing is left behind: the
// bubble fails the test if a goroutine is.
func TestPanelSurvivesAThousandUnplugs(t *testing.T) {
	r := securedReader(1)
	panelTest(t, []*OSDPReader{r}, osdp.Config{Readers: []osdp.Reader{secured(1)}}, func(t *testing.T, b *panelBench) {
		for round := range 1000 {
			b.after(time.Second, "plugged in", "r1=normal t1=normal")
			b.peer.Close()
			b.after(time.Duration(150+round%7)*time.Millisecond, "unplugged", "r1=unknown t1=unknown")
			if err := b.lastError(); !errors.Is(err, drivers.ErrUnplugged) {
				t.Fatalf("round %d: %v", round, err)
			}
			b.plug()
			b.mu.Lock()
			b.said.Reset()
			b.mu.Unlock()
			if t.Failed() {
				return
			}
		}
	})
}

// TestPanelAndReaderOnAPTY has the board's own serial port between them.
func TestPanelAndReaderOnAPTY(t *testing.T) {
	r := securedReader(1)
	pty := onPTY(t, r)
	panel, err := osdp.New(board(t), pty.Path(), osdp.Config{
		Mode: drivers.SerialMode{Baud: 115200, RS485: true}, CardKey: osdpCardKey, Poll: 20 * time.Millisecond,
		Readers: []osdp.Reader{secured(1)},
	})
	if err != nil {
		t.Fatal(err)
	}
	w := run(t, panel)
	const rest = "r1=normal t1=normal p1=normal i1=normal j1=normal"
	const nothing = "r1=unknown t1=unknown p1=unknown i1=unknown j1=unknown"
	w.await(t, "start", rest)
	r.SetTamper(true)
	w.await(t, "tamper", "t1=active")
	r.SetTamper(false)
	for _, fault := range []Fault{Silent, Babbling, HalfFrame, WrongCRC} {
		r.SetFault(fault)
		w.await(t, fmt.Sprint("fault ", fault), nothing)
		r.SetFault(NoFault)
		w.await(t, fmt.Sprint("after fault ", fault), rest)
	}
	for range 3 {
		if err := pty.Unplug(); err != nil {
			t.Fatal(err)
		}
		w.await(t, "unplugged", nothing)
		if err := pty.Replug(); err != nil {
			t.Fatal(err)
		}
		w.await(t, "plugged in", rest)
	}
}
