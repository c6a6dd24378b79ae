package ingest

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/longan-edge/longan"
)

// groupBatches bounds the batches of one transaction: each costs some statements
// of its own.
const groupBatches = 128

// item is a batch with the message that it came in.
type item struct {
	*longan.Batch
	message message
}

// group is what goes into one transaction.
type group struct {
	items  []item
	events int
}

func (g *group) add(it item) {
	g.items = append(g.items, it)
	g.events += len(it.Events)
}

// batches returns the batches of the items, the most urgent lane first.
func batches(items []item) []*longan.Batch {
	out := make([]*longan.Batch, len(items))
	for i, it := range items {
		out[i] = it.Batch
	}
	slices.SortStableFunc(out, func(a, b *longan.Batch) int { return cmp.Compare(a.Lane, b.Lane) })
	return out
}

// alarms decodes the alarms that wait, for a transaction of their own: it is
// short, and they do not wait for a backlog to be decoded.
func (in *Ingest) alarms() (g group) {
	for range groupBatches {
		m, ok := in.batches.take(longan.Alarm, longan.Alarm)
		if !ok {
			break
		}
		in.decode(m, &g)
	}
	return g
}

// decodeLoop decodes what is no alarm, and hands it to the commitLoop when that
// is ready for it, until ctx ends. It is one group ahead: the next one is decoded
// while one is committed.
func (in *Ingest) decodeLoop(ctx context.Context) {
	var g group
	for {
		full := len(g.items) >= groupBatches || g.events >= in.cost.most()
		if !full {
			if m, ok := in.batches.take(longan.State, longan.Sample); ok {
				in.pace.saw(m.topic.Device)
				in.decode(m, &g)
				if g.events < groupLeast {
					continue
				}
				select {
				case in.groups <- g:
					g = group{}
				default: // busy: the group may grow
				}
				continue
			}
		}
		out, more := in.groups, in.batches.backlog
		if len(g.items) == 0 {
			out = nil
		}
		if full {
			more = nil
		}
		select {
		case out <- g:
			g = group{}
		case <-more:
		case <-ctx.Done():
			return
		}
	}
}

// decode adds the batch of a message to a group, or refuses it.
func (in *Ingest) decode(m message, g *group) {
	b, err := longan.DecodeBatch(m.payload)
	switch {
	case errors.Is(err, longan.ErrVersion):
		// The board must keep it until the city is upgraded: it is not told.
		in.setAside(BadMessage, "", m, err)
	case err != nil:
		in.setAside(BadMessage, longan.RefusedMalformed, m, err)
	case b.Device != m.topic.Device:
		in.setAside(WrongDevice, longan.RefusedForeign, m, nil)
	case b.Lane != m.topic.Lane:
		in.setAside(WrongLane, longan.RefusedForeign, m, nil)
	default:
		g.add(item{b, m})
	}
}
