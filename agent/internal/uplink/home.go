package uplink

import (
	"context"
	"errors"
	mathrand "math/rand/v2"
	"net/url"
	"time"
)

// errHome ends a session with another broker than the preferred one, which can
// be reached again.
var errHome = errors.New("the preferred broker can be reached again")

// How often a board on another broker looks for the preferred one. It doubles
// with every return that did not last.
const (
	homeFirst = 10 * time.Minute
	homeMost  = 2 * time.Hour
)

// home is the way back to the preferred broker.
type home struct{ every time.Duration }

func newHome() *home { return &home{every: homeFirst} }

// look waits until the preferred broker can be reached and then signals found,
// or until ctx ends.
func (u *Uplink) look(ctx context.Context, h *home, found chan<- struct{}) {
	first, err := url.Parse(u.cfg.Brokers[0])
	if err != nil {
		return // New has seen to it
	}
	for {
		// Half of it random: boards must not come home together.
		timer := time.NewTimer(h.every/2 + mathrand.N(h.every))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		dialing, cancel := context.WithTimeout(ctx, connectTimeout)
		conn, err := u.cfg.Dial(dialing, first)
		cancel()
		if err != nil {
			continue
		}
		conn.Close()
		h.every = min(2*h.every, homeMost)
		found <- struct{}{} // has room
		return
	}
}

// settled tells that a session with the preferred broker was stable.
func (h *home) settled() { h.every = homeFirst }
