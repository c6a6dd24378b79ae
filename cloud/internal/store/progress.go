package store

import (
	"database/sql"
	"errors"

	"github.com/longan-edge/longan"
)

// progress is how far a stream is complete.
type progress struct {
	acked  uint64 // all up to it are stored or in a hole
	max    uint64 // the highest stored
	oldest uint64 // the highest Batch.Oldest
}

// progress returns the stream's progress, and makes the stream and its device
// where they are new.
func (t *ingestTx) progress(k streamKey) (progress, error) {
	var p progress
	if err := t.exec(`INSERT INTO devices (device, first_seen, last_seen) VALUES (?, ?, ?)
		ON CONFLICT (device) DO UPDATE SET last_seen = excluded.last_seen`, string(k.device), t.now, t.now); err != nil {
		return p, err
	}
	if err := t.exec(`INSERT INTO streams (device, epoch, lane, first_seen) VALUES (?, ?, ?, ?)
		ON CONFLICT DO NOTHING`, k.args(t.now)...); err != nil {
		return p, err
	}
	err := t.tx.QueryRowContext(t.ctx, `SELECT acked, max_seq, oldest FROM streams`+whereStream, k.args()...).
		Scan(&p.acked, &p.max, &p.oldest)
	return p, err
}

// advance moves p.acked over the stored events, and over holes below p.oldest
// and in gaps, which it writes down.
func (t *ingestTx) advance(k streamKey, p *progress, gaps []gap) (err error) {
	if p.acked >= p.max && p.acked+1 >= p.oldest && len(gaps) == 0 {
		return nil
	}
	rows, err := t.tx.QueryContext(t.ctx, `SELECT seq FROM events`+whereStream+`AND seq > ? ORDER BY seq`, k.args(p.acked)...)
	if err != nil {
		return err
	}
	var holes []Hole
	for rows.Next() {
		var seq uint64
		if err := rows.Scan(&seq); err != nil {
			return errors.Join(err, rows.Close())
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
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for {
		to, reason := told(p, gaps)
		if to <= p.acked {
			break
		}
		holes = append(holes, Hole{From: p.acked + 1, To: to, Reason: reason})
		p.acked = to
	}
	for _, h := range holes {
		if err := t.addHole(k, h.From, h.To, h.Reason, t.now); err != nil {
			return err
		}
	}
	return nil
}

func (t *ingestTx) addHole(k streamKey, from, to uint64, reason string, noticed int64) error {
	if from > to {
		return nil
	}
	return t.exec(`INSERT INTO holes (device, epoch, lane, from_seq, to_seq, reason, noticed_at)
		VALUES (?, ?, ?, ?, ?, ?, ?)`, k.args(from, to, reason, noticed)...)
}

// shrinkHole takes seq, which came after all, out of the hole that has it.
func (t *ingestTx) shrinkHole(k streamKey, seq uint64) error {
	var from, to uint64
	var reason string
	var noticed int64
	err := t.tx.QueryRowContext(t.ctx, `SELECT from_seq, to_seq, reason, noticed_at FROM holes`+whereStream+
		`AND from_seq <= ? ORDER BY from_seq DESC LIMIT 1`, k.args(seq)...).Scan(&from, &to, &reason, &noticed)
	if errors.Is(err, sql.ErrNoRows) || (err == nil && to < seq) {
		return nil // no hole has it
	}
	if err != nil {
		return err
	}
	if err := t.exec(`DELETE FROM holes`+whereStream+`AND from_seq = ?`, k.args(from)...); err != nil {
		return err
	}
	return errors.Join(t.addHole(k, from, seq-1, reason, noticed), t.addHole(k, seq+1, to, reason, noticed))
}

// laneText scans a lane from its name.
type laneText longan.Lane

// Scan implements sql.Scanner.
func (l *laneText) Scan(src any) error {
	s, ok := src.(string)
	if !ok {
		return errors.New("lane is no text")
	}
	lane, err := longan.ParseLane(s)
	*l = laneText(lane)
	return err
}
