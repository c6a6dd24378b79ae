// Package clock tells the time on a board that may have no clock: the wall
// time with its quality, and the time since boot that orders events when the
// wall time is a guess.
package clock

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/longan-edge/longan"
)

// floor is a time that has passed: what this program was written after. A wall
// clock below it is a board that woke up in 1970.
var floor = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// Stamp is one moment.
type Stamp struct {
	Time    time.Time     // UTC
	Quality string        // one of the longan.Clock constants
	Mono    time.Duration // since boot
}

// Clock reads the time. Its fields can be replaced before use.
type Clock struct {
	Boot   string               // random id of this running of the board
	Wall   func() time.Time     //
	Mono   func() time.Duration // since boot; goes on while the board sleeps
	Synced func() bool          // whether something keeps Wall right, as NTP does

	floor time.Time // a time that has passed; see Raise
}

// Raise tells the clock a time that has passed, as the board remembers it: a wall
// clock below it can't be right.
func (c *Clock) Raise(t time.Time) {
	if t.After(c.floor) {
		c.floor = t.UTC().Truncate(time.Millisecond)
	}
}

// System returns the kernel's clocks.
func System() *Clock {
	return &Clock{Boot: bootID(), Wall: time.Now, Mono: sinceBoot, Synced: kernelSynced}
}

// Now returns this moment. A wall clock that can't be right yields the floor,
// with that quality: the event happened then or later.
func (c *Clock) Now() Stamp {
	s := Stamp{Time: c.Wall().UTC().Truncate(time.Millisecond), Mono: c.Mono(), Quality: longan.ClockRTC}
	lowest := floor
	if c.floor.After(lowest) {
		lowest = c.floor
	}
	switch {
	case s.Time.Before(lowest):
		s.Time, s.Quality = lowest, longan.ClockFloor
	case c.Synced():
		s.Quality = longan.ClockNTP
	}
	return s
}

// bootID returns the kernel's id of this boot, shortened to 16 digits.
func bootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	name := strings.ReplaceAll(strings.TrimSpace(string(id)), "-", "")
	if err != nil || len(name) < 16 {
		return ""
	}
	return name[:16]
}

func sinceBoot() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// kernelSynced asks the kernel whether a time daemon disciplines its clock
// (adjtimex(2), STA_UNSYNC).
func kernelSynced() bool {
	var tx unix.Timex
	if _, err := unix.Adjtimex(&tx); err != nil {
		return false
	}
	const staUnsync = 0x40
	return tx.Status&staUnsync == 0
}
