// Package peripheral plays the devices that are wired to a board: what stands at
// the far end of a serial line, with its faults.
//
// A device serves a [Port]: one end of net.Pipe in virtual time, a
// porttest.Peer, or a [PTY] whose other side the agent opens as it would a UART.
//
// The devices are written from the specifications and share no code with the
// drivers, so that an error in one does not hide behind the same error in the
// other.
package peripheral
