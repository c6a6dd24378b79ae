package spool

import "time"

// Grouping. A commit costs some 12 KiB of flash and two flushes whether it holds
// one event or a hundred. When events come singly but often, waiting a little
// for the next ones saves most of that; when they come seldom it would only be
// late, and when they come in floods the next group forms by itself while a
// commit is under way.
const (
	pacedLeast = time.Millisecond      // below this gap it is a flood
	pacedMost  = 20 * time.Millisecond // above this gap nobody comes in time
	linger     = 20 * time.Millisecond // how long a commit waits for more
	probeEvery = 2 * time.Second       // how often waiting is tried again that did not pay
	maxWaiting = 64                    // requests that are group enough
)

// pace knows how often events come.
type pace struct {
	last time.Time     // when the last event came, or the last commit ended
	gap  time.Duration // mean time from there to the next event
	// pays is the mean number of events that came while a commit waited. A single
	// producer that waits for each event yields none.
	pays  float64
	probe time.Time // when waiting was last tried although it did not pay
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

// committed takes note of the end of a commit.
func (p *pace) committed(now time.Time) { p.last = now }

// wait returns how long the next commit should wait for more events.
func (p *pace) wait(now time.Time) time.Duration {
	if p.gap < pacedLeast || p.gap > pacedMost {
		return 0
	}
	if p.pays < 0.5 {
		if now.Sub(p.probe) < probeEvery {
			return 0
		}
		p.probe = now
	}
	return linger
}

// waited takes note of how many events came during a wait.
func (p *pace) waited(more int) { p.pays += (float64(more) - p.pays) / 4 }
