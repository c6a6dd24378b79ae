// Package clock tells the time on a board that may have no clock: the wall
// time with its quality, and the time since boot that orders events when the
// wall time is a guess.
//
// Four sources, worst first: the floor, a time that has certainly passed; the
// wall clock as somebody set it; the city's time from its acks; the wall clock
// while a time daemon keeps it right. Now takes the best there is. The city
// overrules a wall clock that nobody keeps right, however much they differ.
//
// The city's time never runs backwards. The others do when somebody turns the
// clock back, and a better source may say less than a worse one did: no time is
// held back for that, or one wrong second in 2050 would be kept until the next
// boot. So nothing may be ordered, expired or waited for by these times. Events
// are ordered by their numbers, and intervals are measured by Mono or by the
// monotonic part of a time.Time.
package clock

import (
	"slices"
	"sync"
	"time"

	"github.com/longan-edge/longan"
)

// floor is a time that has passed: what this program was written after. A wall
// clock below it is a board that woke up in 1970. A time after ceiling is a
// clock chip with an empty battery; no board lives that long.
var (
	floor   = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	ceiling = floor.AddDate(30, 0, 0)
)

// qualities are the sources of time, worst first.
var qualities = [...]string{longan.ClockFloor, longan.ClockRTC, longan.ClockCity, longan.ClockNTP}

// Better reports whether a time of quality a is worth more than one of quality b.
func Better(a, b string) bool {
	return slices.Index(qualities[:], a) > slices.Index(qualities[:], b)
}

// Stamp is one moment.
type Stamp struct {
	Time    time.Time     // UTC
	Quality string        // one of the longan.Clock constants
	Mono    time.Duration // since boot
}

// Clock reads the time. Its fields can be replaced before use; its methods may
// be called from many goroutines. It must not be copied after use.
type Clock struct {
	Boot   string               // random id of this running of the board
	Wall   func() time.Time     // the kernel's wall clock, whatever it says
	Mono   func() time.Duration // since boot; goes on while the board sleeps
	Synced func() bool          // whether something keeps Wall right, as NTP does

	mu       sync.Mutex
	floor    time.Time // has passed; see Raise
	likely   time.Time // has passed, unless a clock was wrong; see Hint
	city     time.Time // by the city, when Mono was seen; zero is never
	seen     time.Duration
	observed chan struct{} // signals that city is no longer zero; made by Observed
}

// Raise tells the clock a time that has passed, because the board saw it by a
// good clock or the program was built then: a wall clock below it can't be
// right, though a time daemon vouches for it.
func (c *Clock) Raise(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.floor = later(c.floor, t)
}

// Hint is Raise for a time that a wall clock wrote which may have been wrong, as
// the dates of files are: it counts unless there is a time daemon or the city.
func (c *Clock) Hint(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.likely = later(c.likely, t)
}

// later returns the later time, for t within the bounds of what can be.
func later(have, t time.Time) time.Time {
	if t.After(ceiling) || !t.After(have) {
		return have
	}
	return t.UTC().Truncate(time.Millisecond)
}

// Now returns this moment by the best source there is. Without any it is the
// floor, with that quality: the moment is then or later.
func (c *Clock) Now() Stamp {
	wall, mono := c.Wall().UTC().Truncate(time.Millisecond), c.Mono()
	c.mu.Lock()
	defer c.mu.Unlock()
	lowest := floor
	if c.floor.After(lowest) {
		lowest = c.floor
	}
	possible := !wall.Before(lowest) && !wall.After(ceiling)
	if c.likely.After(lowest) {
		lowest = c.likely
	}
	s := Stamp{Time: wall, Mono: mono, Quality: longan.ClockRTC}
	switch {
	case possible && c.Synced():
		s.Quality = longan.ClockNTP
	case !c.city.IsZero():
		s.Time, s.Quality = c.cityTime(mono).Truncate(time.Millisecond), longan.ClockCity
	case !possible || wall.Before(lowest):
		s.Time, s.Quality = lowest, longan.ClockFloor
	}
	return s
}
