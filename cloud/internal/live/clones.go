package live

import (
	"slices"
	"time"

	"github.com/longan-edge/longan"
)

// The id of a boot is random, so that a board never comes back to an old one: a
// word of a boot that another one has superseded is of a second board with the
// same device id.
const (
	pastBoots = 8
	// cloneMargin is how long after the first word of the newer boot the older
	// one must have spoken: before that its word was only late.
	cloneMargin = 10 * time.Second
	// cloneOver without a word of the older boot, the conflict is over.
	cloneOver = time.Hour
	// cloneAlone is how long the newer board must have been away until the older
	// one, which goes on, is taken for the center's board again: above the longest
	// backoff of a board that fights for its connection.
	cloneAlone   = 3 * time.Minute
	keptSessions = 16 // of a conflict
)

// bootWord is what is known of one boot of a board from its live words.
type bootWord struct {
	id     string
	first  time.Time // its first word, at the city
	mono   time.Duration
	anchor time.Time // when the word of that mono came
}

// written returns when something of that boot was written, by the city's clock.
func (b *bootWord) written(mono time.Duration) time.Time { return b.anchor.Add(mono - b.mono) }

// pastSession is a session that another one has superseded, or that is of a
// board that is not taken.
type pastSession struct{ session, boot string }

// conflict is the evidence that two boards use one device id.
type conflict struct {
	since, last time.Time
	boots       []string
	sessions    []string
	count       uint64
}

// Conflict tells that two boards use one device id. What is shown of the center
// is of the board that appeared last; what the other says is refused.
type Conflict struct {
	Since    time.Time `json:"since"`
	Last     time.Time `json:"last"`     // the last word of the board that is refused
	Boots    []string  `json:"boots"`    // of the boards; those refused first
	Sessions []string  `json:"sessions"` // that were refused, the last 16
	Count    uint64    `json:"count"`    // of what was refused, and of events that tell of it
}

// noteBoot takes a live word of a boot.
func (c *center) noteBoot(boot string, mono time.Duration, now time.Time) {
	if boot == "" {
		return
	}
	i := slices.IndexFunc(c.boots, func(b bootWord) bool { return b.id == boot })
	if i < 0 {
		c.boots = append(c.boots, bootWord{id: boot, first: now})
		if len(c.boots) > pastBoots {
			c.boots = slices.Delete(c.boots, 0, 1)
		}
		i = len(c.boots) - 1
	}
	c.boots[i].mono, c.boots[i].anchor = mono, now
}

// superseded returns the boot of that id if another one has superseded it.
func (c *center) superseded(boot string) *bootWord {
	for i := range max(0, len(c.boots)-1) {
		if c.boots[i].id == boot {
			return &c.boots[i]
		}
	}
	return nil
}

// verdict is what to do with a status.
type verdict int

const (
	take verdict = iota
	drop         // of a session that is over
	clone
)

// assess says what to do with a live status.
func (c *center) assess(s *longan.Status, now time.Time) verdict {
	boot, ended := s.Boot, false
	if i := slices.IndexFunc(c.past, func(p pastSession) bool { return p.session == s.Session }); i >= 0 {
		boot, ended = c.past[i].boot, true
	}
	if s.Session == c.session {
		return take
	}
	old := c.superseded(boot)
	if old == nil {
		if ended {
			return drop
		}
		return take
	}
	newest := &c.boots[len(c.boots)-1]
	if !old.written(s.Mono).After(newest.first.Add(cloneMargin)) {
		return drop // it is only late
	}
	if now.Sub(c.heard) >= cloneAlone {
		c.past = slices.DeleteFunc(c.past, func(p pastSession) bool { return p.session == s.Session })
		c.readopt(boot)
		return take
	}
	old.mono, old.anchor = s.Mono, now
	if !ended {
		c.bury(s.Session, boot)
	}
	c.clash(boot, s.Session, now)
	return clone
}

// readopt makes an older boot the center's own again.
func (c *center) readopt(boot string) {
	i := slices.IndexFunc(c.boots, func(b bootWord) bool { return b.id == boot })
	b := c.boots[i]
	c.boots = append(slices.Delete(c.boots, i, i+1), b)
}

// bury remembers a session that counts no more.
func (c *center) bury(session, boot string) {
	c.past = append(c.past, pastSession{session, boot})
	if len(c.past) > pastSessions {
		c.past = slices.Delete(c.past, 0, 1)
	}
}

// clash notes that an older boot speaks beside the newest one.
func (c *center) clash(boot, session string, now time.Time) {
	k := c.conflict
	if k == nil {
		k = &conflict{since: now}
		c.conflict = k
	}
	k.last = now
	k.count++
	for _, b := range []string{boot, c.boots[len(c.boots)-1].id} {
		if !slices.Contains(k.boots, b) {
			k.boots = append(k.boots, b)
		}
	}
	if len(k.boots) > pastBoots {
		k.boots = slices.Delete(k.boots, 0, 1)
	}
	if session != "" && !slices.Contains(k.sessions, session) {
		k.sessions = append(k.sessions, session)
		if len(k.sessions) > keptSessions {
			k.sessions = slices.Delete(k.sessions, 0, 1)
		}
	}
}

// clashEvent notes an event that an older boot wrote after a newer one had
// appeared. Events of before are history, and come late by right.
func (c *center) clashEvent(e *longan.Event, now time.Time) bool {
	if len(c.boots) < 2 {
		return false
	}
	old := c.superseded(e.Boot)
	if old == nil || !old.written(e.Mono).After(c.boots[len(c.boots)-1].first.Add(lateAfter)) {
		return false
	}
	c.clash(e.Boot, "", now)
	return true
}

// calm ends a conflict of which nothing was heard for long.
func (c *center) calm(now time.Time) bool {
	if c.conflict == nil || now.Sub(c.conflict.last) < cloneOver {
		return false
	}
	c.conflict = nil
	return true
}

func (c *center) exportConflict() *Conflict {
	k := c.conflict
	if k == nil {
		return nil
	}
	return &Conflict{Since: k.since, Last: k.last, Boots: slices.Clone(k.boots),
		Sessions: append([]string{}, k.sessions...), Count: k.count}
}

// EventConflicts tells of events whose number another event of the same epoch
// has: two boards share one spool, or a card was put back.
type EventConflicts struct {
	Count uint64    `json:"count"`
	Last  time.Time `json:"last,omitzero"`
}

// ApplyConflicts takes that the store found n more events of a device whose
// numbers other events have, the last of them at that time.
func (v *View) ApplyConflicts(device longan.DeviceID, n int, last time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	c := v.center(device, v.cfg.Now())
	c.eventConflicts.Count += uint64(max(0, n))
	c.eventConflicts.Last = later(c.eventConflicts.Last, last)
	v.changed(c)
}
