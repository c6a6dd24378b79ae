package store

import (
	"bytes"

	"github.com/longan-edge/longan"
)

// maxConflicts bounds the evidence that is kept of one stream.
const maxConflicts = 1000

// sift sorts the events of an arrival into those that are new, duplicates and
// conflicts.
func (t *writeTx) sift(st *stream, a *arrival, r *Result) error {
	if fresh(st, a.events) {
		r.New = a.events
		return nil
	}
	for rest := a.events; len(rest) > 0; {
		n := 1 // a run of numbers without a gap, some perhaps twice
		for n < len(rest) && rest[n].Seq <= rest[n-1].Seq+1 {
			n++
		}
		run := rest[:n]
		rest = rest[n:]
		stored := map[uint64]*longan.Event{}
		if run[0].Seq <= st.max {
			rows, err := collect(scanStored, t.query(t.store.stmts.between), st.id, run[0].Seq, run[n-1].Seq)
			if err != nil {
				return err
			}
			for i := range rows {
				stored[rows[i].Seq] = &rows[i].Event
			}
		}
		for i := range run {
			e := &run[i]
			first := stored[e.Seq]
			if first == nil {
				stored[e.Seq] = e
				r.New = append(r.New, *e)
			} else if err := t.again(st, e, first, r); err != nil {
				return err
			}
		}
	}
	return nil
}

// fresh reports whether all events are above what the stream has, each number
// once: then none needs to be looked up.
func fresh(st *stream, events []longan.Event) bool {
	last := st.max
	for i := range events {
		if events[i].Seq <= last {
			return false
		}
		last = events[i].Seq
	}
	return true
}

// again counts an event whose number first has already as a duplicate or a
// conflict.
func (t *writeTx) again(st *stream, e, first *longan.Event, r *Result) error {
	raw := e.AppendJSON(nil)
	if e.Type == longan.SpoolGap || bytes.Equal(first.AppendJSON(nil), raw) { // a gap: the board lost what the city has
		r.Duplicates++
		return nil
	}
	r.Conflicts = append(r.Conflicts, *e)
	if st.conflicts >= maxConflicts {
		return nil
	}
	done, err := t.tx.StmtContext(t.ctx, t.store.stmts.addConflict).ExecContext(t.ctx, st.id, e.Seq, string(raw), t.now)
	if err != nil {
		return err
	}
	n, err := done.RowsAffected()
	st.conflicts += int(n)
	return err
}
