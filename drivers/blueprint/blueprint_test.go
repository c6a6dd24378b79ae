package blueprint

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

const line = "/dev/ttyS4"

// shelf is a thermometer's driver under a test, and what it emitted.
type shelf struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error

	mu       sync.Mutex
	readings []string
}

func start(t *testing.T, ports drivers.Ports) *shelf {
	ctx, cancel := context.WithCancel(t.Context())
	s := &shelf{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		s.err = New(ports, line, Config{Point: "cabinet", Above: 45}).Run(ctx, func(_ context.Context, r drivers.Reading) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.readings = append(s.readings, strings.TrimSpace(r.State.String()+" "+r.Detail))
			return nil
		})
	}()
	t.Cleanup(func() { cancel(); <-s.done })
	return s
}

func (s *shelf) got() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.readings, ", ")
}

func ask() porttest.Step            { return porttest.Expect([]byte("T?\r")...) }
func say(text string) porttest.Step { return porttest.Reply([]byte(text)...) }

// TestHistories plays a device's side, and says what the driver makes of it.
func TestHistories(t *testing.T) {
	for _, tt := range []struct {
		name  string
		steps []porttest.Step
		want  string // the readings, as their beginning
		err   string // of Run, "" while it runs
	}{
		{"two polls", []porttest.Step{ask(), say("T=23.5\r"), ask(), say("T=45.1\r")}, "normal 23.5 °C, active 45.1 °C", ""},
		{"in pieces", []porttest.Step{ask(), say("T=2"), porttest.Delay(50 * time.Millisecond), say("3.5\r")}, "normal 23.5 °C", ""},
		{"noise first", []porttest.Step{ask(), say("\xff\x00T=9\rT=23.5\r")}, "normal 23.5 °C", ""},
		{"the first answer is lost", []porttest.Step{ask(), ask(), say("T=23.5\r")}, "normal 23.5 °C", ""},
		{"silent", []porttest.Step{ask(), ask(), ask()}, "unknown", "peripheral is silent"},
		{"another rate", []porttest.Step{ask(), say("\x81\x92"), ask(), say("\x81"), ask(), say("\x81")}, "unknown", "check the baud rate"},
		{"nonsense", []porttest.Step{ask(), say("T=900\r"), ask(), say("T=x\r"), ask(), say("H=5\r")}, "unknown", "no answer in"},
		{"unplugged", []porttest.Step{ask(), say("T=23.5\r"), porttest.Unplug()}, "normal 23.5 °C, unknown", "unplugged"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var ports porttest.Ports
				script := ports.Script(line, tt.steps...)
				s := start(t, &ports)
				time.Sleep(6 * time.Second)
				if got := s.got(); !strings.HasPrefix(got, tt.want) {
					t.Errorf("got %s, want %s", got, tt.want)
				}
				if tt.err == "" {
					s.cancel()
				}
				<-s.done
				if tt.err == "" && !errors.Is(s.err, context.Canceled) || s.err == nil || !strings.Contains(s.err.Error(), tt.err) {
					t.Errorf("Run ended with %v, want %q", s.err, tt.err)
				}
				if err := script.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestAnErrorOfEmitEndsRun: the agent could not store it.
func TestAnErrorOfEmitEndsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ports porttest.Ports
		ports.Script(line, ask(), say("T=23.5\r"))
		full := errors.New("disk full")
		err := New(&ports, line, Config{}).Run(t.Context(), func(context.Context, drivers.Reading) error { return full })
		if !errors.Is(err, full) {
			t.Errorf("got %v, want %v", err, full)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("T=23.5\r"))
	f.Add([]byte("\xffT=-5\rT=9"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if celsius, ok := parse(b); ok && !(celsius >= lowest && celsius <= highest) {
			t.Errorf("%q is %v °C", b, celsius)
		}
	})
}

func Example() {
	var ports porttest.Ports
	ports.Script(line, ask(), say("T=51.0\r"))
	thermometer := New(&ports, line, Config{Point: "cabinet", Above: 45})
	ctx, stop := context.WithCancel(context.Background())
	err := thermometer.Run(ctx, func(_ context.Context, r drivers.Reading) error {
		fmt.Println(r.Point, r.State == longan.Active, r.Detail)
		stop()
		return nil
	})
	fmt.Println(err)
	// Output:
	// cabinet true 51.0 °C
	// context canceled
}
