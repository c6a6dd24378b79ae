package ingest

import (
	"sync/atomic"
	"time"
)

// How long a link that brings nothing is taken for well. Boards send a heartbeat
// every few seconds, so that silence means that none of them is there, or that the
// broker has forgotten our subscription: some grant one, or keep a connection over
// a failover, and never deliver anything. A new session costs little; as long as it
// does not help, the next one waits twice as long.
const (
	deafFirst = 2 * time.Minute
	deafMost  = 16 * time.Minute
)

// ear knows whether anything is heard of boards. Only messages is written by
// others than sessions' goroutine.
type ear struct {
	messages atomic.Uint64 // that were not retained
	heard    uint64        // messages, when it was last looked
	patience time.Duration // until the next look
}

// listen returns a timer for the next look.
func (e *ear) listen() *time.Timer {
	e.heard, e.patience = e.messages.Load(), max(e.patience, deafFirst)
	return time.NewTimer(e.patience)
}

// deaf reports whether nothing was heard since the last look.
func (e *ear) deaf() bool {
	now := e.messages.Load()
	silent := now == e.heard
	if e.heard = now; !silent {
		e.patience = deafFirst
		return false
	}
	e.patience = min(2*e.patience, deafMost)
	return true
}
