package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/longan-edge/longan"
)

// Device is a board that has ever been heard of.
type Device struct {
	Device    longan.DeviceID
	Name      string // of the center, from its last full status
	FirstSeen time.Time
	LastSeen  time.Time      // the last batch or saved status, not the last heartbeat
	Status    *longan.Status // the last full one, or nil
}

// SaveStatus keeps each status as the last of its device, in one transaction.
// Only a full one is worth keeping, and not every one: the caller limits the
// rate.
func (s *Store) SaveStatus(ctx context.Context, now time.Time, statuses ...*longan.Status) error {
	if s.write == nil {
		return errReadOnly
	}
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("save status: begin: %w", err)
	}
	defer tx.Rollback()
	for _, st := range statuses {
		msg, err := st.Encode()
		if err != nil { // must not keep the others from being saved
			s.log.Warn("status is not saved", "device", st.Device, "err", err)
			continue
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO devices (device, name, first_seen, last_seen, status)
			VALUES (?1, ?2, ?3, ?3, ?4) ON CONFLICT (device) DO UPDATE
			SET name = excluded.name, last_seen = excluded.last_seen, status = excluded.status`,
			string(st.Device), st.Name, millis(now), msg)
		if err != nil {
			return fmt.Errorf("save status of %s: %w", st.Device, err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("save status: commit: %w", err)
	}
	return nil
}

// Devices returns all devices by id. A saved status that this program cannot
// read (of a later contract) is left out of its device.
func (s *Store) Devices(ctx context.Context) ([]Device, error) {
	out, err := collect(ctx, s.read, func(rows *sql.Rows) (Device, error) {
		var d Device
		var first, last int64
		var msg []byte
		if err := rows.Scan(&d.Device, &d.Name, &first, &last, &msg); err != nil {
			return d, err
		}
		d.FirstSeen, d.LastSeen = fromMillis(first), fromMillis(last)
		if msg != nil {
			if st, err := longan.DecodeStatus(msg); err == nil {
				d.Status = st
			}
		}
		return d, nil
	}, `SELECT device, name, first_seen, last_seen, status FROM devices ORDER BY device`)
	if err != nil {
		return nil, fmt.Errorf("query devices: %w", err)
	}
	return out, nil
}
