package hw

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
	"periph.io/x/conn/v3/gpio"
)

// fakeKernel answers the ioctls of the GPIO v2 ABI for chips that are plain
// files, and lines whose events come through a pipe.
type fakeKernel struct {
	t   *testing.T
	dev string

	mu       sync.Mutex
	chips    map[string]*chipInfo   // by file name
	lines    map[uintptr]*fakeLine  // by descriptor
	requests []lineRequest          // as they came
	configs  []lineConfig           // as they came with setConfig
	refuse   func(lineConfig) error // what a request or configuration fails with
	busy     string                 // consumer of every line
	driven   *gpio.Level            // every line is an output that drives it; nil is none is
}

type fakeLine struct {
	events *os.File // write end
	seq    uint32
	bits   uint64
	err    error // of reading and setting values
}

func newFakeKernel(t *testing.T) (*fakeKernel, *Ports) {
	k := &fakeKernel{t: t, dev: t.TempDir(), chips: make(map[string]*chipInfo), lines: make(map[uintptr]*fakeLine)}
	p := newPorts(t)
	p.kernel = kernel{dev: k.dev, ioctl: k.ioctl}
	return k, p
}

func (k *fakeKernel) addChip(file, name, label string, lines uint32) {
	c := &chipInfo{lines: lines}
	copy(c.name[:], name)
	copy(c.label[:], label)
	k.chips[file] = c
	if err := os.WriteFile(filepath.Join(k.dev, file), nil, 0o600); err != nil {
		k.t.Fatal(err)
	}
}

func (k *fakeKernel) ioctl(fd, request uintptr, arg unsafe.Pointer) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	path, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil {
		return unix.EBADF
	}
	if strings.HasPrefix(path, "pipe:") { // descriptors are used again, files are not
		return k.lineIoctl(k.lines[fd], request, arg)
	}
	chip := k.chips[filepath.Base(path)]
	if chip == nil {
		return unix.ENOTTY
	}
	switch request {
	case 0x8044B401: // GPIO_GET_CHIPINFO_IOCTL
		*(*chipInfo)(arg) = *chip
	case 0xC100B405: // GPIO_V2_GET_LINEINFO_IOCTL
		copy((*lineInfo)(arg).consumer[:], k.busy)
		if k.driven != nil {
			(*lineInfo)(arg).flags = flagOutput
		}
	case 0xC250B407: // GPIO_V2_GET_LINE_IOCTL
		return k.request((*lineRequest)(arg))
	default:
		k.t.Errorf("chip: unknown ioctl %#x", request)
	}
	return nil
}

func (k *fakeKernel) request(r *lineRequest) error {
	k.requests = append(k.requests, *r)
	if k.busy != "" {
		return unix.EBUSY
	}
	if k.refuse != nil {
		if err := k.refuse(r.config); err != nil {
			return err
		}
	}
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		return err
	}
	r.fd = int32(ends[0])
	events := os.NewFile(uintptr(ends[1]), "events")
	k.t.Cleanup(func() { events.Close() })
	l := &fakeLine{events: events}
	if k.driven != nil && bool(*k.driven) {
		l.bits = 1
	}
	k.lines[uintptr(ends[0])] = l
	return nil
}

func (k *fakeKernel) lineIoctl(l *fakeLine, request uintptr, arg unsafe.Pointer) error {
	if l.err != nil {
		return l.err
	}
	switch request {
	case 0xC110B40D: // GPIO_V2_LINE_SET_CONFIG_IOCTL
		c := *(*lineConfig)(arg)
		k.configs = append(k.configs, c)
		if k.refuse != nil {
			return k.refuse(c)
		}
	case 0xC010B40E: // GPIO_V2_LINE_GET_VALUES_IOCTL
		v := (*lineValues)(arg)
		v.bits = l.bits & v.mask
	case 0xC010B40F: // GPIO_V2_LINE_SET_VALUES_IOCTL
		v := (*lineValues)(arg)
		l.bits = l.bits&^v.mask | v.bits&v.mask
	default:
		k.t.Errorf("line: unknown ioctl %#x", request)
	}
	return nil
}

// line returns the only line that is requested.
func (k *fakeKernel) line() *fakeLine {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.lines) != 1 {
		k.t.Fatalf("%d lines are requested, want 1", len(k.lines))
	}
	for _, l := range k.lines {
		return l
	}
	return nil
}

// edges sends n events in one write, after dropping some.
func (l *fakeLine) edges(t *testing.T, drop, n uint32) {
	t.Helper()
	l.seq += drop
	var b []byte
	for range n {
		l.seq++
		b = append(b, event(l.seq)...)
	}
	if _, err := l.events.Write(b); err != nil {
		t.Error(err)
	}
}

// event returns a gpio_v2_line_event.
func event(seq uint32) []byte {
	b := make([]byte, 48)
	binary.NativeEndian.PutUint64(b, 1_000_000_007) // timestamp_ns
	binary.NativeEndian.PutUint32(b[8:], 2)         // id: falling edge
	binary.NativeEndian.PutUint32(b[12:], 17)       // offset
	binary.NativeEndian.PutUint32(b[16:], seq)      // seqno
	binary.NativeEndian.PutUint32(b[20:], seq)      // line_seqno
	return b
}
