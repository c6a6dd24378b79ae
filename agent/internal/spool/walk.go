package spool

import (
	"bytes"
	"context"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/longan-edge/longan"
)

// Walked is what a walk through the blocks of a file found.
type Walked struct {
	Blocks, Events uint64
	// Bad says of each block that does not hold what is wrong with it; no more
	// than the first maxBad.
	Bad []string
}

const (
	maxBad    = 20
	walkChunk = 128 // blocks of one read transaction: commits need not wait long
)

// Walk reads every block of an open spool and checks its checksum, its numbers
// and its events, and changes nothing: what is bad the spool finds itself when it
// comes to it. step is called now and then with what was walked so far; its
// error ends the walk.
func (s *Spool) Walk(ctx context.Context, step func(Walked) error) (Walked, error) {
	return walk(ctx, s.view, step)
}

// Walk is Spool.Walk for a file that nobody has open and that is not damaged.
func (in *Inspection) Walk(ctx context.Context, step func(Walked) error) (Walked, error) {
	if in.damage != nil {
		return Walked{}, in.damage
	}
	return walk(ctx, in.view, step)
}

func walk(ctx context.Context, view func(func(*bolt.Bucket) error) error, step func(Walked) error) (w Walked, err error) {
	next, more := []byte{keyBlock}, true
	for more {
		if err := ctx.Err(); err != nil {
			return w, err
		}
		more = false // there may be no file at all
		if err := view(func(b *bolt.Bucket) error {
			c := b.Cursor()
			k, v := c.Seek(next)
			for n := 0; isBlock(k) && n < walkChunk; n++ {
				w.block(k, v)
				k, v = c.Next()
			}
			next, more = bytes.Clone(k), isBlock(k)
			return nil
		}); err != nil {
			return w, fmt.Errorf("walk spool: %w", err)
		}
		if err := step(w); err != nil {
			return w, err
		}
	}
	return w, nil
}

func isBlock(key []byte) bool { return len(key) > 0 && key[0] == keyBlock }

// block checks one block.
func (w *Walked) block(k, v []byte) {
	w.Blocks++
	n, err := checkBlock(k, v)
	w.Events += n
	if err != nil && len(w.Bad) < maxBad {
		w.Bad = append(w.Bad, err.Error())
	}
}

func checkBlock(k, v []byte) (events uint64, err error) {
	_, l, first, err := parseBlockKey(k)
	if err != nil {
		return 0, err
	}
	wrap := func(err error) error { return fmt.Errorf("%v %d: %w", l, first, err) }
	b, err := parseBlock(v)
	if err != nil {
		return 0, wrap(err)
	}
	if b.lane != l || b.first != first || b.kind == kindAck {
		return 0, wrap(fmt.Errorf("block of another key: %w", errCorrupt))
	}
	records, err := b.records(new(inflater))
	if err != nil {
		return 0, wrap(err)
	}
	for _, r := range records {
		e, err := longan.ParseEvent(r.JSON)
		if err != nil {
			return events, wrap(fmt.Errorf("event %d: %w", r.Seq, err))
		}
		if e.Seq != r.Seq {
			return events, wrap(fmt.Errorf("event %d has the number %d: %w", r.Seq, e.Seq, errCorrupt))
		}
		events++
	}
	return events, nil
}
