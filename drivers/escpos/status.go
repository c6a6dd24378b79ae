package escpos

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Signal is what a point of a printer watches.
type Signal string

// The signals. Active means that the trouble is there.
const (
	Cover        Signal = "cover"          // the cover is open
	PaperNearEnd Signal = "paper-near-end" // the roll is almost used up
	PaperOut     Signal = "paper-out"      // no paper
	Offline      Signal = "offline"        // takes no print data
	Error        Signal = "error"          // cutter, head temperature, mechanics …
)

// Commands of the real-time status request: DLE EOT n.
const (
	dle = 0x10
	eot = 0x04
	// Flow control, which comes at any time.
	xon  = 0x11
	xoff = 0x13
	// kinds is how many n are asked: 1 printer, 2 offline cause, 3 error
	// cause, 4 paper sensors.
	kinds = 4
)

// source is where a signal stands: bits of the answer to one n.
type source struct {
	n    int
	mask byte
	// sure: without these bits the trouble is not there. Otherwise the bits
	// prove the trouble but not its absence.
	sure bool
}

// sources returns the places of each signal. Epson, ESC/POS Command Reference,
// DLE EOT.
func sources() map[Signal][]source {
	return map[Signal][]source{
		Cover:        {{2, 1 << 2, true}},
		PaperNearEnd: {{4, 1<<2 | 1<<3, true}},
		// n=2 bit 5: printing stops because the paper has ended.
		PaperOut: {{4, 1<<5 | 1<<6, true}, {2, 1 << 5, false}},
		Offline:  {{1, 1 << 3, true}},
		// Recoverable, cutter, unrecoverable, recovers by itself; n=2 bit 6: an
		// error occurred.
		Error: {{3, 1<<2 | 1<<3 | 1<<5 | 1<<6, true}, {2, 1 << 6, false}},
	}
}

// check returns an error that names the first signal no printer has.
func check(points map[Signal]string) error {
	known := sources()
	for _, s := range slices.Sorted(maps.Keys(points)) {
		if _, ok := known[s]; !ok {
			names := slices.Sorted(maps.Keys(known))
			return fmt.Errorf("signal %q: want one of %s", s, join(names))
		}
	}
	return nil
}

func join(signals []Signal) string {
	var s []string
	for _, signal := range signals {
		s = append(s, string(signal))
	}
	return strings.Join(s, ", ")
}

// byteKind is what a byte from a printer can be.
type byteKind int

const (
	stray  byteKind = iota // XON, XOFF, noise, answers to other commands
	status                 // the answer to DLE EOT
	asb                    // part of an automatic status back, GS a
)

// classifier tells the bytes of a printer apart by their fixed bits: DLE EOT is
// 0xx1xx10, the first byte of an automatic status 0xx1xx00 and its three further
// ones 0xx0xxxx, between which XOFF may come. No byte can be two of these, so an
// answer is found also inside an automatic status.
type classifier struct{ left int } // bytes of an automatic status to come

func (c *classifier) classify(b byte) byteKind {
	switch {
	case b&0x93 == 0x12:
		return status
	case b&0x93 == 0x10:
		c.left = 3
		return asb
	case b&0x90 == 0 && c.left > 0:
		c.left--
		return asb
	}
	return stray
}

// explain says which bits of the answer to n are set, for people.
func explain(n int, b byte) string {
	names := [kinds + 1]map[byte]string{
		1: {1 << 2: "drawer", 1 << 3: "offline", 1 << 5: "waits for recovery", 1 << 6: "feed button"},
		2: {1 << 2: "cover open", 1 << 3: "feeds by button", 1 << 5: "stopped without paper", 1 << 6: "error"},
		3: {1 << 2: "recoverable error", 1 << 3: "cutter", 1 << 5: "unrecoverable error", 1 << 6: "recovers by itself"},
		4: {1 << 2: "near end", 1 << 5: "no paper"},
	}
	var set []string
	for bit := byte(1); bit < 1<<7; bit <<= 1 {
		if name := names[n][bit]; name != "" && b&bit != 0 {
			set = append(set, name)
		}
	}
	text := fmt.Sprintf("DLE EOT %d: %02x", n, b)
	if len(set) > 0 {
		text += ", " + strings.Join(set, ", ")
	}
	return text
}
