// Package porttest has ports in memory for tests and simulations: serial lines
// that can be unplugged, GPIO lines that bounce, fail and lose edges, and
// scripts that play the device side of a protocol.
//
// A test adds what is wired to the board and keeps the far end; the driver
// opens the near end through [Ports] as it would on a board:
//
//	var ports porttest.Ports
//	peer := ports.AddSerial("/dev/ttyS1") // the device: Read, Write, Close = unplug
//	door := ports.AddLine("gpio:4")       // the wire: Set, Fail, Unplug …
//
// Everything waits on channels and the time package alone, so it may be used
// inside a [testing/synctest] bubble, where it costs no real time; whatever a
// bubble uses must have been added inside it.
//
// The fakes keep the contract of [drivers.Serial] and [drivers.Line] as the
// real ports do. What they don't have: baud rates and framing errors, and the
// transmission times that follow from them.
package porttest
