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
)

// Hole is a range of events that the store does not have.
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
	out, err := collect(ctx, s.read, scanHole, selectHoles+
		` WHERE ?1 = '' OR device = ?1 ORDER BY device, epoch, lane, from_seq`, string(device))
	if err != nil {
		return nil, fmt.Errorf("query holes: %w", err)
	}
	return out, nil
}

const selectHoles = `SELECT device, epoch, lane, from_seq, to_seq, reason, noticed_at FROM holes`

func scanHole(rows *sql.Rows) (Hole, error) {
	var h Hole
	var lane laneText
	var noticed int64
	err := rows.Scan(&h.Device, &h.Epoch, &lane, &h.From, &h.To, &h.Reason, &noticed)
	h.Lane, h.NoticedAt = longan.Lane(lane), fromMillis(noticed)
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
	lanes, err := epochProgress(ctx, s.read, device, epoch)
	if err != nil {
		return nil, fmt.Errorf("query progress: %w", err)
	}
	return lanes, nil
}

func epochProgress(ctx context.Context, db querier, device longan.DeviceID, epoch string) ([]Progress, error) {
	lanes, err := collect(ctx, db, func(rows *sql.Rows) (Progress, error) {
		var p Progress
		var lane laneText
		var next uint64
		err := rows.Scan(&lane, &p.Acked, &p.Max, &next)
		p.Lane = longan.Lane(lane)
		if next > 0 {
			p.Holes = []Hole{{Device: device, Epoch: epoch, Lane: p.Lane, From: p.Acked + 1, To: next - 1, Reason: ReasonAwaited}}
		}
		return p, err
	}, `SELECT lane, acked, max_seq, CASE WHEN max_seq <= acked THEN 0 ELSE
			(SELECT MIN(seq) FROM events e WHERE e.device = s.device AND e.epoch = s.epoch AND e.lane = s.lane AND seq > acked) END
		FROM streams s WHERE device = ? AND epoch = ?`, string(device), epoch)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(lanes, func(a, b Progress) int { return cmp.Compare(a.Lane, b.Lane) })
	for i := range lanes {
		k := streamKey{device, epoch, lanes[i].Lane}
		holes, err := collect(ctx, db, scanHole, selectHoles+whereStream+`ORDER BY from_seq DESC LIMIT ?`, k.args(MaxHoles)...)
		if err != nil {
			return nil, err
		}
		slices.Reverse(holes)
		lanes[i].Holes = append(holes, lanes[i].Holes...)
	}
	return lanes, nil
}
