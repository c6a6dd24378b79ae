package hw

import (
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"
	"time"
	"unsafe"

	"periph.io/x/conn/v3/gpio"

	"github.com/longan-edge/longan/drivers"
)

// The numbers are those of linux/gpio.h on the machines we build for.
func TestRequestNumbers(t *testing.T) {
	for _, test := range []struct {
		name string
		got  uintptr
		want uint32
	}{
		{"GPIO_GET_CHIPINFO_IOCTL", getChipInfo, 0x8044B401},
		{"GPIO_V2_GET_LINEINFO_IOCTL", getLineInfo, 0xC100B405},
		{"GPIO_V2_GET_LINE_IOCTL", getLine, 0xC250B407},
		{"GPIO_V2_LINE_SET_CONFIG_IOCTL", setConfig, 0xC110B40D},
		{"GPIO_V2_LINE_GET_VALUES_IOCTL", getValues, 0xC010B40E},
		{"GPIO_V2_LINE_SET_VALUES_IOCTL", setValues, 0xC010B40F},
	} {
		if uint32(test.got) != test.want {
			t.Errorf("%s: got %#x, want %#x", test.name, test.got, test.want)
		}
	}
}

func TestFieldOffsets(t *testing.T) {
	var r lineRequest
	var c lineConfig
	var i lineInfo
	for _, test := range []struct {
		name      string
		got, want uintptr
	}{
		{"chipInfo.lines", unsafe.Offsetof(chipInfo{}.lines), 64},
		{"lineRequest.consumer", unsafe.Offsetof(r.consumer), 256},
		{"lineRequest.config", unsafe.Offsetof(r.config), 288},
		{"lineRequest.lines", unsafe.Offsetof(r.lines), 560},
		{"lineRequest.buffer", unsafe.Offsetof(r.buffer), 564},
		{"lineRequest.fd", unsafe.Offsetof(r.fd), 588},
		{"lineConfig.count", unsafe.Offsetof(c.count), 8},
		{"lineConfig.attrs", unsafe.Offsetof(c.attrs), 32},
		{"lineAttribute.value", unsafe.Offsetof(c.attrs[0].attr.value), 8},
		{"lineConfigAttribute.mask", unsafe.Offsetof(c.attrs[0].mask), 16},
		{"lineInfo.consumer", unsafe.Offsetof(i.consumer), 32},
		{"lineInfo.flags", unsafe.Offsetof(i.flags), 72},
	} {
		if test.got != test.want {
			t.Errorf("%s: got offset %d, want %d", test.name, test.got, test.want)
		}
	}
}

// TestConfigBytes compares the head and the first attribute, as a little-endian
// kernel reads them.
func TestConfigBytes(t *testing.T) {
	const none = "00000000 00000000 0000000000000000 0000000000000000"
	for _, test := range []struct {
		name  string
		mode  drivers.LineMode
		edge  gpio.Edge
		flags uint64
		count uint32
		attr  string // id, padding, value, mask
	}{
		{"input, pull-up, both edges", drivers.LineMode{Pull: gpio.PullUp}, gpio.BothEdges, 0x134, 0, none},
		{"input, pull-down, rising", drivers.LineMode{Pull: gpio.PullDown}, gpio.RisingEdge, 0x214, 0, none},
		{"input, floating, falling", drivers.LineMode{Pull: gpio.Float}, gpio.FallingEdge, 0x424, 0, none},
		{"input as it is, no edge", drivers.LineMode{Pull: gpio.PullNoChange}, gpio.NoEdge, 0x004, 0, none},
		{"debounce of 20 ms", drivers.LineMode{Pull: gpio.PullUp, Debounce: 20 * time.Millisecond}, gpio.BothEdges, 0x134, 1,
			"03000000 00000000 204e000000000000 0100000000000000"},
		{"debounce of hours is cut", drivers.LineMode{Pull: gpio.PullUp, Debounce: 100 * time.Hour}, gpio.BothEdges, 0x134, 1,
			"03000000 00000000 ffffffff00000000 0100000000000000"},
		{"output low", drivers.LineMode{Output: true}, gpio.BothEdges, 0x008, 1,
			"02000000 00000000 0000000000000000 0100000000000000"},
		{"output high: the level goes with the direction", drivers.LineMode{Output: true, Initial: gpio.High}, gpio.NoEdge, 0x008, 1,
			"02000000 00000000 0100000000000000 0100000000000000"},
	} {
		c := configFor(test.mode, test.edge)
		b := unsafe.Slice((*byte)(unsafe.Pointer(&c)), unsafe.Sizeof(c))
		if got := binary.LittleEndian.Uint64(b); got != test.flags {
			t.Errorf("%s: got flags %#x, want %#x", test.name, got, test.flags)
		}
		if got := binary.LittleEndian.Uint32(b[8:]); got != test.count {
			t.Errorf("%s: got %d attributes, want %d", test.name, got, test.count)
		}
		if got, want := hex.EncodeToString(b[32:56]), strings.ReplaceAll(test.attr, " ", ""); got != want {
			t.Errorf("%s: got attribute %s, want %s", test.name, got, want)
		}
		for i, v := range b[56:] {
			if v != 0 {
				t.Fatalf("%s: byte %d is %#x, the kernel refuses what is not zero", test.name, 56+i, v)
			}
		}
	}
}

func TestEventsCountTheLost(t *testing.T) {
	for _, test := range []struct {
		name string
		seqs []uint32
		from *uint32 // last known; nil is none
		lost uint64
	}{
		{"none lost", []uint32{1, 2, 3}, new(uint32), 0},
		{"the first lost", []uint32{3, 4}, new(uint32), 2},
		{"a gap", []uint32{1, 2, 10}, new(uint32), 7},
		{"two gaps", []uint32{2, 4}, new(uint32), 2},
		{"nothing known before", []uint32{7, 8}, nil, 0},
		{"nothing known, then a gap", []uint32{7, 9}, nil, 1},
		{"wraps", []uint32{1<<32 - 1, 0, 1}, new(uint32(1<<32 - 2)), 0},
		{"wraps with a gap", []uint32{1}, new(uint32(1<<32 - 2)), 2},
		{"begins anew", []uint32{1, 2}, new(uint32(100)), 0},
	} {
		e := events{known: test.from != nil}
		if e.known {
			e.last = *test.from
		}
		for _, seq := range test.seqs {
			if n := e.count(event(seq)); n != 1 {
				t.Errorf("%s: counted %d events, want 1", test.name, n)
			}
		}
		if e.lost != test.lost {
			t.Errorf("%s: got %d lost, want %d", test.name, e.lost, test.lost)
		}
	}
}

func FuzzEvents(f *testing.F) {
	f.Add(append(event(1), event(5)...))
	f.Add([]byte("half an event"))
	f.Fuzz(func(t *testing.T, b []byte) {
		e := events{known: true}
		if n := e.count(b); n != len(b)/48 {
			t.Errorf("counted %d events in %d bytes", n, len(b))
		}
		if most := uint64(len(b)/48) << 31; e.lost > most {
			t.Errorf("%d lost, more than a counter can skip", e.lost)
		}
	})
}
