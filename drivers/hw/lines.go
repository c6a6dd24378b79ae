package hw

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
	"periph.io/x/conn/v3/gpio"

	"github.com/longan-edge/longan/drivers"
)

// kernel is the seam to Linux: tests put another folder and another ioctl here,
// everything else they run is what runs on a board.
type kernel struct {
	dev   string // where gpiochip0 … are
	ioctl func(fd, request uintptr, arg unsafe.Pointer) error
}

func linux() kernel { return kernel{dev: "/dev", ioctl: ioctl} }

// address is a line: the label of its chip, which unlike the number in
// /dev/gpiochipN stays the same, and its offset there.
type address struct {
	chip   string
	offset uint32
}

// chip is an open GPIO chip.
type chip struct {
	file  *os.File
	name  string // gpiochip0
	label string // pinctrl-bcm2711
	lines uint32
}

// Line requests the GPIO line of that name, "chip-label:offset" or the name that
// the kernel gives it, for this process alone. An input watches both edges. Its
// errors wrap ErrNoPort or ErrBusy where that is the cause.
//
// A debounce time that the kernel refuses is left out, as [drivers.LineMode]
// allows. A pull that the chip has not is ignored by the kernel.
func (p *Ports) Line(ctx context.Context, name string, mode drivers.LineMode) (drivers.Line, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	at, err := p.resolve(name)
	if err != nil {
		return nil, fmt.Errorf("request line %s: %w", name, err)
	}
	c, err := p.kernel.chip(at.chip)
	if err != nil {
		return nil, fmt.Errorf("request line %s: %w", name, err)
	}
	defer c.file.Close() // a requested line needs its chip's file no more
	if at.offset >= c.lines {
		return nil, fmt.Errorf("request line %s: %w: %s has lines 0 to %d", name, drivers.ErrNoPort, at.chip, int64(c.lines)-1)
	}
	l, err := p.kernel.request(c, at.offset, name, mode)
	if err != nil {
		return nil, fmt.Errorf("request line %s: %w", name, err)
	}
	return l, nil
}

func (p *Ports) resolve(name string) (address, error) {
	if at, ok := p.names[name]; ok {
		return at, nil
	}
	i := strings.LastIndexByte(name, ':')
	if i > 0 {
		if offset, err := strconv.ParseUint(name[i+1:], 10, 32); err == nil {
			return address{name[:i], uint32(offset)}, nil
		}
	}
	return address{}, fmt.Errorf("%w: want \"chip-label:offset\" or a line's name; %s", drivers.ErrNoPort, p.kernel.there())
}

// chips opens all chips, each one once: boards have links beside the device
// files. What can't be opened is in err, beside the chips that can.
func (k kernel) chips() (all []*chip, err error) {
	paths, err := filepath.Glob(filepath.Join(k.dev, "gpiochip*"))
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		c, oneErr := k.open(path)
		if oneErr != nil {
			err = errors.Join(err, oneErr)
			continue
		}
		if slices.ContainsFunc(all, func(o *chip) bool { return o.name == c.name }) {
			c.file.Close()
			continue
		}
		all = append(all, c)
	}
	return all, err
}

func (k kernel) open(path string) (*chip, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, openError(err))
	}
	var info chipInfo
	if err := k.control(f, getChipInfo, unsafe.Pointer(&info)); err != nil {
		f.Close()
		return nil, fmt.Errorf("open %s: not a GPIO chip: %w", path, err)
	}
	c := &chip{file: f, name: text(info.name[:]), label: text(info.label[:]), lines: info.lines}
	if c.label == "" {
		c.label = c.name
	}
	return c, nil
}

// chip opens the chip of that label or, where none has it, of that name.
func (k kernel) chip(label string) (*chip, error) {
	all, err := k.chips()
	found := filter(all, func(c *chip) bool { return c.label == label })
	if len(found) == 0 {
		found = filter(all, func(c *chip) bool { return c.name == label })
	}
	for _, c := range all {
		if len(found) != 1 || c != found[0] {
			c.file.Close()
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return nil, fmt.Errorf("%w: %d chips are called %q, use the chip's name: %s", drivers.ErrNoPort, len(found), label, describe(found))
	case err != nil:
		return nil, fmt.Errorf("%w: %w", drivers.ErrNoPort, err)
	}
	return nil, fmt.Errorf("%w: no chip %q; %s", drivers.ErrNoPort, label, there(all))
}

func filter(all []*chip, keep func(*chip) bool) []*chip {
	return slices.DeleteFunc(slices.Clone(all), func(c *chip) bool { return !keep(c) })
}

// there says which chips the board has.
func (k kernel) there() string {
	all, err := k.chips()
	for _, c := range all {
		c.file.Close()
	}
	if err != nil && len(all) == 0 {
		return err.Error()
	}
	return there(all)
}

func there(all []*chip) string {
	if len(all) == 0 {
		return "this machine has no GPIO chip"
	}
	return "there are " + describe(all)
}

func describe(all []*chip) string {
	var s []string
	for _, c := range all {
		s = append(s, fmt.Sprintf("%s (%s, %d lines)", c.label, c.name, c.lines))
	}
	return strings.Join(s, ", ")
}

// request asks for the line, a second time without debounce if that is refused.
func (k kernel) request(c *chip, offset uint32, name string, mode drivers.LineMode) (*gpioLine, error) {
	r := lineRequest{lines: 1, buffer: eventBuffer}
	r.offsets[0] = offset
	copy(r.consumer[:len(r.consumer)-1], "longan")
	if mode.Output {
		r.buffer = 0
		if mode.Keep && k.isOutput(c, offset) {
			return k.keep(c, r, name, mode)
		}
	}
	r.config = configFor(mode, gpio.BothEdges)
	err := k.control(c.file, getLine, unsafe.Pointer(&r))
	if mode.Debounce > 0 && refused(err) {
		mode.Debounce = 0
		r.config = configFor(mode, gpio.BothEdges)
		err = k.control(c.file, getLine, unsafe.Pointer(&r))
	}
	if err != nil {
		return nil, k.denied(c, offset, err)
	}
	return newLine(k, int(r.fd), name, int(offset), mode)
}

// isOutput reports whether the kernel drives the line now, as it does after the
// process that last had it ended, but not after a start of the board.
func (k kernel) isOutput(c *chip, offset uint32) bool {
	info := lineInfo{offset: offset}
	err := k.control(c.file, getLineInfo, unsafe.Pointer(&info))
	return err == nil && info.flags&flagOutput != 0
}

// keep requests an output as it is, reads the level that it drives, and only then
// makes it an output of ours with that level: it takes no other in between.
func (k kernel) keep(c *chip, r lineRequest, name string, mode drivers.LineMode) (*gpioLine, error) {
	if err := k.control(c.file, getLine, unsafe.Pointer(&r)); err != nil {
		return nil, k.denied(c, r.offsets[0], err)
	}
	l, err := newLine(k, int(r.fd), name, int(r.offsets[0]), mode)
	if err != nil {
		return nil, err
	}
	v := lineValues{mask: 1}
	if err := k.control(l.file, getValues, unsafe.Pointer(&v)); err != nil {
		return nil, errors.Join(l.explain("read", err), l.Close())
	}
	mode.Initial = v.bits&1 != 0
	if err := l.configure(mode, gpio.NoEdge); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	l.mode, l.out = mode, mode.Initial
	return l, nil
}

// denied explains why a request failed.
func (k kernel) denied(c *chip, offset uint32, err error) error {
	switch {
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("%w by %q", drivers.ErrBusy, k.consumer(c, offset))
	case errors.Is(err, unix.ENODEV):
		return fmt.Errorf("%w: %w", drivers.ErrNoPort, err)
	case errors.Is(err, unix.ENOTTY), errors.Is(err, unix.EINVAL):
		return fmt.Errorf("%w; Linux 5.10 or newer is needed", err)
	}
	return err
}

func refused(err error) bool {
	return errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.Errno(524)) // ENOTSUPP of the kernel
}

// consumer returns who holds a line, "" if that can't be said.
func (k kernel) consumer(c *chip, offset uint32) string {
	info := lineInfo{offset: offset}
	if err := k.control(c.file, getLineInfo, unsafe.Pointer(&info)); err != nil {
		return ""
	}
	return text(info.consumer[:])
}

// control is an ioctl on an open file.
func (k kernel) control(f *os.File, request uintptr, arg unsafe.Pointer) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = k.ioctl(fd, request, arg) }); err != nil {
		return os.ErrClosed // the only reason, under another name
	}
	return inner
}

// text returns the string in a C array.
func text(b []byte) string {
	s, _, _ := bytes.Cut(b, []byte{0})
	return string(s)
}
