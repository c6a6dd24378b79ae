// Package peripheral plays the device side of each protocol that the drivers
// speak, so that a center can be simulated with no hardware: on a
// pseudo-terminal for a real agent process, over net.Pipe in virtual time.
package peripheral

import (
	"context"
	"errors"
	"io"
	"os"
	"time"
)

// Port is the device's end of a serial line: a PTY, or an end of net.Pipe. A
// Read past its deadline fails with os.ErrDeadlineExceeded.
type Port interface {
	io.ReadWriteCloser
	SetReadDeadline(time.Time) error
}

// closeOnDone makes blocked reads return when ctx ends.
func closeOnDone(ctx context.Context, p Port) (stop func() bool) {
	return context.AfterFunc(ctx, func() { p.SetReadDeadline(time.Unix(1, 0)) })
}

// ended tells whether err is the end of ctx, which is no error.
func ended(ctx context.Context, err error) bool {
	return ctx.Err() != nil && (errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, os.ErrClosed) || errors.Is(err, io.ErrClosedPipe))
}
