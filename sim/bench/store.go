package bench

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/agent"
)

// store is a durable queue, ours or a peer.
type store interface {
	// put accepts an event and returns once it is on disk. Many callers at once.
	put(ctx context.Context, e *longan.Event) error
	// read takes up to most of the oldest events to be sent; free deletes them
	// when they were acknowledged. One caller, which frees before it reads on.
	read(ctx context.Context, most int) (n int, free func() error, err error)
	close() error
}

// The stores, in the order in which they take turns.
const (
	ours   = "spool"
	sqlite = "sqlite"
	naive  = "naive_bbolt"
)

func storeNames() []string { return []string{ours, sqlite, naive} }

func openStore(name, dir string) (store, error) {
	switch name {
	case ours:
		return openOurs(dir)
	case sqlite:
		return openSQLite(filepath.Join(dir, "queue.sqlite"))
	case naive:
		return openNaive(filepath.Join(dir, "queue.bolt"))
	}
	return nil, fmt.Errorf("no store %q", name)
}

// ourStore is the agent's own spool.
type ourStore struct{ s *agent.Spool }

func openOurs(dir string) (store, error) {
	s, err := agent.OpenSpool(dir, agent.SpoolOptions{})
	if err != nil {
		return nil, err
	}
	if h := s.Health(); h.Err != nil {
		s.Close()
		return nil, h.Err
	}
	return &ourStore{s}, nil
}

// put leaves a state behind under the point's name, as the agent does.
func (o *ourStore) put(ctx context.Context, e *longan.Event) error {
	return o.s.Append(ctx, agent.SpoolEntry{Event: e, Key: e.Point, State: longan.Active})
}

func (o *ourStore) read(_ context.Context, most int) (n int, free func() error, err error) {
	const size = 64 << 10
	for _, l := range longan.Lanes {
		records, err := o.s.Read(l, 1, most, size)
		if err != nil {
			return 0, nil, err
		}
		if len(records) > 0 {
			last := records[len(records)-1].Seq
			return len(records), func() error { o.s.Free(l, last); return nil }, nil
		}
	}
	return 0, nil, nil
}

func (o *ourStore) close() error { return o.s.Close() }
