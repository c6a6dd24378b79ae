package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/longan-edge/longan"
)

// MaxLimit bounds the rows of one answer.
const MaxLimit = 1000

// Stored is an event with what the store knows of it.
type Stored struct {
	ID       int64 // order of arrival, over all streams
	StoredAt time.Time
	longan.Event
}

// Query selects events; zero fields select all.
type Query struct {
	Device longan.DeviceID
	Type   string       // exact
	Lane   *longan.Lane // nil is every lane
	Before int64        // only IDs below it: the ID of the last event of the page before
	Limit  int          // at most MaxLimit, which is also what 0 means
}

// Events returns the events of a query, the latest arrival first.
func (s *Store) Events(ctx context.Context, q Query) ([]Stored, error) {
	var where []string
	var args []any
	add := func(cond string, arg any) {
		where, args = append(where, cond), append(args, arg)
	}
	if q.Device != "" {
		add("device = ?", string(q.Device))
	}
	if q.Type != "" {
		add("type = ?", q.Type)
	}
	if q.Lane != nil && *q.Lane == longan.Alarm {
		where = append(where, "lane = 'alarm'") // a literal, so that the partial index serves
	} else if q.Lane != nil {
		add("lane = ?", q.Lane.String())
	}
	if q.Before > 0 {
		add("id < ?", q.Before)
	}
	query := `SELECT id, stored_at, device, epoch, lane, raw FROM events`
	if len(where) > 0 {
		query += " WHERE " + strings.Join(where, " AND ")
	}
	limit := q.Limit
	if limit <= 0 || limit > MaxLimit {
		limit = MaxLimit
	}
	out, err := collect(ctx, s.read, scanStored, query+" ORDER BY id DESC LIMIT ?", append(args, limit)...)
	if err != nil {
		return nil, fmt.Errorf("query events: %w", err)
	}
	return out, nil
}

// RecentAlarms returns the latest events of the alarm lane over all devices, the
// latest arrival first.
func (s *Store) RecentAlarms(ctx context.Context, limit int) ([]Stored, error) {
	lane := longan.Alarm
	return s.Events(ctx, Query{Lane: &lane, Limit: limit})
}

func scanStored(rows *sql.Rows) (Stored, error) {
	var e Stored
	var stored int64
	var device, epoch, raw string
	var lane laneText
	if err := rows.Scan(&e.ID, &stored, &device, &epoch, &lane, &raw); err != nil {
		return e, err
	}
	ev, err := longan.ParseEvent([]byte(raw))
	if err != nil {
		return e, fmt.Errorf("event %d: %w", e.ID, err)
	}
	e.StoredAt, e.Event = fromMillis(stored), ev
	e.Device, e.Epoch, e.Lane = longan.DeviceID(device), epoch, longan.Lane(lane)
	return e, nil
}

// Stream is how far one stream of a device is complete.
type Stream struct {
	Device    longan.DeviceID
	Epoch     string
	Lane      longan.Lane
	Acked     uint64 // all up to it are stored or in a hole
	Max       uint64 // the highest stored sequence number
	Oldest    uint64 // the highest Batch.Oldest of the board
	Lost      uint64 // events in holes
	Conflicts int    // events whose number another event had
	FirstSeen time.Time
}

// Streams returns the streams of a device, or of all devices when device is "",
// in the order they were first seen.
func (s *Store) Streams(ctx context.Context, device longan.DeviceID) ([]Stream, error) {
	out, err := collect(ctx, s.read, func(rows *sql.Rows) (Stream, error) {
		var st Stream
		var lane laneText
		var first int64
		err := rows.Scan(&st.Device, &st.Epoch, &lane, &st.Acked, &st.Max, &st.Oldest, &st.Conflicts, &first, &st.Lost)
		st.Lane, st.FirstSeen = longan.Lane(lane), fromMillis(first)
		return st, err
	}, `SELECT device, epoch, lane, acked, max_seq, oldest, conflicts, first_seen,
		(SELECT COALESCE(SUM(to_seq - from_seq + 1), 0) FROM holes h
			WHERE h.device = s.device AND h.epoch = s.epoch AND h.lane = s.lane)
		FROM streams s WHERE ?1 = '' OR device = ?1 ORDER BY first_seen, device, epoch, lane`, string(device))
	if err != nil {
		return nil, fmt.Errorf("query streams: %w", err)
	}
	return out, nil
}

// querier is the pool or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// collect runs a query and returns its rows.
func collect[T any](ctx context.Context, db querier, scan func(*sql.Rows) (T, error), query string, args ...any) (out []T, err error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}
