package uplink

import (
	"context"
	"errors"
	"io"
	mathrand "math/rand/v2"
	"syscall"
	"time"
)

// backoff is how long the uplink waits between two sessions: a random time up
// to a bound that doubles, so that 199 boards do not come back in the same
// second. A stable session starts it over.
//
// While an alarm waits the bound is lower: a try that reaches nobody costs
// nobody anything. Where it is the city that refuses, boards with alarms are
// many, and still must not come all at once. And where a broker hangs up it does
// so on all of its boards: the first wait is longer then.
type backoff struct{ bound time.Duration }

const (
	backoffFirst = time.Second
	// backoffMost and a connection attempt that nobody answers are a minute.
	backoffMost    = 40 * time.Second
	backoffAlarm   = 5 * time.Second  // the bound while an alarm waits and the city can't be reached
	backoffRefused = 30 * time.Second // … and while the city refuses, or hangs up
	backoffHungUp  = 10 * time.Second // the first bound after a broker hung up
	stableAfter    = time.Minute      // a session this long resets the backoff
)

// next returns the time to wait. lasted is how long the last session did,
// reached whether something answered there, hungUp whether it ended the session,
// alarm whether one waits.
func (b *backoff) next(lasted time.Duration, reached, hungUp, alarm bool) time.Duration {
	if lasted > stableAfter || b.bound == 0 {
		b.bound = backoffFirst
	}
	if hungUp {
		b.bound = max(b.bound, backoffHungUp)
	}
	most := b.bound
	switch {
	case alarm && reached:
		most = min(most, backoffRefused)
	case alarm:
		most = min(most, backoffAlarm)
	}
	b.bound = min(2*b.bound, backoffMost)
	return mathrand.N(most) // full jitter
}

// hungUp reports whether a session ended because the other side closed the
// connection.
func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, syscall.ECONNRESET)
}

// pause waits between two sessions. An alarm that is accepted meanwhile cuts it
// short: the link may be back, and somebody needs help.
func (u *Uplink) pause(ctx context.Context, wait time.Duration) error {
	before := u.alarms()
	soonest := time.After(min(wait, backoffFirst)) // a chattering alarm must not hammer the broker
	timer := time.NewTimer(wait)
	defer timer.Stop()
	var changed <-chan struct{} // nil until soonest
	for {
		select {
		case <-soonest:
			soonest = nil
		case <-changed:
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
		if soonest == nil {
			changed = u.cfg.Changed() // before the look, or an alarm could slip between
			if u.alarms() > before {
				return nil
			}
		}
	}
}
