package spool

import "time"

// Grouping. A commit costs some 12 KiB of flash and two flushes whether it holds
// one event or a hundred. When events come singly but often, waiting a little
// for the next ones saves most of that; when they come seldom it would only be
// late. In a flood the next group forms by itself while a commit is under way;
// there the committer waits, for a fraction of a commit, for those that it has
// just answered. An alarm never waits.
const (
	pacedLeast = time.Millisecond       // below this gap it is a flood
	pacedMost  = 20 * time.Millisecond  // above this gap nobody comes in time
	linger     = 20 * time.Millisecond  // how long a commit waits for more
	comeBack   = 500 * time.Microsecond // how long it waits in a flood
	probeEvery = 2 * time.Second        // how often waiting is tried again that did not pay
	maxWaiting = 64                     // requests that are group enough when one waits long
)

// pace knows how often events come.
type pace struct {
	last time.Time     // when the last event came, or the last commit ended
	gap  time.Duration // mean time from there to the next event
	// pays is the mean number of events that came while a commit waited. A single
	// producer that waits for each event yields none.
	pays  float64
	probe time.Time // when waiting was last tried although it did not pay
	known int       // requests that were under way at the end of the last commit
}

// arrived takes note of an event. Counting from the end of a commit as well
// tells a producer that waits for its commits from one that does not.
func (p *pace) arrived(now time.Time) {
	const seldom = 10 * pacedMost
	if !p.last.IsZero() {
		p.gap += (min(now.Sub(p.last), seldom) - p.gap) / 8
	}
	p.last = now
}

// committed takes note of the end of a commit, and of how many requests it
// answered and found waiting.
func (p *pace) committed(now time.Time, known int) { p.last, p.known = now, known }

// wait returns how long the next commit should wait for more events, and how
// many are enough.
func (p *pace) wait(now time.Time) (d time.Duration, enough int) {
	switch {
	case p.gap > pacedMost:
		return 0, 1
	case p.gap < pacedLeast:
		return comeBack, min(p.known, maxGroup)
	case p.pays < 0.5:
		if now.Sub(p.probe) < probeEvery {
			return 0, 1
		}
		p.probe = now
	}
	return linger, maxWaiting
}

// waited takes note of how many events came during a wait.
func (p *pace) waited(more int, wait time.Duration) {
	if wait == linger {
		p.pays += (float64(more) - p.pays) / 4
	}
}
