package agent

import (
	"context"
	"io"
	"net"
	"time"

	"github.com/longan-edge/longan/agent/internal/desk"
)

// localRetry is how long a local socket waits to be opened that could not be:
// the disk may come back.
const localRetry = time.Minute

// ListenLocal opens the local socket in a data folder, for Config.Local.
func ListenLocal(dir string) (net.Listener, error) { return desk.Listen(dir) }

// SpoolCommand is longan-agent spool with its arguments: it shows, checks and
// exports the spool of a running agent, or of one that does not run. It returns
// the exit status: 0, 1 when it did not work or a check found damage, 2 for a
// wrong command or a folder without a spool.
func SpoolCommand(ctx context.Context, args []string, stdout, stderr io.Writer, getenv func(string) string) int {
	return desk.Command(ctx, args, stdout, stderr, getenv)
}

// serveLocal answers on the local socket until ctx ends. A board works without
// it, so that it can't be opened is only said.
func (c *center) serveLocal(ctx context.Context) {
	if c.cfg.Local == nil {
		return
	}
	book := &desk.Running{
		Spool: c.spool, Device: c.cfg.Site.Device, Version: c.cfg.Version,
		Now: func() time.Time { return c.cfg.Clock.Now().Time },
	}
	for told := false; ctx.Err() == nil; {
		l, err := c.cfg.Local()
		if err == nil {
			told = false
			err = desk.Serve(ctx, l, book, c.cfg.Log)
		}
		if err != nil && !told {
			told = true
			c.cfg.Log.Warn("longan-agent spool gets no answer", "err", err)
		}
		select {
		case <-time.After(localRetry):
		case <-ctx.Done():
		}
	}
}
