package store

import (
	"cmp"
	"database/sql"
	"encoding/json"
	"slices"

	"github.com/longan-edge/longan"
)

// gap is what a spool.gap event says: from to to will not come. The event itself
// has the number to, and so has taken the place of the last one lost.
type gap struct {
	from, to uint64
	reason   string
	stored   bool // the spool.gap event is; else its number was taken
}

// gapOf returns what a spool.gap event with that number says. One that makes no
// sense is a gap of itself alone.
func gapOf(seq uint64, data []byte) gap {
	var d struct {
		From   uint64 `json:"from"`
		Reason string `json:"reason"`
	}
	if err := json.Unmarshal(data, &d); err != nil || d.From == 0 || d.From > seq {
		return gap{from: seq, to: seq, reason: ReasonNotKept}
	}
	if !longan.ValidName(d.Reason) {
		d.Reason = ReasonNotKept
	}
	return gap{from: d.From, to: seq, reason: d.Reason}
}

// gaps returns what spool.gap events, kept from before or just come, say of the
// numbers above st.acked. One that just came may have found its number taken, by
// an event that the board does not know to have arrived.
func (t *writeTx) gaps(st *stream, a *arrival, r *Result) (out []gap, err error) {
	if st.max > st.acked {
		out, err = collect(func(rows *sql.Rows) (g gap, err error) {
			return g, rows.Scan(&g.from, &g.to, &g.reason, &g.stored)
		}, t.query(t.store.stmts.gaps), st.id, st.acked)
	}
	for i := range a.events {
		if e := &a.events[i]; e.Type == longan.SpoolGap && e.Seq > st.acked {
			g := gapOf(e.Seq, e.Data)
			i, isNew := slices.BinarySearchFunc(r.New, e.Seq, func(n longan.Event, seq uint64) int { return cmp.Compare(n.Seq, seq) })
			g.stored = isNew && r.New[i].Type == longan.SpoolGap
			out = append(out, g)
		}
	}
	slices.SortStableFunc(out, func(a, b gap) int { return cmp.Compare(a.to, b.to) })
	return out, err
}

// keepGaps keeps the gaps that st.acked did not get to yet, and no others.
func (t *writeTx) keepGaps(st *stream, gaps []gap) error {
	if len(gaps) == 0 {
		return nil
	}
	for _, g := range gaps {
		if g.to > st.acked {
			if err := t.exec(t.store.stmts.addGap, st.id, g.to, g.from, g.reason, g.stored); err != nil {
				return err
			}
		}
	}
	return t.exec(t.store.stmts.dropGaps, st.id, st.acked)
}

// markedAt returns the gap whose event is stored with the number seq.
func markedAt(gaps []gap, seq uint64) (gap, bool) {
	i := slices.IndexFunc(gaps, func(g gap) bool { return g.to == seq && g.stored })
	if i < 0 {
		return gap{}, false
	}
	return gaps[i], true
}

// told returns up to which number, from p.acked+1 on, the board has said that
// nothing comes, and why; p.acked when it has not. gaps are in order.
func told(p *progress, gaps []gap) (to uint64, reason string) {
	for _, g := range gaps { // a gap says more than Batch.Oldest does
		if g.from <= p.acked+1 && g.to > p.acked {
			return g.to, g.reason
		}
	}
	if p.oldest > p.acked+1 {
		to = p.oldest - 1
		for _, g := range gaps {
			if g.to > p.acked && g.from <= to {
				to = min(to, g.from-1)
			}
		}
		return to, ReasonNotKept
	}
	return p.acked, ""
}
