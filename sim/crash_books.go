package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/cloud"
)

// check looks at the city's store after a round: no number may stand for two
// events.
func (b *crashBoard) check(ctx context.Context, path string) error {
	store, err := cloud.OpenStore(ctx, path)
	if err != nil {
		return err
	}
	streams, err := store.Streams(ctx, b.device)
	for _, s := range streams {
		if s.Conflicts > 0 {
			err = errors.Join(err, fmt.Errorf("%s lane %s has %d numbers that stand for two events", s.Epoch, s.Lane, s.Conflicts))
		}
	}
	return errors.Join(err, store.Close())
}

// drain runs the agent with its link up and nothing moving until the city has
// everything or knows what is gone.
func (b *crashBoard) drain(ctx context.Context, path string) error {
	a, err := b.start(ctx, "")
	if err != nil {
		return err
	}
	defer a.stop(syscall.SIGTERM)
	const drainTimeout = 90 * time.Second
	for deadline := time.Now().Add(drainTimeout); time.Now().Before(deadline); {
		if !sleepUntil(ctx, time.Now().Add(time.Second)) {
			return ctx.Err()
		}
		have, err := b.load(ctx, path)
		if err != nil {
			return err
		}
		if b.missing(have) == 0 {
			return nil
		}
	}
	b.crash.say("board %s did not drain in %v", b.kind, drainTimeout)
	return nil // the books tell what is missing
}

// missing counts the accepted events that the city neither has nor knows of.
func (b *crashBoard) missing(have *stored) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for k := range b.accepted {
		if _, ok := have.events[k]; !ok && !have.reported(k) {
			n++
		}
	}
	return n
}

// stored is what the city has of a board.
type stored struct {
	events    map[eventKey]string
	holes     []hole
	recovered []recovered
}

type hole struct {
	epoch, lane string
	from, to    uint64
}

// recovered is the data of a spool.recovered event.
type recovered struct {
	Exact  bool
	Epochs []recoveredEpoch
}

type recoveredEpoch struct {
	Epoch string
	Lanes map[string]recoveredLane
}

type recoveredLane struct{ Last, Salvaged, Lost uint64 }

func (b *crashBoard) load(ctx context.Context, path string) (*stored, error) {
	store, err := cloud.OpenStore(ctx, path)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	have := &stored{events: map[eventKey]string{}}
	for before := int64(0); ; {
		page, err := store.Events(ctx, cloud.Query{Device: b.device, Before: before})
		if err != nil {
			return nil, err
		}
		if len(page) == 0 {
			break
		}
		for _, e := range page {
			have.events[eventKey{e.Epoch, e.Lane.String(), e.Seq}] = e.Type + " " + e.Point
			if e.Type == longan.SpoolRecovered {
				var r recovered
				if err := json.Unmarshal(e.Data, &r); err != nil {
					return nil, fmt.Errorf("read %s: %w", e.Type, err)
				}
				have.recovered = append(have.recovered, r)
			}
		}
		before = page[len(page)-1].ID
	}
	holes, err := store.Holes(ctx, b.device)
	for _, h := range holes {
		have.holes = append(have.holes, hole{h.Epoch, h.Lane.String(), h.From, h.To})
	}
	return have, err
}

// reported tells whether the city was told that an event may be gone.
func (s *stored) reported(k eventKey) bool {
	for _, h := range s.holes {
		if h.epoch == k.epoch && h.lane == k.lane && h.from <= k.seq && k.seq <= h.to {
			return true
		}
	}
	// A gap that reaches up to its own number took that event's place.
	if s.events[k] == longan.SpoolGap+" " {
		return true
	}
	for _, r := range s.recovered {
		for _, e := range r.Epochs {
			if e.Epoch == k.epoch && !r.Exact && k.seq > e.Lanes[k.lane].Last {
				return true
			}
		}
	}
	return false
}

// close holds what the board accepted against what the city has.
func (b *crashBoard) close(ctx context.Context, path string, r *CrashReport) error {
	have, err := b.load(ctx, path)
	if err != nil {
		return err
	}
	for k, what := range b.accepted {
		got, ok := have.events[k]
		switch {
		case ok && got == what:
		case have.reported(k):
			r.ReportedLost++
		case ok:
			r.Duplicated++ // another event took its number
			b.crash.say("board %s: %v was %q, the city has %q", b.kind, k, what, got)
		default:
			r.SilentlyLost++
			b.crash.say("board %s: %v %q is lost and nothing tells so", b.kind, k, what)
		}
	}
	r.Accepted += len(b.accepted)
	r.Stored += len(have.events)
	r.FailedStarts += b.failed
	for _, s := range b.starts {
		r.SlowestStart = max(r.SlowestStart, float64(s.Microseconds())/1000)
	}
	for k, n := range b.ends {
		r.Ends[k] += n
	}
	for k, n := range b.damages {
		r.Damages[k] += n
	}
	streams, err := cloud.Audit(ctx, path)
	for _, s := range streams {
		if s.Device == b.device && !s.InOrder {
			r.OutOfOrder++
		}
	}
	return err
}
