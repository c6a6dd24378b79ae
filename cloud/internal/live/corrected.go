package live

import (
	"slices"
	"time"

	"github.com/longan-edge/longan"
)

// A board without a clock battery begins in 1970, or at the time it was built. It
// also counts the time since boot, so that the first word with a better clock
// tells when the boot began, and with it when what it told before happened. The
// store keeps the same by the same rule; see its Boot.

// keptBases is how many boots of a center are known by when they began.
const keptBases = 8

// qualities are the clocks of the contract, the worst first.
var qualities = [...]string{"", longan.ClockFloor, longan.ClockRTC, longan.ClockCity, longan.ClockNTP}

// qualityOf ranks a clock; one that this program does not know is the worst.
func qualityOf(clock string) int { return max(0, slices.Index(qualities[:], clock)) }

// base is when a boot of a board began, by the best clock that it had.
type base struct {
	boot    string
	quality int
	began   time.Time
}

// noteBase takes a time of the board, and reports whether it is the best yet of
// its boot.
func (c *center) noteBase(boot, clock string, at time.Time, mono time.Duration) bool {
	q := qualityOf(clock)
	if boot == "" || at.IsZero() || q == 0 {
		return false
	}
	i := slices.IndexFunc(c.bases, func(b base) bool { return b.boot == boot })
	if i >= 0 && c.bases[i].quality >= q {
		return false
	}
	if i < 0 {
		if len(c.bases) >= keptBases {
			c.bases = slices.Delete(c.bases, 0, 1)
		}
		c.bases = append(c.bases, base{boot: boot})
		i = len(c.bases) - 1
	}
	c.bases[i].quality, c.bases[i].began = q, at.Add(-mono)
	return true
}

// correct returns when something happened by a better clock of its boot than its
// own, and the quality of that; the zero time when there is none.
func (c *center) correct(boot, clock string, at time.Time, mono time.Duration) (time.Time, string) {
	own := qualityOf(clock)
	if at.IsZero() {
		own = 0
	}
	for _, b := range c.bases {
		if b.boot == boot && boot != "" && b.quality > own {
			return b.began.Add(mono), qualities[b.quality]
		}
	}
	return time.Time{}, ""
}

// correctAlarms tells anew of the alarms of a boot of which a better clock is
// known now. v.mu is held.
func (v *View) correctAlarms(c *center, boot string) {
	told := map[*alarm]bool{}
	tell := func(a *alarm) {
		if a.key.device != c.device || told[a] {
			return
		}
		told[a] = true
		if v.correctNotice(c, &a.raised, boot) {
			v.tell(c, a, a.raised)
		}
		if a.restored != nil && a.by == ByEvent && v.correctNotice(c, a.restored, boot) {
			v.tell(c, a, *a.restored)
		}
	}
	for _, a := range v.alarms.recent {
		tell(a)
	}
	for _, a := range v.alarms.open {
		tell(a)
	}
}

// correctNotice corrects the time of one event of an alarm, and reports whether
// that is news.
func (v *View) correctNotice(c *center, n *notice, boot string) bool {
	if n.boot != boot {
		return false
	}
	at, clock := c.correct(n.boot, n.clock, n.time, n.mono)
	if at.IsZero() || qualityOf(clock) <= qualityOf(n.correctedClock) {
		return false
	}
	n.corrected, n.correctedClock = at, clock
	n.late = n.received.Sub(at) > lateAfter
	v.changed(c)
	n.rev = v.rev
	return true
}
