package hw

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/longan-edge/longan/drivers"
)

// plug makes a pseudo-terminal: the device's end and the name of the port.
// Closing the device's end is what unplugging a USB adapter is: a hang-up.
func plug(t *testing.T) (device *os.File, name string) {
	t.Helper()
	device, err := os.OpenFile("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { device.Close() })
	raw, err := device.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var n int
	err = raw.Control(func(fd uintptr) {
		if err := unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); err != nil {
			t.Error(err)
		}
		if n, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN); err != nil {
			t.Error(err)
		}
	})
	if err != nil || t.Failed() {
		t.Fatal("no pseudo-terminal: ", err)
	}
	return device, fmt.Sprintf("/dev/pts/%d", n)
}

func newPorts(t *testing.T) *Ports {
	t.Helper()
	p, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var mode9600 = drivers.SerialMode{Baud: 9600}

func openSerial(t *testing.T, name string, mode drivers.SerialMode) *serialPort {
	t.Helper()
	s, err := newPorts(t).Serial(t.Context(), name, mode)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s.(*serialPort)
}

// TestRS485ToldOnce: a pseudo-terminal has no direction to switch, and a module
// that fails has its port opened again every few seconds.
func TestRS485ToldOnce(t *testing.T) {
	var log bytes.Buffer
	p, err := New(Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	_, name := plug(t)
	for range 3 {
		s, err := p.Serial(t.Context(), name, drivers.SerialMode{Baud: 9600, RS485: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Count(log.String(), "RS-485"); got != 1 {
		t.Errorf("told %d times of three, want once:\n%s", got, log.String())
	}
}

func TestSerialCarriesAllByteValues(t *testing.T) {
	device, name := plug(t)
	s := openSerial(t, name, drivers.SerialMode{Baud: 115200, RS485: true}) // refused by a PTY and tolerated
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for _, way := range []struct {
		name     string
		from, to io.ReadWriter
	}{{"to the device", s, device}, {"to the board", device, s}} {
		if n, err := way.from.Write(all); n != len(all) || err != nil {
			t.Errorf("%s: Write: got %d, %v", way.name, n, err)
		}
		got := make([]byte, len(all))
		if _, err := io.ReadFull(way.to, got); err != nil || !bytes.Equal(got, all) {
			t.Errorf("%s: got % x, %v", way.name, got, err)
		}
	}
}

// TestSerialDeadlines measures the best of some tries: the machine may be busy.
func TestSerialDeadlines(t *testing.T) {
	const wait = 30 * time.Millisecond
	best := map[string]time.Duration{"Read": time.Hour, "Write": time.Hour}
	sent := 0
	for range 20 {
		_, name := plug(t)
		s := openSerial(t, name, mode9600)
		for verb, do := range map[string]func() (int, error){
			"Read":  func() (int, error) { return s.Read(make([]byte, 1)) },
			"Write": func() (int, error) { return s.Write(make([]byte, 1<<20)) }, // to a device that does not read
		} {
			start := time.Now()
			s.SetReadDeadline(start.Add(wait))
			s.SetWriteDeadline(start.Add(wait))
			n, err := do()
			took := time.Since(start)
			if n == 1<<20 || (verb == "Read" && n > 0) || !errors.Is(err, os.ErrDeadlineExceeded) || took < wait {
				t.Errorf("%s: got %d, %v after %v, want the deadline after %v", verb, n, err, took, wait)
			}
			sent = max(sent, n)
			best[verb] = min(best[verb], took)
		}
		if sent > 0 && max(best["Read"], best["Write"]) < 2*wait {
			return
		}
	}
	t.Errorf("a deadline of %v took at best %v; %d bytes written, want some", wait, best, sent)
}

func TestSerialUnplugIsSeenAtOnce(t *testing.T) {
	best := time.Hour // the machine may be busy
	for range 5 {
		device, name := plug(t)
		s := openSerial(t, name, mode9600)
		first := make(chan struct{})
		seen := make(chan time.Time, 1)
		go func() {
			s.Read(make([]byte, 1))
			close(first)
			_, err := s.Read(make([]byte, 1))
			seen <- time.Now()
			if !errors.Is(err, drivers.ErrUnplugged) {
				t.Errorf("Read: got %v, want ErrUnplugged", err)
			}
		}()
		device.Write([]byte{1})
		<-first
		start := time.Now()
		device.Close()
		best = min(best, (<-seen).Sub(start))
		if n, err := s.Write([]byte{1}); n != 0 || !errors.Is(err, drivers.ErrUnplugged) {
			t.Errorf("Write after: got %d, %v, want ErrUnplugged", n, err)
		}
		if _, err := newPorts(t).Serial(t.Context(), name, mode9600); !errors.Is(err, drivers.ErrNoPort) {
			t.Errorf("open after: got %v, want ErrNoPort", err)
		}
	}
	if best > 100*time.Millisecond {
		t.Errorf("unplug seen after %v, want 100 ms at most", best)
	}
}

func TestSerialUnplugBeforeRead(t *testing.T) {
	device, name := plug(t)
	s := openSerial(t, name, mode9600)
	device.Close()
	s.SetReadDeadline(time.Now().Add(10 * time.Second))
	for range 3 {
		if n, err := s.Read(make([]byte, 1)); n != 0 || !errors.Is(err, drivers.ErrUnplugged) {
			t.Errorf("Read: got %d, %v, want ErrUnplugged", n, err)
		}
	}
}

func TestSerialCloseUnblocks(t *testing.T) {
	device, name := plug(t)
	s := openSerial(t, name, mode9600)
	var wg sync.WaitGroup
	ready := make(chan struct{})
	wg.Go(func() {
		s.Read(make([]byte, 1))
		close(ready)
		if _, err := s.Read(make([]byte, 1)); !errors.Is(err, os.ErrClosed) {
			t.Errorf("Read: got %v, want os.ErrClosed", err)
		}
	})
	wg.Go(func() {
		if _, err := s.Write(make([]byte, 1<<20)); !errors.Is(err, os.ErrClosed) {
			t.Errorf("Write: got %v, want os.ErrClosed", err)
		}
	})
	device.Write([]byte{1})
	<-ready
	start := time.Now()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if took := time.Since(start); took > time.Second {
		t.Errorf("Close took %v", took)
	}
}

func TestSerialIsExclusive(t *testing.T) {
	_, name := plug(t)
	link := filepath.Join(t.TempDir(), "by-path")
	if err := os.Symlink(name, link); err != nil {
		t.Fatal(err)
	}
	s := openSerial(t, name, mode9600)
	exclusive := func() (n int) {
		f, err := os.OpenFile(name, unix.O_RDWR|unix.O_NOCTTY, 0) // root may
		if errors.Is(err, unix.EBUSY) {
			return 1
		}
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		n, err = unix.IoctlGetInt(int(f.Fd()), unix.TIOCGEXCL)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if exclusive() == 0 {
		t.Error("TIOCEXCL is not set")
	}
	for _, other := range []string{name, link} {
		if _, err := newPorts(t).Serial(t.Context(), other, mode9600); !errors.Is(err, drivers.ErrBusy) {
			t.Errorf("%s opened twice: got %v, want ErrBusy", other, err)
		}
	}
	s.Close()
	if exclusive() != 0 {
		t.Error("TIOCEXCL is still set after Close")
	}
	openSerial(t, link, mode9600)
}

func TestSerialDropsStaleInput(t *testing.T) {
	device, name := plug(t)
	before, err := os.OpenFile(name, unix.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer before.Close()
	device.Write([]byte("STALE\n"))
	for deadline := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
		n, err := unix.IoctlGetInt(int(before.Fd()), unix.TIOCINQ)
		if n == len("STALE\n") {
			break
		}
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("%d bytes arrived, %v", n, err)
		}
	}
	s := openSerial(t, name, mode9600)
	device.Write([]byte("new"))
	b := make([]byte, 16)
	if n, err := s.Read(b); !strings.HasPrefix("new", string(b[:n])) || err != nil {
		t.Errorf("got %q, %v, want %q", b[:n], err, "new")
	}
}

func TestSerialLineSettings(t *testing.T) {
	for _, test := range []struct {
		mode       drivers.SerialMode
		set, clear uint32
	}{
		{drivers.SerialMode{Baud: 9600}, unix.B9600 | unix.CS8, unix.PARENB | unix.CSTOPB | unix.CRTSCTS},
		{drivers.SerialMode{Baud: 2400, Parity: drivers.EvenParity}, unix.B2400 | unix.PARENB, unix.PARODD},
		{drivers.SerialMode{Baud: 19200, Parity: drivers.OddParity, StopBits: 2}, unix.B19200 | unix.PARENB | unix.PARODD | unix.CSTOPB, 0},
		{drivers.SerialMode{Baud: 115200, Parity: drivers.NoParity, StopBits: 1}, unix.B115200, unix.PARODD | unix.CSTOPB},
	} {
		_, name := plug(t)
		s := openSerial(t, name, test.mode)
		err := s.control(func(fd int) error {
			got, err := unix.IoctlGetTermios(fd, unix.TCGETS)
			if err != nil {
				return err
			}
			// A PTY clears PARENB and keeps the rest.
			want := test.set &^ unix.PARENB
			if got.Cflag&want != want || got.Cflag&test.clear&^unix.PARENB != 0 || got.Lflag != 0 {
				t.Errorf("%+v: got cflag %#o lflag %#o", test.mode, got.Cflag, got.Lflag)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func TestSerialKnowsTarmsBauds(t *testing.T) {
	_, name := plug(t)
	p := newPorts(t)
	for _, baud := range bauds {
		s, err := p.Serial(t.Context(), name, drivers.SerialMode{Baud: baud})
		if err != nil {
			t.Errorf("baud %d: %v", baud, err)
			continue
		}
		s.Close()
	}
}

func TestSerialOpenErrors(t *testing.T) {
	_, name := plug(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		mode drivers.SerialMode
		is   error  // nil: any
		says string // in the message
	}{
		{"/dev/ttyNone", mode9600, drivers.ErrNoPort, "/dev/ttyNone"},
		{"", mode9600, drivers.ErrNoPort, ""},
		{file, mode9600, drivers.ErrNoPort, "not a serial port"},
		{file + "/x", mode9600, drivers.ErrNoPort, ""},
		{os.DevNull, mode9600, drivers.ErrNoPort, "not a serial port"},
		{t.TempDir(), mode9600, nil, "is a directory"},
		{name, drivers.SerialMode{Baud: 14400}, nil, "baud 14400: want one of [50 75"},
		{name, drivers.SerialMode{}, nil, "baud 0"},
		{name, drivers.SerialMode{Baud: 9600, Parity: 'M'}, nil, "parity 'M': want N, O or E"},
		{name, drivers.SerialMode{Baud: 9600, StopBits: 3}, nil, "3 stop bits: want 1 or 2"},
	} {
		_, err := newPorts(t).Serial(t.Context(), test.name, test.mode)
		if err == nil || (test.is != nil && !errors.Is(err, test.is)) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%q %+v: got %v, want %v that says %q", test.name, test.mode, err, test.is, test.says)
		}
	}
}

func TestSerialLeaksNothing(t *testing.T) {
	device, name := plug(t)
	p := newPorts(t)
	files, goroutines := openFiles(t), runtime.NumGoroutine()
	for i := range 1000 {
		s, err := p.Serial(t.Context(), name, mode9600)
		if err != nil {
			t.Fatalf("round %d: %v", i, err)
		}
		if _, err := p.Serial(t.Context(), name, mode9600); !errors.Is(err, drivers.ErrBusy) {
			t.Fatalf("round %d: second open: %v", i, err)
		}
		if err := s.Close(); err != nil {
			t.Fatalf("round %d: %v", i, err)
		}
	}
	if got := openFiles(t); got > files {
		t.Errorf("open files: got %d, want %d at most", got, files)
	}
	if got := runtime.NumGoroutine(); got > goroutines {
		t.Errorf("goroutines: got %d, want %d at most", got, goroutines)
	}
	runtime.KeepAlive(device)
}

func openFiles(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}
