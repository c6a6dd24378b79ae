package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/longan-edge/longan"
)

// MaxLimit bounds the rows of one answer.
const MaxLimit = 1000

// Stored is an event with what the store knows of it. The event is as the board
// sent it, for ever.
type Stored struct {
	ID       int64 // order of arrival, over all streams
	StoredAt time.Time
	longan.Event
	// Corrected is when the event happened by the best clock that the same boot
	// of the board had, and CorrectedClock the quality of that clock; zero and ""
	// when the event's own Time is as good. See Boot.
	Corrected      time.Time
	CorrectedClock string
}

// Happened returns the best that is known of when the event happened, and the
// quality of that; the zero time when nothing is.
func (e *Stored) Happened() (at time.Time, clock string) {
	if !e.Corrected.IsZero() {
		return e.Corrected, e.CorrectedClock
	}
	return e.Time, e.Clock
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
	if q.Limit <= 0 || q.Limit > MaxLimit {
		q.Limit = MaxLimit
	}
	if q.Before <= 0 {
		q.Before = math.MaxInt64
	}
	var out []Stored
	var err error
	if q.Device != "" {
		out, err = s.eventsOfDevice(ctx, &q)
	} else {
		out, err = s.eventsOfAll(ctx, &q)
	}
	if err != nil {
		return nil, fmt.Errorf("query events: %w", err)
	}
	return out, nil
}

// ofType is the condition for an event's type; its two arguments are the type.
const ofType = `AND (? = '' OR e.kind IN (SELECT id FROM kinds WHERE type = ?)) `

func (s *Store) eventsOfAll(ctx context.Context, q *Query) ([]Stored, error) {
	lane := ""
	if q.Lane != nil { // in the text, so that the index of alarms serves
		lane = fmt.Sprintf("AND e.lane = %d ", *q.Lane)
	}
	return collect(scanStored, s.reading(ctx, selectEvents+`WHERE e.id < ? `+lane+ofType+`ORDER BY e.id DESC LIMIT ?`),
		q.Before, q.Type, q.Type, q.Limit)
}

// eventsOfDevice asks stream by stream, each by its index, and merges: a device
// that has been silent for long is found as quickly as any other.
func (s *Store) eventsOfDevice(ctx context.Context, q *Query) (out []Stored, err error) {
	tx, err := s.read.BeginTx(ctx, nil) // all streams as of the same moment
	if err != nil {
		return nil, err
	}
	defer tx.Rollback()
	lane := -1
	if q.Lane != nil {
		lane = int(*q.Lane)
	}
	streams, err := collect(scanID, queryIn(ctx, tx, `SELECT id FROM streams WHERE device = ?1 AND (?2 < 0 OR lane = ?2)`),
		string(q.Device), lane)
	if err != nil {
		return nil, err
	}
	var ids []int64
	for _, id := range streams {
		some, err := collect(scanID, queryIn(ctx, tx, `SELECT id FROM events e INDEXED BY events_by_stream
			WHERE e.stream = ? AND e.id < ? `+ofType+`ORDER BY e.id DESC LIMIT ?`), id, q.Before, q.Type, q.Type, q.Limit)
		if err != nil {
			return nil, err
		}
		ids = append(ids, some...)
		slices.SortFunc(ids, func(a, b int64) int { return cmp.Compare(b, a) })
		ids = ids[:min(len(ids), q.Limit)]
	}
	for _, id := range ids {
		some, err := collect(scanStored, queryIn(ctx, tx, selectEvents+`WHERE e.id = ?`), id)
		if err != nil {
			return nil, err
		}
		out = append(out, some...)
	}
	return out, nil
}

func scanID(rows *sql.Rows) (id int64, err error) { return id, rows.Scan(&id) }

// RecentAlarms returns the latest events of the alarm lane over all devices, the
// latest arrival first.
func (s *Store) RecentAlarms(ctx context.Context, limit int) ([]Stored, error) {
	lane := longan.Alarm
	return s.Events(ctx, Query{Lane: &lane, Limit: limit})
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
	out, err := collect(func(rows *sql.Rows) (Stream, error) {
		var st Stream
		var first int64
		err := rows.Scan(&st.Device, &st.Epoch, &st.Lane, &st.Acked, &st.Max, &st.Oldest, &st.Conflicts, &first, &st.Lost)
		st.FirstSeen = fromMillis(first)
		return st, err
	}, s.reading(ctx, `SELECT device, epoch, lane, acked, max_seq, oldest, conflicts, first_seen,
		(SELECT COALESCE(SUM(to_seq - from_seq + 1), 0) FROM holes h WHERE h.stream = s.id)
		FROM streams s WHERE ?1 = '' OR device = ?1 ORDER BY first_seen, device, epoch, lane`), string(device))
	if err != nil {
		return nil, fmt.Errorf("query streams: %w", err)
	}
	return out, nil
}

// queryFunc runs one query.
type queryFunc func(args ...any) (*sql.Rows, error)

// reading returns a query of the read pool.
func (s *Store) reading(ctx context.Context, query string) queryFunc {
	return func(args ...any) (*sql.Rows, error) { return s.read.QueryContext(ctx, query, args...) }
}

// queryIn returns a query in a transaction.
func queryIn(ctx context.Context, tx *sql.Tx, query string) queryFunc {
	return func(args ...any) (*sql.Rows, error) { return tx.QueryContext(ctx, query, args...) }
}

// collect runs a query and returns its rows.
func collect[T any](scan func(*sql.Rows) (T, error), query queryFunc, args ...any) (out []T, err error) {
	rows, err := query(args...)
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
