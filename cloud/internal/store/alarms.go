package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/longan-edge/longan"
)

// OpenAlarms returns the alarm.raised events that no alarm.restored event has
// ended, the earliest arrival first. An alarm is of a device, a point and a
// cause; a restored event without a cause, or the alarm's lack of one, stands for
// any. Within a stream the numbers tell what came after what, across epochs the
// arrival. An alarm that was raised anew counts once, with its last raise.
//
// It reads all events of alarms there are, which are few: a million take some
// seconds.
func (s *Store) OpenAlarms(ctx context.Context) (open []Stored, err error) {
	tx, err := s.read.BeginTx(ctx, nil) // the fold and the events as of one moment
	if err != nil {
		return nil, fmt.Errorf("query open alarms: %w", err)
	}
	defer tx.Rollback()
	ids, err := openAlarmIDs(ctx, tx)
	if err != nil {
		return nil, fmt.Errorf("query open alarms: %w", err)
	}
	for _, id := range ids {
		some, err := collect(scanStored, queryIn(ctx, tx, selectEvents+`WHERE e.id = ?`), id)
		if err != nil {
			return nil, fmt.Errorf("query open alarms: %w", err)
		}
		open = append(open, some...)
	}
	return open, nil
}

// alarmEvent is what the fold over all alarms needs of an event.
type alarmEvent struct {
	id, stream int64
	seq        uint64
}

// follows reports whether e is known to come after other. Of two streams nobody
// knows.
func (e alarmEvent) follows(other alarmEvent) bool {
	return e.stream == other.stream && e.seq > other.seq
}

type alarmKey struct{ device, point, cause string }

// alarmFold finds the alarms that are open.
type alarmFold struct {
	open   map[alarmKey]alarmEvent
	rested map[alarmKey]alarmEvent // the last restored of each
	causes map[[2]string][]string  // of the open alarms of a device and point
}

func openAlarmIDs(ctx context.Context, tx *sql.Tx) ([]int64, error) {
	kinds, err := names(queryIn(ctx, tx, `SELECT id, type, point FROM kinds WHERE type IN (?, ?)`), longan.AlarmRaised, longan.AlarmRestored)
	if err != nil {
		return nil, err
	}
	streams, err := names(queryIn(ctx, tx, `SELECT id, device, '' FROM streams WHERE lane = 0`))
	if err != nil {
		return nil, err
	}
	f := alarmFold{open: map[alarmKey]alarmEvent{}, rested: map[alarmKey]alarmEvent{}, causes: map[[2]string][]string{}}
	// Without a join, for these may be many rows.
	rows, err := tx.QueryContext(ctx, `SELECT id, stream, seq, kind, data FROM events INDEXED BY events_alarms WHERE lane = 0 ORDER BY id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	causes := causeBook{}
	for rows.Next() {
		var e alarmEvent
		var kind int64
		var data sql.RawBytes
		if err := rows.Scan(&e.id, &e.stream, &e.seq, &kind, &data); err != nil {
			return nil, err
		}
		k, ok := kinds[kind]
		if !ok {
			continue // of another type
		}
		key := alarmKey{streams[e.stream][0], k[1], causes.of(data)}
		if k[0] == longan.AlarmRaised {
			f.raise(key, e)
		} else {
			f.restore(key, e)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	ids := make([]int64, 0, len(f.open))
	for _, e := range f.open {
		ids = append(ids, e.id)
	}
	slices.Sort(ids)
	return ids, nil
}

// names returns two texts by row id.
func names(query queryFunc, args ...any) (map[int64][2]string, error) {
	type row struct {
		id    int64
		texts [2]string
	}
	all, err := collect(func(rows *sql.Rows) (r row, err error) {
		return r, rows.Scan(&r.id, &r.texts[0], &r.texts[1])
	}, query, args...)
	out := make(map[int64][2]string, len(all))
	for _, r := range all {
		out[r.id] = r.texts
	}
	return out, err
}

// causeBook remembers the causes in the data of events: they are few.
type causeBook map[string]string

func (b causeBook) of(data []byte) string {
	cause, ok := b[string(data)]
	if ok || len(data) == 0 {
		return cause
	}
	var said struct {
		Cause string `json:"cause"`
	}
	if json.Unmarshal(data, &said) != nil {
		said.Cause = ""
	}
	if len(b) >= 1000 {
		clear(b)
	}
	b[string(data)] = said.Cause
	return said.Cause
}

// raise takes a raise, unless what followed it came before.
func (f *alarmFold) raise(key alarmKey, e alarmEvent) {
	for _, cause := range []string{key.cause, ""} {
		if f.rested[alarmKey{key.device, key.point, cause}].follows(e) {
			return
		}
	}
	old, again := f.open[key]
	if again && old.follows(e) {
		return
	}
	if !again {
		at := [2]string{key.device, key.point}
		f.causes[at] = append(f.causes[at], key.cause)
	}
	f.open[key] = e
}

func (f *alarmFold) restore(key alarmKey, e alarmEvent) {
	if !f.rested[key].follows(e) {
		f.rested[key] = e
	}
	at := [2]string{key.device, key.point}
	f.causes[at] = slices.DeleteFunc(f.causes[at], func(cause string) bool {
		if cause != key.cause && cause != "" && key.cause != "" {
			return false
		}
		k := alarmKey{key.device, key.point, cause}
		if f.open[k].follows(e) {
			return false // raised again since
		}
		delete(f.open, k)
		return true
	})
}
