package ups

import (
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

const uart = "/dev/ttyS2"

// device answers requests with what stands under them, without the carriage
// return that ends them; none is silence, and a line of several is given in turn.
type device struct {
	peer *porttest.Peer

	mu      sync.Mutex
	answers map[string]string
	asked   map[string]int
}

const (
	onLine    = "(220.4 220.4 219.9 021 50.0 27.4 25.0 00000001"
	onBattery = "(000.0 220.0 220.0 040 50.0 24.6 25.0 10000001"
)

func plug(t *testing.T, ports *porttest.Ports, answers map[string]string) *device {
	d := &device{peer: ports.AddSerial(uart), answers: answers, asked: map[string]int{}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		var request []byte
		b := make([]byte, 1)
		for {
			if _, err := d.peer.Read(b); err != nil {
				return
			}
			if b[0] != '\r' {
				request = append(request, b[0])
				continue
			}
			if answer := d.answer(string(request)); answer != "" {
				d.peer.Write([]byte(answer))
			}
			request = nil
		}
	}()
	t.Cleanup(func() { d.peer.Close(); <-done })
	return d
}

func (d *device) answer(request string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked[request]++
	answer, rest, more := strings.Cut(d.answers[request], "\n")
	if more {
		d.answers[request] = rest
	}
	if answer == "" || strings.HasSuffix(answer, "…") {
		return strings.TrimSuffix(answer, "…") // no carriage return
	}
	return answer + "\r"
}

// set changes an answer.
func (d *device) set(request, answer string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answers[request] = answer
}

func (d *device) count(request string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked[request]
}

// bench is a driver that runs in a bubble.
type bench struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error // after done

	mu    sync.Mutex
	last  map[string]drivers.Reading
	order []string
}

func everything() map[Signal]string {
	points := map[Signal]string{}
	for _, s := range signals() {
		points[s] = string(s)
	}
	return points
}

func start(t *testing.T, ports drivers.Ports, points map[Signal]string) *bench {
	ctx, cancel := context.WithCancel(t.Context())
	b := &bench{cancel: cancel, done: make(chan struct{}), last: map[string]drivers.Reading{}}
	u := New(ports, uart, Config{Points: points})
	go func() {
		defer close(b.done)
		b.err = u.Run(ctx, func(_ context.Context, r drivers.Reading) error {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.last[r.Point] = r
			b.order = append(b.order, r.Point+"="+r.State.String())
			return nil
		})
	}()
	t.Cleanup(func() { cancel(); <-b.done })
	return b
}

// states returns the last states of the points, and the values of the measured.
func (b *bench) states() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []string
	for _, s := range signals() {
		r, ok := b.last[string(s)]
		if !ok {
			continue
		}
		text := fmt.Sprintf("%s=%s", s, r.State)
		if r.Value != 0 {
			text += fmt.Sprintf(":%g", r.Value)
		}
		all = append(all, text)
	}
	return strings.Join(all, " ")
}

func TestHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ports porttest.Ports
		d := plug(t, &ports, map[string]string{"Q1": onLine, "F": "#220.0 004 24.00 50.0", "I": "#LONGNANSIM      TC-1000    V1.00     "})
		b := start(t, &ports, everything())
		for _, step := range []struct{ name, answer, want string }{
			{"on line", onLine, "mains=normal fault=normal battery-low=normal bypass=normal load=normal:21 battery-voltage=normal:27.4 temperature=normal:25 input-voltage=normal:220.4"},
			{"mains lost", onBattery, "mains=active fault=normal battery-low=normal bypass=normal load=normal:40 battery-voltage=normal:24.6 temperature=normal:25 input-voltage=normal"},
			{"battery low", "(000.0 220.0 220.0 040 50.0 21.1 25.0 11000001", "mains=active fault=normal battery-low=active bypass=normal load=normal:40 battery-voltage=normal:21.1 temperature=normal:25 input-voltage=normal"},
			{"broken, on bypass", "(220.4 220.4 219.9 021 50.0 27.4 --.- 00110001", "mains=normal fault=active battery-low=normal bypass=active load=normal:21 battery-voltage=normal:27.4 temperature=unknown input-voltage=normal:220.4"},
			{"overloaded", "(220.4 220.4 219.9 104 50.0 27.4 25.0 00000001", "mains=normal fault=normal battery-low=normal bypass=normal load=active:104 battery-voltage=normal:27.4 temperature=normal:25 input-voltage=normal:220.4"},
		} {
			d.set("Q1", step.answer)
			time.Sleep(defaultPoll + time.Second)
			if got := b.states(); got != step.want {
				t.Errorf("%s:\n got %s\nwant %s", step.name, got, step.want)
			}
		}
		if mode := d.peer.Mode(); mode.Baud != 2400 {
			t.Errorf("got %+v", mode)
		}
		if d.count("F") != 1 || d.count("I") != 1 {
			t.Errorf("asked %v", d.asked)
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		if got, want := b.last["mains"].Detail, "LONGNANSIM TC-1000 V1.00; made for 220.0 V, 4 A, battery of 24.00 V"; !strings.HasSuffix(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// TestRecordedExchange replays the recording: the very requests and answers, in
// the order in which the driver asks.
func TestRecordedExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ports porttest.Ports
		var q1, steps []porttest.Step
		pairs := map[string][]porttest.Step{}
		for _, r := range recorded(t) {
			step := []porttest.Step{porttest.Expect([]byte(r[0] + "\r")...), porttest.Reply([]byte(r[1] + "\r")...)}
			if r[0] == "Q1" {
				q1 = append(append(q1, step...), step...) // asked again, because the bits change
			}
			pairs[r[0]] = step
		}
		steps = append(steps, q1[:4]...)
		steps = append(append(steps, pairs["I"]...), pairs["F"]...)
		steps = append(steps, q1[4:]...)
		script := ports.Script(uart, steps...)
		b := start(t, &ports, map[Signal]string{Mains: "mains", BatteryVoltage: "battery-voltage"})
		time.Sleep(defaultPoll + time.Second)
		if err := script.Close(); err != nil {
			t.Error(err)
		}
		<-b.done
		if got, want := strings.Join(b.order, " "), "mains=normal battery-voltage=normal mains=active battery-voltage=normal battery-voltage=unknown mains=unknown"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

// TestOneWrongAnswer: without a checksum a flipped bit looks sound, once.
func TestOneWrongAnswer(t *testing.T) {
	for _, test := range []struct{ name, answers, want string }{
		{"a flipped bit", onBattery + "\n" + onLine, "normal"},
		{"two different ones", onBattery + "\n(220.4 220.4 219.9 021 50.0 27.4 25.0 01000001\n" + onLine, "normal"},
		{"form broken", "(220.4 220.4 2\n" + onLine, "normal"},
		{"half", onLine[:20] + "…\n" + onLine, "normal"},
		{"nothing", "\n" + onLine, "normal"},
		{"twice nothing", "\n\n" + onLine, "normal"},
		{"said twice", onBattery, "active"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var ports porttest.Ports
				d := plug(t, &ports, map[string]string{"Q1": onLine})
				b := start(t, &ports, map[Signal]string{Mains: "mains"})
				time.Sleep(3 * time.Second)
				d.set("Q1", test.answers)
				time.Sleep(defaultPoll + 4*time.Second)
				b.mu.Lock()
				defer b.mu.Unlock()
				if got := strings.Join(b.order, " "); strings.Contains(got, "unknown") || strings.Contains(got, "active") != (test.want == "active") {
					t.Errorf("got %s, want %s", got, test.want)
				}
			})
		})
	}
}

func TestEnds(t *testing.T) {
	for _, test := range []struct {
		name   string
		points map[Signal]string
		q1     string
		end    func(*bench, *porttest.Ports)
		want   string
	}{
		{"silent", everything(), "", nil, "no answer to Q1: peripheral is silent"},
		{"echo", everything(), "Q1", nil, "only the echo came back"},
		{"NAK", everything(), "(NAK", nil, "does not know the request"},
		{"garbage", everything(), "\x00\xff\x80", nil, "no Megatec status; got \"\\x00\\xff\\x80\""},
		{"seven bits", everything(), onLine[:len(onLine)-1], nil, "eight status bits"},
		{"garbage, then nothing", everything(), "?\n\n\n\n", nil, "ask Q1: no answer"},
		{"no carriage return", everything(), onLine + "…", nil, "cut short"},
		{"never two the same", everything(), strings.Repeat(onLine+"\n"+onBattery+"\n", 20) + onLine, nil, "differ"},
		{"endless", everything(), strings.Repeat("x", 200) + "…", nil, "never silent"},
		{"unplugged", everything(), onLine, func(_ *bench, p *porttest.Ports) { p.AddSerial(uart) }, "unplugged"},
		{"stopped", everything(), onLine, func(b *bench, _ *porttest.Ports) { b.cancel() }, "context canceled"},
		{"unknown signal", map[Signal]string{"volts": "x"}, onLine, nil, `signal "volts": want one of mains, fault, battery-low`},
		{"no points", nil, "", nil, "peripheral is silent"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var ports porttest.Ports
				plug(t, &ports, map[string]string{"Q1": test.q1})
				b := start(t, &ports, test.points)
				if test.end != nil {
					time.Sleep(3 * time.Second)
					test.end(b, &ports)
				}
				begin := time.Now()
				select {
				case <-b.done:
				case <-time.After(time.Hour):
					t.Fatal("Run goes on")
				}
				if b.err == nil || !strings.Contains(b.err.Error(), test.want) {
					t.Errorf("got %v, want %q", b.err, test.want)
				}
				if took := time.Since(begin) + defaultPoll; took > 5*time.Second {
					t.Errorf("took %v, want under 5 s", took)
				}
				if got := b.states(); !errors.Is(b.err, context.Canceled) && strings.Contains(got, "normal") {
					t.Errorf("got %s", got)
				}
			})
		})
	}
}

func TestNoPort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ports porttest.Ports
		b := start(t, &ports, everything())
		<-b.done
		if !errors.Is(b.err, drivers.ErrNoPort) || !strings.Contains(b.states(), "mains=unknown") {
			t.Errorf("got %v, %s", b.err, b.states())
		}
	})
}

func TestBabble(t *testing.T) {
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
		b := start(t, &ports, everything())
		<-b.done
		if b.err == nil || errors.Is(b.err, drivers.ErrSilent) || !strings.Contains(b.err.Error(), "never silent") {
			t.Errorf("got %v", b.err)
		}
	})
}

// TestRounds plugs in and out a thousand times. What is left behind would keep the
// bubble from ending.
func TestRounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ports porttest.Ports
		u := New(&ports, uart, Config{Points: everything()})
		for range 1000 {
			ports.Script(uart,
				porttest.Expect([]byte("Q1\r")...), porttest.Reply([]byte(onLine+"\r")...),
				porttest.Expect([]byte("Q1\r")...), porttest.Reply([]byte(onLine+"\r")...), porttest.Expect('I'), porttest.Unplug())
			known := 0
			err := u.Run(t.Context(), func(_ context.Context, r drivers.Reading) error {
				if r.State == longan.Normal {
					known++
				}
				return nil
			})
			if !errors.Is(err, drivers.ErrUnplugged) || known != len(everything()) {
				t.Fatalf("got %v after %d readings", err, known)
			}
		}
	})
}
