package desk

import (
	"context"
	"fmt"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/agent/internal/spool"
)

// Running is the book of a spool that this process has open.
type Running struct {
	Spool   *spool.Spool
	Device  longan.DeviceID
	Version string           // of the program
	Now     func() time.Time // the board's clock
}

// Stat implements Book.
func (r *Running) Stat(context.Context) (*Stat, error) {
	st, h := r.Spool.Stats(), r.Spool.Health()
	s := &Stat{
		Running: true, Device: r.Device, Version: r.Version, Time: r.Now().UTC(),
		OK: h.Err == nil, SlowMS: h.Slow.Milliseconds(), InMemory: h.InMemory,
	}
	if h.Err != nil {
		s.Error = h.Err.Error()
	}
	s.disk(st)
	for _, stream := range r.Spool.Streams() {
		e, err := epochOf(stream.Epoch(), stream.Lane, stream.Read)
		if err != nil {
			return nil, err
		}
		s.Epochs = append(s.Epochs, e)
	}
	return s, nil
}

func (s *Stat) disk(st spool.Stats) {
	s.File, s.Live, s.Budget = st.File, st.Live, st.Budget
	s.WrittenToday, s.Written, s.WrittenSince = st.WrittenToday, st.Written, st.WrittenSince.UTC()
	s.LifeHours = int64(st.Life / time.Hour)
}

// epochOf returns where an epoch stands.
func epochOf(epoch string, lane func(longan.Lane) spool.LaneStats,
	read func(l longan.Lane, from uint64, events, size int) ([]spool.Record, error)) (Epoch, error) {
	e := Epoch{Epoch: epoch, Lanes: map[longan.Lane]*Lane{}}
	for _, l := range longan.Lanes {
		st := lane(l)
		out := &Lane{Last: st.Last, Acked: st.Acked, Backlog: st.Backlog()}
		e.Lanes[l] = out
		if out.Backlog == 0 {
			continue
		}
		records, err := read(l, st.Acked+1, 1, readSize)
		if err != nil {
			return e, err
		}
		if len(records) > 0 {
			event, err := longan.ParseEvent(records[0].JSON)
			if err != nil {
				return e, fmt.Errorf("read event %d: %w", records[0].Seq, err)
			}
			out.Oldest = event.Time
		}
	}
	return e, nil
}

// Read implements Book.
func (r *Running) Read(_ context.Context, epoch string, lane longan.Lane, from uint64, events int) ([]spool.Record, error) {
	for _, stream := range r.Spool.Streams() {
		if stream.Epoch() == epoch {
			return stream.Read(lane, from, events, readSize)
		}
	}
	return nil, nil // the city has it altogether by now
}

// Check implements Book.
func (r *Running) Check(ctx context.Context, step func(uint64) error) (*Finding, error) {
	w, err := r.Spool.Walk(ctx, func(w spool.Walked) error { return step(w.Blocks) })
	if err != nil && ctx.Err() != nil {
		return nil, err
	}
	f := &Finding{Running: true, Blocks: w.Blocks, Events: w.Events, Bad: w.Bad}
	if err != nil {
		f.Bad = append(f.Bad, err.Error())
	}
	if h := r.Spool.Health(); h.Err != nil {
		f.Bad = append(f.Bad, h.Err.Error())
	}
	return f, nil
}
