package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/longan-edge/longan"
)

// Result tells what one call of [Store.Ingest] did to one stream.
type Result struct {
	Device longan.DeviceID
	Epoch  string
	Lane   longan.Lane

	New        []longan.Event // those that were not stored before, in order of Seq
	Duplicates int            // those that were
	Conflicts  []longan.Event // those whose number another event has: not stored as events

	// Lanes is where every lane of the epoch stands now, most urgent first.
	// Results of one epoch share it.
	Lanes []Progress
}

// Acked returns the Acked of the result's own stream.
func (r *Result) Acked() uint64 {
	for _, p := range r.Lanes {
		if p.Lane == r.Lane {
			return p.Acked
		}
	}
	return 0
}

// streamKey names a stream.
type streamKey struct {
	device longan.DeviceID
	epoch  string
	lane   longan.Lane
}

func (k streamKey) args(more ...any) []any {
	return append([]any{string(k.device), k.epoch, k.lane.String()}, more...)
}

// whereStream selects the rows of one stream; its arguments are streamKey.args.
const whereStream = " WHERE device = ? AND epoch = ? AND lane = ? "

// arrival is what came for one stream, the events in order of Seq.
type arrival struct {
	streamKey
	oldest uint64
	events []longan.Event
}

// Ingest stores the events of the batches in one transaction. It is idempotent:
// batches may come repeatedly and in any order. When it returns an error nothing
// is to be acknowledged; whether the transaction was committed is then unknown,
// and the same call may be made again.
//
// Batch.Oldest closes the stream below it: numbers that are missing there become
// a hole, and Progress.Acked passes over it. A spool.gap event does the same for the
// numbers it stands for. Events of a hole that come after all are stored, and the
// hole shrinks.
func (s *Store) Ingest(ctx context.Context, batches []*longan.Batch, now time.Time) ([]Result, error) {
	if s.write == nil {
		return nil, errReadOnly
	}
	arrivals := gather(batches)
	if len(arrivals) == 0 {
		return nil, nil
	}
	sqlTx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("ingest: begin: %w", err)
	}
	defer sqlTx.Rollback()
	tx := &ingestTx{tx: sqlTx, ctx: ctx, now: millis(now)}
	if tx.insert, err = sqlTx.PrepareContext(ctx, insertEvent); err != nil {
		return nil, fmt.Errorf("ingest: %w", err)
	}
	defer tx.insert.Close()
	results := make([]Result, 0, len(arrivals))
	for _, a := range arrivals {
		r, err := tx.stream(a)
		if err != nil {
			return nil, fmt.Errorf("ingest %s %s %s: %w", a.device, a.epoch, a.lane, err)
		}
		results = append(results, r)
	}
	if err := tx.fillLanes(results); err != nil {
		return nil, fmt.Errorf("ingest: %w", err)
	}
	if err := sqlTx.Commit(); err != nil {
		return nil, fmt.Errorf("ingest: commit: %w", err)
	}
	return results, nil
}

// gather sorts the events of the batches by stream, the most urgent lane first.
func gather(batches []*longan.Batch) []*arrival {
	var all []*arrival
	byKey := map[streamKey]*arrival{}
	for _, b := range batches {
		k := streamKey{b.Device, b.Epoch, b.Lane}
		a := byKey[k]
		if a == nil {
			a = &arrival{streamKey: k}
			byKey[k] = a
			all = append(all, a)
		}
		a.oldest = max(a.oldest, b.Oldest)
		a.events = append(a.events, b.Events...)
	}
	slices.SortStableFunc(all, func(a, b *arrival) int { return cmp.Compare(a.lane, b.lane) })
	for _, a := range all {
		slices.SortStableFunc(a.events, func(x, y longan.Event) int { return cmp.Compare(x.Seq, y.Seq) })
	}
	return all
}

// ingestTx is the transaction of one Ingest.
type ingestTx struct {
	tx     *sql.Tx
	ctx    context.Context // of the one call that owns this value
	now    int64
	insert *sql.Stmt
}

const insertEvent = `INSERT INTO events
	(device, epoch, lane, seq, type, point, time, clock, boot, mono, data, raw, stored_at)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
	ON CONFLICT (device, epoch, lane, seq) DO NOTHING`

func (t *ingestTx) exec(query string, args ...any) error {
	_, err := t.tx.ExecContext(t.ctx, query, args...)
	return err
}

// stream stores what came for one stream and moves its progress on.
func (t *ingestTx) stream(a *arrival) (Result, error) {
	r := Result{Device: a.device, Epoch: a.epoch, Lane: a.lane}
	p, err := t.progress(a.streamKey)
	if err != nil {
		return r, err
	}
	for i := range a.events {
		if err := t.event(a.streamKey, &a.events[i], &r); err != nil {
			return r, err
		}
	}
	for _, e := range r.New {
		p.max = max(p.max, e.Seq)
		if e.Seq <= p.acked {
			if err := t.shrinkHole(a.streamKey, e.Seq); err != nil {
				return r, err
			}
		}
	}
	p.oldest = max(p.oldest, a.oldest)
	gaps, err := t.gaps(a, p)
	if err != nil {
		return r, err
	}
	if err := t.advance(a.streamKey, &p, gaps); err != nil {
		return r, err
	}
	return r, t.exec(`UPDATE streams SET acked = ?, max_seq = ?, oldest = ?,
		conflicts = (SELECT COUNT(*) FROM conflicts c
			WHERE c.device = streams.device AND c.epoch = streams.epoch AND c.lane = streams.lane)`+
		whereStream, append([]any{p.acked, p.max, p.oldest}, a.args()...)...)
}

// event stores one event, or counts it as a duplicate or a conflict.
func (t *ingestTx) event(k streamKey, e *longan.Event, r *Result) error {
	raw := string(e.AppendJSON(nil))
	var at, data any
	if !e.Time.IsZero() {
		at = millis(e.Time)
	}
	if len(e.Data) > 0 {
		data = string(e.Data)
	}
	done, err := t.insert.ExecContext(t.ctx, k.args(e.Seq, e.Type, e.Point, at, e.Clock, e.Boot,
		e.Mono.Milliseconds(), data, raw, t.now)...)
	if err != nil {
		return err
	}
	if n, err := done.RowsAffected(); err != nil || n == 1 {
		r.New = append(r.New, *e)
		return err
	}
	var first string
	err = t.tx.QueryRowContext(t.ctx, `SELECT raw FROM events`+whereStream+`AND seq = ?`, k.args(e.Seq)...).Scan(&first)
	if err != nil {
		return err
	}
	if first == raw || e.Type == longan.SpoolGap { // the board lost what the city has already
		r.Duplicates++
		return nil
	}
	r.Conflicts = append(r.Conflicts, *e)
	return t.exec(`INSERT INTO conflicts (device, epoch, lane, seq, raw, noticed_at) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT DO NOTHING`, k.args(e.Seq, raw, t.now)...)
}

// fillLanes sets the Lanes of the results.
func (t *ingestTx) fillLanes(results []Result) error {
	byEpoch := map[streamKey][]Progress{}
	for i := range results {
		k := streamKey{device: results[i].Device, epoch: results[i].Epoch}
		if byEpoch[k] == nil {
			lanes, err := epochProgress(t.ctx, t.tx, k.device, k.epoch)
			if err != nil {
				return err
			}
			byEpoch[k] = lanes
		}
		results[i].Lanes = byEpoch[k]
	}
	return nil
}
