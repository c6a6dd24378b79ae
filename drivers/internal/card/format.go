package card

// Format says what is known of the bits of a card.
type Format string

// The formats.
const (
	OK      Format = "ok"      // a length with parity bits, and they are right
	Parity  Format = "parity"  // a length with parity bits, and they are wrong: a misread
	Unknown Format = "unknown" // a length of which nothing is known
)

// Check looks at the parity bits of n bits, the first one the highest bit of
// data[0]. 26 bits are an even parity over the first half, with the first bit,
// and an odd one over the second half, with the last (SIA AC-01, Wiegand); 34
// bits are the same with halves of 17.
func Check(data []byte, n int) Format {
	if n != 26 && n != 34 {
		return Unknown
	}
	if odd(data, 0, n/2) || !odd(data, n/2, n) {
		return Parity
	}
	return OK
}

// odd reports whether the number of ones from bit first up to bit end is odd.
func odd(data []byte, first, end int) bool {
	ones := 0
	for i := first; i < end; i++ {
		ones += Bit(data, i)
	}
	return ones%2 == 1
}

// Bit returns bit i of data, counted from the highest of data[0].
func Bit(data []byte, i int) int { return int(data[i/8] >> (7 - i%8) & 1) }
