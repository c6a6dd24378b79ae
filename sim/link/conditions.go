package link

import (
	"cmp"
	"time"
)

// Way is a direction of a link, or several.
type Way uint8

// The ways of a link.
const (
	ToCity Way = 1 << iota
	ToBoard

	BothWays = ToCity | ToBoard
)

// back returns the other way.
func (w Way) back() Way { return BothWays &^ w }

// String implements fmt.Stringer.
func (w Way) String() string {
	switch w {
	case 0:
		return "no way"
	case ToCity:
		return "to the city"
	case ToBoard:
		return "to the board"
	}
	return "both ways"
}

// Conditions are what a link is like at a moment. The zero value is a link
// without any limit.
type Conditions struct {
	// Bandwidth is in bit/s, of each way; zero is unlimited.
	Bandwidth int
	// Latency is of one way.
	Latency time.Duration
	// Jitter is the most that a segment is late beyond Latency, one way.
	Jitter time.Duration
	// Loss is the probability that a segment is lost, of each way.
	Loss float64
	// Down drops the connections, with an error at both ends, and refuses dials.
	Down bool
	// BlackHole are the ways on which everything vanishes without anybody being
	// told. Connections live on, half-open, and work again when it is over, or
	// the side that wrote gives up. Dials wait for their context.
	BlackHole Way
}

// RTT returns the mean time there and back, of a segment that waits for no other.
func (c Conditions) RTT() time.Duration { return 2*c.Latency + c.Jitter }

// Limits of a TCP.
const (
	MSS    = 1400 // bytes of payload in a segment
	Header = 52   // bytes of IPv4 and TCP before it, with TCP's timestamps

	sendBuffer    = 64 << 10
	receiveWindow = 64 << 10

	rtoLeast = 200 * time.Millisecond // Linux; RFC 6298 wants 1 s
	rtoMost  = 2 * time.Minute
	giveUp   = 924600 * time.Millisecond // Linux, tcp_retries2 = 15
	ackDelay = 40 * time.Millisecond     // Linux
	synFirst = time.Second
	synTries = 7
)

// rto returns the first retransmission timeout: RFC 6298, for the mean and the
// mean deviation of two jitters.
func (c Conditions) rto() time.Duration {
	return max(rtoLeast, c.RTT()+4*c.Jitter/3)
}

// TCP is what a program asks of its kernel's TCP for what it sends. The zero value
// is Linux as it is.
type TCP struct {
	// UserTimeout ends a connection of which nothing was acknowledged for so long
	// (TCP_USER_TIMEOUT, RFC 5482); zero is a quarter of an hour.
	UserTimeout time.Duration
	// Thin repeats a lost segment six times without doubling the timeout
	// (TCP_THIN_LINEAR_TIMEOUTS).
	Thin bool
}

const thinTries = 6 // Linux, TCP_THIN_LINEAR_RETRIES

// patience returns how long the sender goes on without any success.
func (t TCP) patience() time.Duration { return cmp.Or(t.UserTimeout, giveUp) }

// backoff returns the timeout after that many tries.
func (t TCP) backoff(rto time.Duration, tries int) time.Duration {
	if t.Thin {
		tries -= thinTries
	}
	for range max(0, tries) {
		if rto *= 2; rto >= rtoMost {
			return rtoMost
		}
	}
	return rto
}

// onWire returns how long n bytes of payload and their header take.
func (c Conditions) onWire(n int) time.Duration {
	if c.Bandwidth <= 0 {
		return 0
	}
	return time.Duration(float64(n+Header) * 8 / float64(c.Bandwidth) * float64(time.Second))
}
