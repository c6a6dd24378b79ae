package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/longan-edge/longan"
)

// Reasons of holes.
const (
	// ReasonNotKept: the board told by Batch.Oldest that it keeps the events no
	// more, and they never came.
	ReasonNotKept = "not-kept"
	// ReasonAwaited: later events came already; these are on their way, or the
	// board will say that they are not. Such a hole is not in the file.
	ReasonAwaited = "awaited"
	// ReasonFull and ReasonDamaged: the board said by a spool.gap event that it
	// gave the events up, or could not read them any more.
	ReasonFull    = "full"
	ReasonDamaged = "damaged"
	// ReasonRefused: the board gave up events that the city could not take; they
	// are among the dead letters.
	ReasonRefused = "refused"
)

// Hole is a range of events that the store does not have. The last number of one
// that a board told of by a spool.gap event is that event's own.
type Hole struct {
	Device    longan.DeviceID
	Epoch     string
	Lane      longan.Lane
	From, To  uint64 // inclusive
	Reason    string // one of the Reason constants
	NoticedAt time.Time
}

// Holes returns the holes of a device, or of all devices when device is "".
func (s *Store) Holes(ctx context.Context, device longan.DeviceID) ([]Hole, error) {
	out, err := collect(scanHole, s.reading(ctx, selectHoles+
		`WHERE ?1 = '' OR s.device = ?1 ORDER BY s.device, s.epoch, s.lane, h.from_seq`), string(device))
	if err != nil {
		return nil, fmt.Errorf("query holes: %w", err)
	}
	return out, nil
}

const selectHoles = `SELECT s.device, s.epoch, s.lane, h.from_seq, h.to_seq, h.reason, h.noticed_at
	FROM holes h JOIN streams s ON s.id = h.stream `

func scanHole(rows *sql.Rows) (Hole, error) {
	var h Hole
	var noticed int64
	err := rows.Scan(&h.Device, &h.Epoch, &h.Lane, &h.From, &h.To, &h.Reason, &noticed)
	h.NoticedAt = fromMillis(noticed)
	return h, err
}

// Progress is where one lane of an epoch stands.
type Progress struct {
	Lane  longan.Lane
	Acked uint64 // all up to it are stored or in a hole
	Max   uint64 // the highest stored sequence number
	// Holes are the lost ranges, ascending, and last the range that is still
	// awaited, with ReasonAwaited. Of more than MaxHoles the last ones.
	Holes []Hole
}

// MaxHoles bounds Progress.Holes.
const MaxHoles = 50

// Progress returns where the lanes of an epoch stand, most urgent first.
func (s *Store) Progress(ctx context.Context, device longan.DeviceID, epoch string) ([]Progress, error) {
	lanes, err := epochProgress(device, epoch, s.reading(ctx, selectLanes), s.reading(ctx, selectLaneHoles))
	if err != nil {
		return nil, fmt.Errorf("query progress: %w", err)
	}
	return lanes, nil
}

// The queries of epochProgress.
const (
	selectLanes = `SELECT id, lane, acked, max_seq, CASE WHEN max_seq <= acked THEN 0 ELSE
			(SELECT MIN(seq) FROM events WHERE stream = s.id AND seq > acked) END,
			EXISTS (SELECT 1 FROM holes WHERE stream = s.id)
		FROM streams s WHERE device = ? AND epoch = ? ORDER BY lane`
	selectLaneHoles = selectHoles + `WHERE h.stream = ? ORDER BY h.from_seq DESC LIMIT ?`
)

func epochProgress(device longan.DeviceID, epoch string, selectLanes, selectLaneHoles queryFunc) ([]Progress, error) {
	type row struct {
		Progress
		id      int64
		awaited uint64 // the lowest stored above Acked, or 0
		holes   bool
	}
	rows, err := collect(func(rows *sql.Rows) (r row, err error) {
		err = rows.Scan(&r.id, &r.Lane, &r.Acked, &r.Max, &r.awaited, &r.holes)
		return r, err
	}, selectLanes, string(device), epoch)
	if err != nil {
		return nil, err
	}
	lanes := make([]Progress, len(rows))
	for i, r := range rows {
		if r.holes {
			if r.Holes, err = collect(scanHole, selectLaneHoles, r.id, MaxHoles); err != nil {
				return nil, err
			}
			slices.Reverse(r.Holes)
		}
		if r.awaited > 0 {
			r.Holes = append(r.Holes, Hole{Device: device, Epoch: epoch, Lane: r.Lane,
				From: r.Acked + 1, To: r.awaited - 1, Reason: ReasonAwaited})
		}
		lanes[i] = r.Progress
	}
	return lanes, nil
}
