package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/longan-edge/longan"
)

// DeviceConflicts tells of a device's events whose numbers other events of the
// same epoch had.
type DeviceConflicts struct {
	Device longan.DeviceID
	Count  int
	Last   time.Time // when the last of them came
}

// Conflicts returns the devices with such events, by id.
func (s *Store) Conflicts(ctx context.Context) ([]DeviceConflicts, error) {
	out, err := collect(func(rows *sql.Rows) (DeviceConflicts, error) {
		var c DeviceConflicts
		var last int64
		err := rows.Scan(&c.Device, &c.Count, &last)
		c.Last = fromMillis(last)
		return c, err
	}, s.reading(ctx, `SELECT s.device, COUNT(*), MAX(c.noticed_at) FROM conflicts c JOIN streams s ON s.id = c.stream
		GROUP BY s.device ORDER BY s.device`))
	if err != nil {
		return nil, fmt.Errorf("query conflicts: %w", err)
	}
	return out, nil
}
