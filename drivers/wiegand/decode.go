package wiegand

import "time"

const (
	// minInterval is the shortest time between two pulses that a reader makes;
	// shorter ones are interference, or both wires at once.
	minInterval = 100 * time.Microsecond
	// maxBits is more than any card has.
	maxBits = 128
)

// reason is why a frame can't be read.
type reason string

// The reasons.
const (
	noReason  reason = ""
	badBits   reason = "bits"   // not 26 or 34
	badTiming reason = "timing" // pulses too close together
	lostEdges reason = "lost"   // the kernel had to drop some
	badKey    reason = "key"    // a key whose check bits are wrong
	babbling  reason = "noise"  // pulses that never end
)

// frame is what was between two rests.
type frame struct {
	data   []byte // the first bit is the highest of data[0]
	n      int
	reason reason
}

// decoder makes frames of pulses.
type decoder struct {
	gap  time.Duration // a rest this long ends a frame
	data [maxBits / 8]byte
	n    int
	last time.Duration // of the last pulse
	why  reason
}

// open reports whether a frame has begun.
func (d *decoder) open() bool { return d.n > 0 }

// pulse takes a pulse on line 0 or 1, and returns the frame that ended before it.
func (d *decoder) pulse(bit int, at time.Duration) (ended frame, ok bool) {
	if d.n > 0 && at-d.last >= d.gap {
		ended, ok = d.end()
	}
	if d.n > 0 && at-d.last < minInterval {
		d.blame(badTiming)
	}
	d.last = at
	if d.n == maxBits {
		d.blame(babbling)
		ended, ok = d.end()
		d.last = at
	}
	if bit == 1 {
		d.data[d.n/8] |= 0x80 >> (d.n % 8)
	}
	d.n++
	return ended, ok
}

// blame says why the frame can't be read; the first reason counts.
func (d *decoder) blame(why reason) {
	if d.why == noReason {
		d.why = why
	}
}

// end returns the frame so far and begins another one.
func (d *decoder) end() (ended frame, ok bool) {
	if d.n == 0 {
		return frame{}, false
	}
	ended = frame{data: append([]byte(nil), d.data[:(d.n+7)/8]...), n: d.n, reason: d.why}
	*d = decoder{gap: d.gap}
	return ended, true
}

// key reports whether a frame is a key of a keypad, and whether it is right: four
// bits, or eight of which the first four are the complement of the others.
func (f frame) key() (is, right bool) {
	switch f.n {
	case 4:
		return true, true
	case 8:
		return true, f.data[0]>>4 == ^f.data[0]&0x0F
	}
	return false, false
}
