package hw

import (
	"encoding/binary"
	"unsafe"

	"periph.io/x/conn/v3/gpio"

	"github.com/longan-edge/longan/drivers"
)

// The structures of the GPIO v2 ABI, linux/gpio.h. Their fields lie at the same
// offsets on 32-bit and 64-bit machines.
type (
	chipInfo struct { // gpiochip_info
		name  [32]byte
		label [32]byte
		lines uint32
	}
	lineAttribute struct { // gpio_v2_line_attribute
		id    uint32
		_     uint32
		value [8]byte // a union: uint64 flags or values, uint32 microseconds
	}
	lineConfigAttribute struct { // gpio_v2_line_config_attribute
		attr lineAttribute
		mask uint64
	}
	lineConfig struct { // gpio_v2_line_config
		flags uint64
		count uint32
		_     [5]uint32
		attrs [10]lineConfigAttribute
	}
	lineRequest struct { // gpio_v2_line_request
		offsets  [64]uint32
		consumer [32]byte
		config   lineConfig
		lines    uint32
		buffer   uint32
		_        [5]uint32
		fd       int32
	}
	lineValues struct { // gpio_v2_line_values
		bits uint64
		mask uint64
	}
	lineInfo struct { // gpio_v2_line_info
		name     [32]byte
		consumer [32]byte
		offset   uint32
		count    uint32
		flags    uint64
		attrs    [10]lineAttribute
		_        [4]uint32
	}
)

// Their sizes are part of the ABI: these lines don't compile when one is wrong.
var (
	_ [68]byte  = [unsafe.Sizeof(chipInfo{})]byte{}
	_ [272]byte = [unsafe.Sizeof(lineConfig{})]byte{}
	_ [592]byte = [unsafe.Sizeof(lineRequest{})]byte{}
	_ [16]byte  = [unsafe.Sizeof(lineValues{})]byte{}
	_ [256]byte = [unsafe.Sizeof(lineInfo{})]byte{}
	_ [32]byte  = [unsafe.Sizeof(rs485{})]byte{}
)

// The requests, _IOR and _IOWR of type 0xB4 as asm-generic/ioctl.h makes them.
const (
	getChipInfo = 2<<30 | unsafe.Sizeof(chipInfo{})<<16 | 0xB4<<8 | 0x01
	getLineInfo = 3<<30 | unsafe.Sizeof(lineInfo{})<<16 | 0xB4<<8 | 0x05
	getLine     = 3<<30 | unsafe.Sizeof(lineRequest{})<<16 | 0xB4<<8 | 0x07
	setConfig   = 3<<30 | unsafe.Sizeof(lineConfig{})<<16 | 0xB4<<8 | 0x0D
	getValues   = 3<<30 | unsafe.Sizeof(lineValues{})<<16 | 0xB4<<8 | 0x0E
	setValues   = 3<<30 | unsafe.Sizeof(lineValues{})<<16 | 0xB4<<8 | 0x0F
)

const (
	flagInput        = 1 << 2
	flagOutput       = 1 << 3
	flagRising       = 1 << 4
	flagFalling      = 1 << 5
	flagPullUp       = 1 << 8
	flagPullDown     = 1 << 9
	flagBiasDisabled = 1 << 10

	attrOutputValues = 2
	attrDebounce     = 3

	eventSize   = 48 // gpio_v2_line_event
	eventRising = 1  // GPIO_V2_LINE_EVENT_RISING_EDGE
	eventBuffer = 1024
)

// configFor returns what the kernel is asked for. An output's level goes with
// its direction, so that the line never takes another one in between.
func configFor(mode drivers.LineMode, edge gpio.Edge) lineConfig {
	var c lineConfig
	if mode.Output {
		c.flags = flagOutput
		var bits uint64
		if mode.Initial {
			bits = 1
		}
		a := c.add(attrOutputValues)
		binary.NativeEndian.PutUint64(a.value[:], bits)
		return c
	}
	c.flags = flagInput
	if edge == gpio.RisingEdge || edge == gpio.BothEdges {
		c.flags |= flagRising
	}
	if edge == gpio.FallingEdge || edge == gpio.BothEdges {
		c.flags |= flagFalling
	}
	switch mode.Pull {
	case gpio.PullUp:
		c.flags |= flagPullUp
	case gpio.PullDown:
		c.flags |= flagPullDown
	case gpio.Float:
		c.flags |= flagBiasDisabled
	}
	if us := mode.Debounce.Microseconds(); us > 0 {
		a := c.add(attrDebounce)
		binary.NativeEndian.PutUint32(a.value[:], uint32(min(us, 1<<32-1)))
	}
	return c
}

// add adds an attribute for the request's only line.
func (c *lineConfig) add(id uint32) *lineAttribute {
	a := &c.attrs[c.count]
	c.count++
	a.attr.id, a.mask = id, 1
	return &a.attr
}

// events counts the edges in what the kernel wrote, and those it dropped.
type events struct {
	last  uint32 // line_seqno of the last event
	known bool   // last is one; a line counts from 1 when it is requested
	lost  uint64
}

// count returns how many events b has. It ends at a half one, which the kernel
// doesn't write.
func (e *events) count(b []byte) (n int) {
	for ; len(b) >= eventSize; b = b[eventSize:] {
		n++
		seq := binary.NativeEndian.Uint32(b[20:]) // after timestamp, id, offset, seqno
		// A step backwards is a counter that began anew.
		if gap := seq - e.last - 1; e.known && gap < 1<<31 {
			e.lost += uint64(gap)
		}
		e.last, e.known = seq, true
	}
	return n
}
