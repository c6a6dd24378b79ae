package store

import (
	"database/sql"
	"errors"
)

// advance moves st.acked over the stored events, and over holes below st.oldest
// and in gaps, which it writes down.
func (t *writeTx) advance(st *stream, gaps []gap) error {
	if st.acked >= st.max && st.acked+1 >= st.oldest && len(gaps) == 0 {
		return nil
	}
	holes, err := t.pass(&st.progress, st.id, gaps)
	if err != nil {
		return err
	}
	for _, h := range holes {
		if err := t.addHole(st.id, h.From, h.To, h.Reason, t.now); err != nil {
			return err
		}
	}
	return nil
}

// pass moves p.acked and returns the holes that it passed.
func (t *writeTx) pass(p *progress, id int64, gaps []gap) (holes []Hole, err error) {
	rows, err := t.query(t.store.stmts.above)(id, p.acked)
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		var seq uint64
		if err := rows.Scan(&seq); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		// What is missing up to here is lost as far as the board has said so.
		for p.acked+1 < seq {
			to, reason := told(p, gaps)
			if to = min(to, seq-1); to <= p.acked {
				break
			}
			holes = append(holes, Hole{From: p.acked + 1, To: to, Reason: reason})
			p.acked = to
		}
		if p.acked+1 < seq {
			break
		}
		p.acked = seq
		if g, ok := markedAt(gaps, seq); ok {
			if last := len(holes) - 1; last >= 0 && holes[last].To == seq-1 && holes[last].Reason == g.reason {
				holes[last].To = seq
			} else {
				holes = append(holes, Hole{From: seq, To: seq, Reason: g.reason})
			}
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, err
	}
	for {
		to, reason := told(p, gaps)
		if to <= p.acked {
			return holes, nil
		}
		holes = append(holes, Hole{From: p.acked + 1, To: to, Reason: reason})
		p.acked = to
	}
}

func (t *writeTx) addHole(stream int64, from, to uint64, reason string, noticed int64) error {
	if from > to {
		return nil
	}
	return t.exec(t.store.stmts.addHole, stream, from, to, reason, noticed)
}

// shrinkHole takes seq, which came after all, out of the hole that has it.
func (t *writeTx) shrinkHole(stream int64, seq uint64) error {
	var from, to uint64
	var reason string
	var noticed int64
	err := t.row(t.store.stmts.hole, stream, seq).Scan(&from, &to, &reason, &noticed)
	if errors.Is(err, sql.ErrNoRows) || (err == nil && to < seq) {
		return nil // no hole has it
	}
	if err != nil {
		return err
	}
	if err := t.exec(t.store.stmts.dropHole, stream, from); err != nil {
		return err
	}
	return errors.Join(t.addHole(stream, from, seq-1, reason, noticed), t.addHole(stream, seq+1, to, reason, noticed))
}
