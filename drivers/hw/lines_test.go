package hw

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"periph.io/x/conn/v3/gpio"

	"github.com/longan-edge/longan/drivers"
)

func requestLine(t *testing.T, p *Ports, name string, mode drivers.LineMode) *gpioLine {
	t.Helper()
	l, err := p.Line(t.Context(), name, mode)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.(*gpioLine)
}

func TestLineNames(t *testing.T) {
	k, p := newFakeKernel(t)
	k.addChip("gpiochip0", "gpiochip0", "pinctrl-bcm2711", 58)
	k.addChip("gpiochip4", "gpiochip0", "pinctrl-bcm2711", 58) // a link beside the device file
	k.addChip("gpiochip1", "gpiochip1", "raspberrypi-exp-gpio", 8)
	k.addChip("gpiochip2", "gpiochip2", "pcf8574", 8)
	k.addChip("gpiochip3", "gpiochip3", "pcf8574", 8)
	k.addChip("gpiochip5", "gpiochip5", "", 8)
	k.addChip("gpiochip6", "gpiochip6", "1f000d0000.gpio:bank", 8)
	p.names = map[string]address{"GPIO17": {"pinctrl-bcm2711", 17}}
	for _, test := range []struct {
		name   string
		offset uint32
		says   string // in the error
	}{
		{"pinctrl-bcm2711:17", 17, ""},
		{"pinctrl-bcm2711:57", 57, ""},
		{"GPIO17", 17, ""},
		{"gpiochip3:2", 2, ""},
		{"gpiochip5:1", 1, ""},
		{"1f000d0000.gpio:bank:3", 3, ""},
		{"pinctrl-bcm2711:58", 0, "has lines 0 to 57"},
		{"pcf8574:0", 0, "2 chips are called \"pcf8574\", use the chip's name: pcf8574 (gpiochip2, 8 lines), pcf8574 (gpiochip3"},
		{"nochip:1", 0, "no chip \"nochip\"; there are pinctrl-bcm2711 (gpiochip0, 58 lines), raspberrypi-exp-gpio"},
		{"GPIO99", 0, "want \"chip-label:offset\" or a line's name; there are pinctrl-bcm2711"},
		{"pinctrl-bcm2711:-1", 0, "want \"chip-label:offset\""},
		{"", 0, "want \"chip-label:offset\""},
	} {
		files := openFiles(t)
		l, err := p.Line(t.Context(), test.name, drivers.LineMode{})
		if test.says == "" {
			if err != nil {
				t.Errorf("%q: %v", test.name, err)
				continue
			}
			if got := k.requests[len(k.requests)-1].offsets[0]; got != test.offset || l.Number() != int(test.offset) {
				t.Errorf("%q: got offset %d, want %d", test.name, got, test.offset)
			}
			l.Close()
			files++ // the write end of the events
		} else if !errors.Is(err, drivers.ErrNoPort) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%q: got %v, want ErrNoPort that says %q", test.name, err, test.says)
		}
		if got := openFiles(t); got != files {
			t.Errorf("%q: %d files open, want %d", test.name, got, files)
		}
	}
}

func TestLineRequest(t *testing.T) {
	k, p := newFakeKernel(t)
	k.addChip("gpiochip0", "gpiochip0", "soc", 32)
	requestLine(t, p, "soc:4", drivers.LineMode{Pull: gpio.PullUp})
	r := k.requests[0]
	if r.lines != 1 || r.offsets[0] != 4 || r.buffer != 1024 || text(r.consumer[:]) != "longan" || r.config.flags != 0x134 {
		t.Errorf("got %d lines, offset %d, buffer %d, consumer %q, flags %#x",
			r.lines, r.offsets[0], r.buffer, text(r.consumer[:]), r.config.flags)
	}
}

func TestLineErrors(t *testing.T) {
	debounced := drivers.LineMode{Pull: gpio.PullUp, Debounce: time.Millisecond}
	noDebounce := func(err error) func(lineConfig) error {
		return func(c lineConfig) error {
			if c.count > 0 {
				return err
			}
			return nil
		}
	}
	always := func(err error) func(lineConfig) error { return func(lineConfig) error { return err } }
	for _, test := range []struct {
		name   string
		refuse func(lineConfig) error
		busy   string
		want   error
		says   string
	}{
		{"debounce refused", noDebounce(unix.EINVAL), "", nil, ""},
		{"debounce not supported", noDebounce(unix.Errno(524)), "", nil, ""},
		{"busy", nil, "gpio-leds", drivers.ErrBusy, `port is in use by "gpio-leds"`},
		{"removed", always(unix.ENODEV), "", drivers.ErrNoPort, ""},
		{"old kernel", always(unix.EINVAL), "", unix.EINVAL, "Linux 5.10"},
		{"not allowed", always(unix.EPERM), "", unix.EPERM, "request line soc:4"},
	} {
		k, p := newFakeKernel(t)
		k.addChip("gpiochip0", "gpiochip0", "soc", 32)
		k.refuse, k.busy = test.refuse, test.busy
		l, err := p.Line(t.Context(), "soc:4", debounced)
		if !errors.Is(err, test.want) || (err != nil && !strings.Contains(err.Error(), test.says)) {
			t.Errorf("%s: got %v, want %v that says %q", test.name, err, test.want, test.says)
		}
		if err == nil {
			l.Close()
		}
	}
}

func TestMachineWithoutChips(t *testing.T) {
	_, p := newFakeKernel(t)
	for _, name := range []string{"soc:4", "GPIO4"} {
		if _, err := p.Line(t.Context(), name, drivers.LineMode{}); !errors.Is(err, drivers.ErrNoPort) ||
			!strings.Contains(err.Error(), "no GPIO chip") {
			t.Errorf("%s: got %v, want ErrNoPort", name, err)
		}
	}
}

func TestFileThatIsNoChip(t *testing.T) {
	k, p := newFakeKernel(t)
	if err := os.WriteFile(filepath.Join(k.dev, "gpiochip9"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Line(t.Context(), "soc:4", drivers.LineMode{}); !errors.Is(err, drivers.ErrNoPort) ||
		!strings.Contains(err.Error(), "not a GPIO chip") {
		t.Errorf("got %v, want ErrNoPort that says what is there", err)
	}
}

func TestSense(t *testing.T) {
	k, p := newFakeKernel(t)
	k.addChip("gpiochip0", "gpiochip0", "soc", 32)
	l := requestLine(t, p, "soc:4", drivers.LineMode{Pull: gpio.PullUp})
	for _, want := range []gpio.Level{gpio.Low, gpio.High} {
		k.line().bits = map[gpio.Level]uint64{gpio.Low: 0, gpio.High: 1}[want]
		if got, err := l.Sense(); got != want || err != nil {
			t.Errorf("got %v, %v, want %v", got, err, want)
		}
	}
	k.line().err = unix.ENODEV
	if _, err := l.Sense(); !errors.Is(err, drivers.ErrUnplugged) {
		t.Errorf("removed chip: got %v, want ErrUnplugged", err)
	}
	l.Close()
	if _, err := l.Sense(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("closed: got %v, want os.ErrClosed", err)
	}
	if err := l.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("closed twice: got %v, want os.ErrClosed", err)
	}
}

func TestOutputIsNeverReadBack(t *testing.T) {
	k, p := newFakeKernel(t)
	k.addChip("gpiochip0", "gpiochip0", "soc", 32)
	l := requestLine(t, p, "soc:4", drivers.LineMode{Output: true, Initial: gpio.High})
	check := func(want gpio.Level) {
		t.Helper()
		if got, err := l.Sense(); got != want || l.Read() != want || err != nil {
			t.Errorf("Sense: got %v, %v, want %v", got, err, want)
		}
	}
	check(gpio.High)
	if err := l.Out(gpio.Low); err != nil {
		t.Error(err)
	}
	check(gpio.Low)
	k.line().err = unix.ENODEV
	if err := l.Out(gpio.High); !errors.Is(err, drivers.ErrUnplugged) {
		t.Errorf("Out: got %v, want ErrUnplugged", err)
	}
	check(gpio.Low)
	if len(k.configs) != 0 {
		t.Errorf("the line was configured %d times after its request, want never", len(k.configs))
	}
}

func TestInputBecomesOutputWithoutPulse(t *testing.T) {
	k, p := newFakeKernel(t)
	k.addChip("gpiochip0", "gpiochip0", "soc", 32)
	l := requestLine(t, p, "soc:4", drivers.LineMode{Pull: gpio.PullUp})
	if err := l.Out(gpio.High); err != nil {
		t.Fatal(err)
	}
	want := configFor(drivers.LineMode{Output: true, Initial: gpio.High}, gpio.NoEdge)
	if len(k.configs) != 1 || k.configs[0] != want {
		t.Errorf("got %+v, want one configuration with direction and level", k.configs)
	}
	if err := l.In(gpio.PullDown, gpio.RisingEdge); err != nil {
		t.Fatal(err)
	}
	if got := k.configs[1].flags; got != flagInput|flagRising|flagPullDown || l.Pull() != gpio.PullDown {
		t.Errorf("In: got flags %#x, pull %v", got, l.Pull())
	}
}

func TestWaitForEdge(t *testing.T) {
	const brief = 20 * time.Millisecond
	k, p := newFakeKernel(t)
	k.addChip("gpiochip0", "gpiochip0", "soc", 32)
	l := requestLine(t, p, "soc:4", drivers.LineMode{Pull: gpio.PullUp})
	wire := k.line()

	wait := func(timeout time.Duration, want bool, least, most time.Duration) {
		t.Helper()
		start := time.Now()
		got := l.WaitForEdge(timeout)
		if took := time.Since(start); got != want || took < least || took > most {
			t.Errorf("WaitForEdge(%v): got %v after %v, want %v after %v to %v", timeout, got, took, want, least, most)
		}
	}
	wait(0, false, 0, time.Second)
	wait(brief, false, brief, 10*time.Second)
	wire.edges(t, 0, 40) // more than one read takes
	wait(0, true, 0, time.Second)
	for range 39 {
		wait(-1, true, 0, time.Second)
	}
	wait(0, false, 0, time.Second)
	wire.edges(t, 5, 1)
	wait(time.Minute, true, 0, time.Second)
	if got := l.Lost(); got != 5 {
		t.Errorf("lost: got %d, want 5", got)
	}

	wire.edges(t, 0, 3)
	if err := l.In(gpio.PullUp, gpio.BothEdges); err != nil {
		t.Fatal(err)
	}
	wait(0, false, 0, time.Second) // In forgets edges
	wire.edges(t, 9, 1)
	wait(0, true, 0, time.Second)
	if got := l.Lost(); got != 5 {
		t.Errorf("lost after In: got %d, want 5: the counter may have begun anew", got)
	}

	// The end of the pipe stands for a removed chip: no events, no spinning.
	wire.events.Close()
	used := cpuTime(t)
	for range 3 {
		wait(5*brief, false, 5*brief, 10*time.Second)
	}
	if used = cpuTime(t) - used; used > 5*brief {
		t.Errorf("a removed chip took %v of CPU in 300 ms", used)
	}
}

func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func TestFirstEdgesLostAreCounted(t *testing.T) {
	k, p := newFakeKernel(t)
	k.addChip("gpiochip0", "gpiochip0", "soc", 32)
	l := requestLine(t, p, "soc:4", drivers.LineMode{})
	k.line().edges(t, 3, 1)
	if !l.WaitForEdge(0) || l.Lost() != 3 {
		t.Errorf("lost: got %d, want 3", l.Lost())
	}
}

func TestHaltAndCloseUnblock(t *testing.T) {
	for _, state := range []string{"alive", "dead", "output"} {
		for name, end := range map[string]func(*gpioLine) error{"Halt": (*gpioLine).Halt, "Close": (*gpioLine).Close} {
			for _, timeout := range []time.Duration{-1, time.Hour} {
				k, p := newFakeKernel(t)
				k.addChip("gpiochip0", "gpiochip0", "soc", 32)
				l := requestLine(t, p, "soc:4", drivers.LineMode{Output: state == "output"})
				if state == "dead" {
					k.line().events.Close()
				}
				var wg sync.WaitGroup
				var done bool
				var mu sync.Mutex
				wg.Go(func() {
					if l.WaitForEdge(timeout) {
						t.Errorf("%s, %s: got an edge", state, name)
					}
					mu.Lock()
					defer mu.Unlock()
					done = true
				})
				// A Halt before the wait began does nothing, by contract.
				deadline := time.Now().Add(10 * time.Second)
				for ended := false; !ended; runtime.Gosched() {
					if time.Now().After(deadline) {
						t.Fatalf("%s: %s does not end WaitForEdge(%v)", state, name, timeout)
					}
					end(l)
					mu.Lock()
					ended = done
					mu.Unlock()
				}
				wg.Wait()
			}
		}
	}
}

func TestNewKeepsStandardInput(t *testing.T) {
	restore, err := keepStdin()
	if err != nil {
		t.Fatal(err)
	}
	var before, after unix.Stat_t
	if err := unix.Fstat(0, &before); err != nil {
		t.Fatal(err)
	}
	if err := unix.Close(0); err != nil { // as gpioioctl does
		t.Fatal(err)
	}
	if err := restore(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Fstat(0, &after); err != nil || after.Ino != before.Ino || after.Rdev != before.Rdev {
		t.Errorf("descriptor 0 is another file: %v", err)
	}
}

// TestAnOutputIsKept: a line that drives a level already goes on with it, and one
// that does not takes its initial level.
func TestAnOutputIsKept(t *testing.T) {
	for _, driven := range []gpio.Level{gpio.Low, gpio.High} {
		k, p := newFakeKernel(t)
		k.addChip("gpiochip0", "gpiochip0", "pinctrl", 8)
		k.driven = &driven
		l := requestLine(t, p, "pinctrl:1", drivers.LineMode{Output: true, Keep: true, Initial: !driven})
		if n := len(k.requests); n != 1 || k.requests[0].config.flags != 0 || k.requests[0].config.count != 0 {
			t.Errorf("%d requests, the first with flags %#x: it would change the line", n, k.requests[0].config.flags)
		}
		if n := len(k.configs); n != 1 || k.configs[0].flags != flagOutput || k.configs[0].count != 1 || k.configs[0].attrs[0].attr.value[0] != bits(driven) {
			t.Errorf("driven %v: configured as %+v", driven, k.configs)
		}
		if level, err := l.Sense(); level != driven || err != nil {
			t.Errorf("driven %v: Sense gives %v, %v", driven, level, err)
		}
		if err := l.Out(!driven); err != nil || k.line().bits != uint64(bits(!driven)) {
			t.Errorf("switching it afterwards: %v, the line has %d", err, k.line().bits)
		}
	}
	k, p := newFakeKernel(t)
	k.addChip("gpiochip0", "gpiochip0", "pinctrl", 8)
	requestLine(t, p, "pinctrl:1", drivers.LineMode{Output: true, Keep: true, Initial: gpio.High})
	if r := k.requests[0].config; r.flags != flagOutput || r.attrs[0].attr.value[0] != 1 {
		t.Errorf("a line that is no output: requested as %+v, want an output with its initial level", r)
	}
}

func bits(level gpio.Level) byte {
	if level {
		return 1
	}
	return 0
}
