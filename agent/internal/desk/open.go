package desk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"
	"time"

	"github.com/longan-edge/longan/agent/internal/spool"
)

// errSilent: an agent has the spool open, and its socket is not there.
var errSilent = errors.New("an agent has the spool open, but does not answer on its socket")

// Open returns the book of the spool in dir: of the agent that runs on it, or of
// the file when none does. The caller must close it. Errors wrap fs.ErrNotExist
// when there is no spool, and fs.ErrPermission when it is somebody else's.
func Open(ctx context.Context, dir string) (Book, io.Closer, error) {
	for try := 0; ; try++ {
		client, err := Dial(ctx, dir)
		if err == nil {
			return client, client, nil
		}
		// EINVAL: the folder's name is too long for any agent to have a socket in it.
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.EINVAL) {
			return nil, nil, err
		}
		stopped, err := Inspect(dir, time.Now)
		if errors.Is(err, spool.ErrInUse) {
			if try == 0 && ctx.Err() == nil { // it has just started: its socket comes after the spool
				continue
			}
			return nil, nil, fmt.Errorf("open spool in %s: %w", dir, errSilent)
		}
		if err != nil {
			return nil, nil, err
		}
		return stopped, io.NopCloser(nil), nil
	}
}
