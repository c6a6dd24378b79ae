package store

import (
	"cmp"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"

	"github.com/longan-edge/longan"
)

// gap is what a spool.gap event says: from to to will not come, but for the event
// itself, which has the number to.
type gap struct {
	from, to uint64
	reason   string
}

// gapOf returns what a spool.gap event with that number says. One that makes no
// sense is a gap of itself alone.
func gapOf(seq uint64, data []byte) gap {
	var d struct {
		From   uint64 `json:"from"`
		Reason string `json:"reason"`
	}
	if err := json.Unmarshal(data, &d); err != nil || d.From == 0 || d.From > seq {
		return gap{seq, seq, ReasonNotKept}
	}
	if !longan.ValidName(d.Reason) {
		d.Reason = ReasonNotKept
	}
	return gap{d.From, seq, d.Reason}
}

// gaps returns what spool.gap events, stored or just come, say of the numbers
// above p.acked. One that just came may have found its number taken, by an event
// that the board does not know to have arrived.
func (t *ingestTx) gaps(a *arrival, p progress) (out []gap, err error) {
	for _, e := range a.events {
		if e.Type == longan.SpoolGap && e.Seq > p.acked {
			out = append(out, gapOf(e.Seq, e.Data))
		}
	}
	if p.acked >= p.max {
		return out, nil
	}
	rows, err := t.tx.QueryContext(t.ctx, `SELECT seq, data FROM events`+whereStream+`AND seq > ? AND type = ?`,
		a.args(p.acked, longan.SpoolGap)...)
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		var seq uint64
		var data sql.NullString
		if err := rows.Scan(&seq, &data); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		out = append(out, gapOf(seq, []byte(data.String)))
	}
	slices.SortFunc(out, func(a, b gap) int { return cmp.Compare(a.to, b.to) })
	return out, errors.Join(rows.Err(), rows.Close())
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
