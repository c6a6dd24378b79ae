package desk

import (
	"context"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/agent/internal/spool"
)

// Stopped is the book of a spool that nobody has open.
type Stopped struct {
	in  *spool.Inspection
	now func() time.Time
}

// Inspect looks at the spool in dir; see spool.Inspect for its errors.
func Inspect(dir string, now func() time.Time) (*Stopped, error) {
	in, err := spool.Inspect(dir)
	if err != nil {
		return nil, err
	}
	return &Stopped{in, now}, nil
}

// Stat implements Book.
func (s *Stopped) Stat(context.Context) (*Stat, error) {
	out := &Stat{Time: s.now().UTC(), OK: true}
	if damage, _ := s.in.Damage(); damage != nil {
		out.OK, out.Error = false, damage.Error()
	}
	out.disk(s.in.Stats())
	for _, epoch := range s.in.Epochs() {
		e, err := epochOf(epoch,
			func(l longan.Lane) spool.LaneStats { return s.in.Lane(epoch, l) },
			func(l longan.Lane, from uint64, events, size int) ([]spool.Record, error) {
				return s.in.Read(epoch, l, from, events, size)
			})
		if err != nil {
			return nil, err
		}
		out.Epochs = append(out.Epochs, e)
	}
	return out, nil
}

// Read implements Book.
func (s *Stopped) Read(_ context.Context, epoch string, lane longan.Lane, from uint64, events int) ([]spool.Record, error) {
	return s.in.Read(epoch, lane, from, events, readSize)
}

// Check implements Book.
func (s *Stopped) Check(ctx context.Context, step func(uint64) error) (*Finding, error) {
	f := &Finding{}
	damage, witness := s.in.Damage()
	if witness != nil {
		f.Witness = witness.Error()
	}
	if damage != nil {
		f.Damage = damage.Error()
		for _, l := range s.in.Losses() {
			f.Losses = append(f.Losses, Loss(l))
		}
		return f, nil
	}
	w, err := s.in.Walk(ctx, func(w spool.Walked) error { return step(w.Blocks) })
	if err != nil {
		return nil, err
	}
	f.Blocks, f.Events, f.Bad = w.Blocks, w.Events, w.Bad
	return f, nil
}
