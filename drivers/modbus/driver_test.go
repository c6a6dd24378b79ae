package modbus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/drivers"
	"github.com/longan-edge/longan/drivers/porttest"
)

const line = "/dev/ttyS1"

// bench runs a module against whatever is on its line, inside a bubble.
type bench struct {
	module *Module
	cancel context.CancelFunc
	err    error // of Run, once done is closed
	done   chan struct{}

	mu       sync.Mutex
	readings []drivers.Reading
}

func start(t *testing.T, ports drivers.Ports, cfg Config) *bench {
	ctx, cancel := context.WithCancel(t.Context())
	b := &bench{module: New(ports, line, cfg), cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(b.done)
		b.err = b.module.Run(ctx, b.emit)
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

// states returns the points and states emitted since the last call.
func (b *bench) states() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var s []string
	for _, r := range b.readings {
		s = append(s, r.Point+"="+r.State.String())
	}
	b.readings = nil
	return strings.Join(s, " ")
}

// door is a normally closed contact at di1, button an open one at di4.
func door8() Config {
	return Config{
		Address: 1, Poll: time.Hour,
		Inputs:  []Input{{Point: "door", Number: 1, NormallyClosed: true}, {Point: "button", Number: 8}},
		Outputs: []Output{{Name: "siren", Number: 1}},
	}
}

const (
	ask    = "01 02 00 00 00 08 79 cc"
	answer = "01 02 01 01 60 48" // di1 on, di8 off
)

func TestOnePoll(t *testing.T) {
	for _, test := range []struct {
		name   string
		inputs byte
		want   string
	}{
		{"at rest", 0x01, "door=normal button=normal"},
		{"open", 0x00, "door=active button=normal"},
		{"pressed", 0x81, "door=normal button=active"},
		{"others on", 0x7F, "door=normal button=normal"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var ports porttest.Ports
				script := ports.Script(line, porttest.Expect(unhex(t, ask)...),
					porttest.Reply(appendFrame(nil, 1, []byte{2, 1, test.inputs})...))
				b := start(t, &ports, door8())
				time.Sleep(time.Second)
				if got := b.states(); got != test.want {
					t.Errorf("got %s, want %s", got, test.want)
				}
				b.cancel()
				<-b.done
				if !errors.Is(b.err, context.Canceled) || b.states() != "" {
					t.Errorf("stopped: got %v and readings", b.err)
				}
				if err := script.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestBadAnswers gives each kind of bad answer once, from which the module must
// recover unseen, and then for good, which must end Run with everything Unknown.
func TestBadAnswers(t *testing.T) {
	for _, test := range received {
		if test.says == "" {
			continue
		}
		bad := []porttest.Step{porttest.Expect(unhex(t, ask)...)}
		if test.bytes != "" {
			bad = append(bad, porttest.Reply(unhex(t, test.bytes)...))
		}
		good := []porttest.Step{porttest.Expect(unhex(t, ask)...), porttest.Reply(unhex(t, answer)...)}
		t.Run(test.name, func(t *testing.T) {
			t.Run("once", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var ports porttest.Ports
					script := ports.Script(line, slices.Concat(bad, good)...)
					b := start(t, &ports, door8())
					time.Sleep(time.Second)
					if got, want := b.states(), "door=normal button=normal"; got != want {
						t.Errorf("got %s, want %s", got, want)
					}
					b.cancel()
					<-b.done
					if err := script.Close(); err != nil {
						t.Error(err)
					}
				})
			})
			t.Run("for good", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var ports porttest.Ports
					script := ports.Script(line, slices.Concat(bad, bad, bad)...)
					began := time.Now()
					b := start(t, &ports, door8())
					<-b.done
					if took := time.Since(began); took > 3*400*time.Millisecond {
						t.Errorf("took %v", took)
					}
					if b.err == nil || !strings.Contains(b.err.Error(), test.says) {
						t.Errorf("got %v, want %q", b.err, test.says)
					}
					if got, want := b.states(), "door=unknown button=unknown"; got != want {
						t.Errorf("got %s, want %s", got, want)
					}
					if err := script.Close(); err != nil {
						t.Error(err)
					}
				})
			})
		})
	}
}

func TestReadingsKeepTheGivenOrder(t *testing.T) {
	cfg := door8()
	cfg.Inputs[0], cfg.Inputs[1] = cfg.Inputs[1], cfg.Inputs[0] // the agent puts alarms first
	spans, err := New(nil, line, cfg).plan()
	if err != nil || len(spans) != 1 {
		t.Fatalf("%d requests, %v; want one", len(spans), err)
	}
	var got []string
	for _, r := range spans[0].readings([]byte{0x02, 0x01, 0x01}) {
		got = append(got, r.Point)
	}
	if strings.Join(got, " ") != "button door" {
		t.Errorf("got %s, want button door", got)
	}
}

func TestPollRepeatsEveryPoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ports porttest.Ports
		var steps []porttest.Step
		for range 4 {
			steps = append(steps, porttest.Expect(unhex(t, ask)...), porttest.Reply(unhex(t, answer)...))
		}
		ports.Script(line, steps...)
		cfg := door8()
		cfg.Poll = 0 // the default
		b := start(t, &ports, cfg)
		time.Sleep(350 * time.Millisecond)
		if got := b.states(); got != strings.TrimSpace(strings.Repeat("door=normal button=normal ", 4)) {
			t.Errorf("got %s", got)
		}
	})
}

func TestPortFailures(t *testing.T) {
	for _, test := range []struct {
		name  string
		ports func() *porttest.Ports
		want  error
	}{
		{"no port", func() *porttest.Ports { return new(porttest.Ports) }, drivers.ErrNoPort},
		{"busy", func() *porttest.Ports { p := new(porttest.Ports); p.AddSerial(line).Hold(true); return p }, drivers.ErrBusy},
		{"unplugged", func() *porttest.Ports {
			p := new(porttest.Ports)
			p.Script(line, porttest.Expect(0x01), porttest.Unplug())
			return p
		}, drivers.ErrUnplugged},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				b := start(t, test.ports(), door8())
				<-b.done
				if !errors.Is(b.err, test.want) || time.Since(began) > 10*time.Millisecond {
					t.Errorf("got %v after %v, want %v", b.err, time.Since(began), test.want)
				}
				if got, want := b.states(), "door=unknown button=unknown"; got != want {
					t.Errorf("got %s, want %s", got, want)
				}
			})
		})
	}
}

func TestPlan(t *testing.T) {
	in := func(numbers ...int) (out []Input) {
		for _, n := range numbers {
			out = append(out, Input{Point: fmt.Sprint("p", n), Number: n})
		}
		return out
	}
	for _, test := range []struct {
		name string
		cfg  Config
		want string // names of the requests, or the error
	}{
		{"one", Config{Address: 1, Inputs: in(3)}, "di3"},
		{"several", Config{Address: 1, Inputs: in(8, 1)}, "di1 to di8"},
		{"2000", Config{Address: 1, Inputs: in(1, 2000)}, "di1 to di2000"},
		{"more than 2000", Config{Address: 1, Inputs: in(1, 2001, 5000, 5001)}, "di1, di2001, di5000 to di5001"},
		{"coils too", Config{Address: 1, Inputs: in(1), Coils: in(2, 4)}, "di1, do2 to do4"},
		{"outputs alone", Config{Address: 1, Outputs: []Output{{Name: "a", Number: 2}}}, "do2"},
		{"registers", Config{Address: 1, Registers: []Register{{Number: 1}, {Number: 125}, {Number: 126}}, Holding: []Register{{Number: 7}}},
			"ir1 to ir125, ir126, hr7"},
		{"a register as output alone", Config{Address: 1, Outputs: []Output{{Name: "a", Number: 2, Register: true}}}, "hr2"},
		{"nothing", Config{Address: 1}, "neither inputs nor outputs"},
		{"address 0", Config{Inputs: in(1)}, "1 to 247"},
		{"address 260", Config{Address: 260, Inputs: in(1)}, "1 to 247"},
		{"input 0", Config{Address: 1, Inputs: in(0)}, "1 to 65536"},
		{"input 65537", Config{Address: 1, Inputs: in(65537)}, "1 to 65536"},
		{"output 0", Config{Address: 1, Inputs: in(1), Outputs: []Output{{Name: "a", Number: 0}}}, "do1 to do65536"},
	} {
		spans, err := New(nil, line, test.cfg).plan()
		var names []string
		for _, s := range spans {
			names = append(names, s.name)
		}
		got := strings.Join(names, ", ")
		if err != nil {
			got = err.Error()
		}
		if err == nil && got != test.want || !strings.Contains(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

func TestBadConfigIsReportedByRun(t *testing.T) {
	b := &bench{}
	err := New(new(porttest.Ports), line, Config{Inputs: []Input{{Point: "door", Number: 1}}}).Run(t.Context(), b.emit)
	if err == nil || !strings.Contains(err.Error(), "want a slave of 1 to 247") || b.states() != "door=unknown" {
		t.Errorf("got %v", err)
	}
}

func TestEmitErrorEndsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ports porttest.Ports
		ports.Script(line, porttest.Expect(unhex(t, ask)...), porttest.Reply(unhex(t, answer)...))
		full := errors.New("disk full")
		err := New(&ports, line, door8()).Run(t.Context(), func(context.Context, drivers.Reading) error { return full })
		if !errors.Is(err, full) {
			t.Errorf("got %v, want %v", err, full)
		}
	})
}

func TestReadingsOfCoils(t *testing.T) {
	m := New(nil, line, Config{Address: 1, Coils: []Input{{Point: "siren-relay", Number: 2}}})
	spans, err := m.plan()
	if err != nil {
		t.Fatal(err)
	}
	got := spans[0].readings([]byte{1, 1, 1})
	want := drivers.Reading{Point: "siren-relay", State: longan.Active, Detail: "do2 on"}
	if len(got) != 1 || got[0] != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestOutputsAloneTellThatTheyLive: a relay board without inputs has no point to
// emit, and is seen to work all the same.
func TestOutputsAloneTellThatTheyLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ports porttest.Ports
		script := ports.Script(line, porttest.Expect(unhex(t, "01 01 00 00 00 01 fd ca")...), porttest.Reply(unhex(t, "01 01 01 00 51 88")...))
		b := start(t, &ports, Config{Address: 1, Poll: time.Hour, Outputs: []Output{{Name: "siren", Number: 1}}})
		time.Sleep(time.Second)
		if got := b.states(); got != "=normal" {
			t.Errorf("got %q, want a sign of life", got)
		}
		b.cancel()
		<-b.done
		if err := script.Close(); err != nil {
			t.Error(err)
		}
	})
}
