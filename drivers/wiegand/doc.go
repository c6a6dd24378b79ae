// Package wiegand reads card readers with the Wiegand interface (SIA AC-01-1996.10):
// two wires, D0 and D1, high at rest, on which the reader pulls one low for each
// bit: D0 for a zero, D1 for a one.
//
// # What it supports
//
// Frames of 26 bits, and, as best effort, of 34: makers agree on the parity bits of
// 34 and not on what is between them, which doesn't matter here since nobody looks
// at it, and longer frames are longer exposed to interference. Keypads that send
// each key as 4 or 8 bits, where the configuration says that there is one. Any
// other length is a misread: counted and told of, and no card.
//
// Where there is a choice take OSDP, see package osdp. Wiegand has no address, no
// answer, no encryption and no supervision: a reader that is unplugged looks like
// one that nobody uses, and whoever opens it sees the cards.
//
// # What leaves it
//
// A card is emitted as access.card, with a keyed hash of its bits, their number and
// whether their parity is right; keys as access.keys, with how many there were and
// not which; misreads as access.misread, at most once a minute, with their count.
// A card that is held to the reader, and told every now and then, is one until it
// was away for 3 s.
// No number is in an error or a detail.
//
// # Timing
//
// A pulse takes 20 µs to 100 µs, from one to the next it is 0.2 ms to 20 ms, and
// a rest of 30 ms ends a frame. No program is woken up in time for that on Linux,
// and two lines that are waited for one by one lose their order. So both lines are
// requested together and the kernel, in its interrupt handler, puts their edges in
// one order with the time of each ([drivers.EdgePorts]); the program may come a
// second later. It keeps 1,024 edges, thirty frames; what it had to drop is known,
// and the frame a misread.
//
// Only falling edges are asked for. For both, kernels tell a rising edge from a
// falling one by the level that they find when they look, and a pulse of 50 µs is
// over by then.
//
// Pulses that are less than 0.1 ms apart are no reader's: interference, or a short
// between the wires. Pulses that never rest are Fault, and so is a wire that is low
// at two looks in a row.
//
// The interrupt handler must keep up with a pulse each 0.2 ms: the GPIO of the
// processor does, an expander on I2C does not.
package wiegand
