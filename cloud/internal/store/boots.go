package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/longan-edge/longan"
)

// quality orders the clock qualities of the contract; one that it does not name
// is 0, the worst.
type quality int

// clocks are the qualities by rank.
var clocks = [...]string{"", longan.ClockFloor, longan.ClockRTC, longan.ClockCity, longan.ClockNTP}

func qualityOf(clock string) quality {
	return quality(max(0, slices.Index(clocks[:], clock)))
}

func (q quality) String() string {
	if q < 0 || int(q) >= len(clocks) {
		return ""
	}
	return clocks[q]
}

// Boot is a running of a board since power-on.
//
// A board without a clock battery begins in 1970, or at the time it was built,
// and learns the true time later. Because it also counts the time since boot,
// the first event or status with a better clock tells when the boot began, and
// with it when all earlier events of the boot happened.
type Boot struct {
	Device longan.DeviceID
	Boot   string
	// Began is the wall time at which the board's time since boot was 0, by the
	// first event or status of the quality Clock, the best of this boot. Zero
	// while no clock is known.
	Began     time.Time
	Clock     string // one of the Clock constants of the contract, or ""
	NoticedAt time.Time
}

// Boots returns the boots of a device, or of all devices when device is "", the
// one heard of first first.
func (s *Store) Boots(ctx context.Context, device longan.DeviceID) ([]Boot, error) {
	out, err := collect(func(rows *sql.Rows) (Boot, error) {
		var b Boot
		var q quality
		var base sql.NullInt64
		var noticed int64
		err := rows.Scan(&b.Device, &b.Boot, &q, &base, &noticed)
		if base.Valid {
			b.Began, b.Clock = fromMillis(base.Int64), q.String()
		}
		b.NoticedAt = fromMillis(noticed)
		return b, err
	}, s.reading(ctx, `SELECT device, boot, quality, base, noticed_at FROM boots WHERE ?1 = '' OR device = ?1 ORDER BY id`), string(device))
	if err != nil {
		return nil, fmt.Errorf("query boots: %w", err)
	}
	return out, nil
}
