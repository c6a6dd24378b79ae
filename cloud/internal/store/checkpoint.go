package store

import (
	"context"
	"database/sql"
	"sync"
	"time"
)

// SQLite copies the WAL back into the file from the commit that makes it longer
// than wal_autocheckpoint pages, and that commit waits for as long as that and
// its fsync take. A checkpointer does it beside the commits instead, every
// checkpointPages. Under a load without pause it never catches up with the last
// page, so that the WAL could not begin anew; then the commit that reaches
// autocheckpointPages copies the little that is left.
const (
	checkpointPages     = 1000
	autocheckpointPages = 16_000 // 64 MB
	// pagesPerCommit and eventsPerPage estimate what a commit writes.
	pagesPerCommit = 8
	eventsPerPage  = 16
)

// checkpointer copies the WAL back while others write.
type checkpointer struct {
	db    *sql.DB // one connection
	kick  chan struct{}
	ended chan struct{}
	once  sync.Once // of close
	pages int       // written since the last kick, an estimate; of whoever has Store.turn
}

func startCheckpointer(db *sql.DB) *checkpointer {
	db.SetMaxOpenConns(1)
	c := &checkpointer{db: db, kick: make(chan struct{}, 1), ended: make(chan struct{})}
	go c.run()
	return c
}

func (c *checkpointer) run() {
	defer close(c.ended)
	for range c.kick {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		// PASSIVE waits for nobody. Busy and failed alike leave the work to the next
		// time, or to SQLite's own checkpoint.
		_, _ = c.db.ExecContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)")
		cancel()
	}
}

// wrote notes a commit.
func (c *checkpointer) wrote(events int) {
	if c.pages += pagesPerCommit + events/eventsPerPage; c.pages < checkpointPages {
		return
	}
	select {
	case c.kick <- struct{}{}:
		c.pages = 0
	default: // one is under way, and one waits
	}
}

// close ends the checkpointer. Nobody may write any more.
func (c *checkpointer) close() (err error) {
	c.once.Do(func() {
		close(c.kick)
		<-c.ended
		err = c.db.Close()
	})
	return err
}
