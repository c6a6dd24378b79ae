package peripheral

import (
	"context"
	"io"
)

// Chain is several modules on one line, as RS-485 has it: each hears everything,
// and answers what is addressed to it.
type Chain []*Module

// Serve is Module.Serve for all of them.
func (c Chain) Serve(ctx context.Context, port Port) error {
	all := make([]*faults, len(c))
	for i, m := range c {
		all[i] = &m.faults
	}
	var pending []byte
	return serve(ctx, port, all, func(ctx context.Context, w io.Writer, b []byte) error {
		pending = append(pending, b...)
		for {
			frame, rest, ok := cutRequest(pending)
			pending = rest
			if !ok {
				return nil
			}
			for _, m := range c {
				if err := m.handle(ctx, w, frame); err != nil {
					return err
				}
			}
		}
	})
}
