package store

import (
	"context"
	"database/sql"
	"errors"
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
// rate. What a status tells of its boot's clock corrects the times of events, see
// Boot.
func (s *Store) SaveStatus(ctx context.Context, now time.Time, statuses ...*longan.Status) error {
	err := s.writing(ctx, now, func(t *writeTx) error {
		for _, st := range statuses {
			msg, err := st.Encode()
			if err != nil { // must not keep the others from being saved
				s.log.Warn("status is not saved", "device", st.Device, "err", err)
				continue
			}
			if err := t.saveStatus(st, msg); err != nil {
				return fmt.Errorf("of %s: %w", st.Device, err)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("save status: %w", err)
	}
	return nil
}

func (t *writeTx) saveStatus(st *longan.Status, msg []byte) error {
	_, err := t.bootID(bootKey{st.Device, st.Boot}, st.Time, st.Clock, st.Mono)
	return errors.Join(err,
		t.exec(t.store.stmts.named, string(st.Device), st.Name, t.now),
		t.exec(t.store.stmts.status, string(st.Device), msg))
}

// Devices returns all devices by id. A saved status that this program cannot
// read (of a later contract) is left out of its device.
func (s *Store) Devices(ctx context.Context) ([]Device, error) {
	out, err := collect(func(rows *sql.Rows) (Device, error) {
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
	}, s.reading(ctx, `SELECT d.device, d.name, d.first_seen, d.last_seen, s.status
		FROM devices d LEFT JOIN statuses s ON s.device = d.device ORDER BY d.device`))
	if err != nil {
		return nil, fmt.Errorf("query devices: %w", err)
	}
	return out, nil
}
