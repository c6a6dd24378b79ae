// Package hw is the board's real ports: UARTs as Linux ttys and GPIO lines of
// Linux GPIO chips. It alone imports github.com/tarm/serial and
// periph.io/x/host/v3.
//
// # Serial
//
// tarm/serial opens a port and makes its line settings. Reads and writes go
// through a descriptor of our own, opened without blocking: tarm's reports a
// timeout, an unplugged device and the end of a file alike, its Write has no
// timeout, and its Close waits for a Read. Ours has deadlines, and end of file
// can only mean unplugged.
//
// A port is locked with flock(2) before its settings are touched, and with
// TIOCEXCL after; root is not bound by the latter. Programs that do neither, a
// login on the console among them, are not seen.
//
// # Lines
//
// Discovery and names of chips and lines come from periph's gpioioctl. Lines are
// requested by ourselves through the kernel's GPIO v2 ABI (Linux 5.10,
// https://docs.kernel.org/userspace-api/gpio/chardev.html) behind periph's
// [gpio.PinIO], for what gpioioctl v3.8.5 does with a line:
//
//   - an output that is read becomes an input with pull-up: the relay drops;
//   - Out(High) sets the direction first, and pulses the line Low;
//   - 16 events are kept, without a word of those lost; we ask for 1024 and
//     count gaps in the sequence;
//   - a read error is Low, and on a removed chip WaitForEdge spins.
//
// WaitForEdge follows the contract of package gpio: a negative timeout waits
// until an edge, Halt or Close; zero does not wait. gpioioctl has it the other
// way round: 0 waits for ever and -1 returns false at once.
//
// Signals whose edges are the data come from [Ports.Edges]: several lines of one
// chip in one request, so that the kernel puts their edges in one order, with the
// time of each.
//
// periph opens the chips once, in [New], and keeps them open. Where two device
// files lead to one chip, as on a Raspberry Pi 5, it closes file descriptor 0 by
// mistake; New puts it back. A line's chip is looked up by its label again at
// every request, so an expander may be plugged in again under another number.
//
// # What is tested where
//
// Serial ports are tested on pseudo-terminals, which have no baud rate, no
// parity and no RS-485. The GPIO code is tested against the bytes of the ABI,
// down to the ioctl; that the kernel sees it the same way is for the ARM lab, with
// gpio-sim, and so are edges in numbers, pulses and removed chips.
package hw
