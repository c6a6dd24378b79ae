package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/longan-edge/longan"
)

// Bounds of the dead letters; the oldest go first.
const (
	MaxDeadLetters       = 10_000
	MaxDeadLettersDevice = 100
	MaxDeadLetterPayload = 256 << 10 // bytes; what is longer is cut
)

// DeadLetter is a batch that the city could not take, kept for an operator to
// see. Each is kept once, however often it comes.
type DeadLetter struct {
	ID         int64
	Device     longan.DeviceID // by the topic: who published it
	Lane       longan.Lane     // by the topic
	ReceivedAt time.Time       // the last time
	Reason     string          // "bad-message", "wrong-device", "wrong-lane", "store-refuses"
	Error      string          // what is wrong with it, for people; may be ""
	CRC        uint32          // CRC-32C (Castagnoli) of the message as published
	Tries      int             // how often it was set aside; at most one a second is
	Size       int             // of the message, bytes
	Payload    []byte          // the message; nil in a list
}

// SetAside keeps messages that the city could not take. Of one with the same
// device and CRC as an earlier one, the earlier one is kept, with one try more.
// ID and Tries need not be set.
func (s *Store) SetAside(ctx context.Context, letters ...DeadLetter) error {
	if len(letters) == 0 {
		return nil
	}
	err := s.writing(ctx, time.Time{}, func(t *writeTx) error {
		insert, err := t.tx.PrepareContext(t.ctx, insertDeadLetter)
		if err != nil {
			return err
		}
		defer insert.Close()
		devices := map[longan.DeviceID]bool{}
		for i := range letters {
			l := &letters[i]
			devices[l.Device] = true
			payload := append([]byte{}, l.Payload[:min(len(l.Payload), MaxDeadLetterPayload)]...) // nil would be NULL
			if _, err := insert.ExecContext(t.ctx, string(l.Device), int64(l.Lane), millis(l.ReceivedAt), l.Reason, l.Error,
				int64(l.CRC), max(l.Size, len(l.Payload)), payload); err != nil {
				return err
			}
		}
		return t.pruneDeadLetters(devices)
	})
	if err != nil {
		return fmt.Errorf("set aside: %w", err)
	}
	return nil
}

const insertDeadLetter = `INSERT INTO dead_letters (device, lane, received_at, reason, error, crc, tries, size, payload)
	VALUES (?, ?, ?, ?, ?, ?, 1, ?, ?) ON CONFLICT (device, crc) DO UPDATE
	SET received_at = excluded.received_at, reason = excluded.reason, error = excluded.error, tries = tries + 1`

// pruneDeadLetters removes the oldest that are too many, of the devices and of
// all.
func (t *writeTx) pruneDeadLetters(devices map[longan.DeviceID]bool) error {
	const prune = `DELETE FROM dead_letters WHERE id IN
		(SELECT id FROM dead_letters WHERE %s ORDER BY received_at DESC, id DESC LIMIT -1 OFFSET ?)`
	for d := range devices {
		if _, err := t.tx.ExecContext(t.ctx, fmt.Sprintf(prune, "device = ?"), string(d), MaxDeadLettersDevice); err != nil {
			return err
		}
	}
	_, err := t.tx.ExecContext(t.ctx, fmt.Sprintf(prune, "TRUE"), MaxDeadLetters)
	return err
}

const selectDeadLetters = `SELECT id, device, lane, received_at, reason, error, crc, tries, size, `

// DeadLetters returns the latest dead letters of a device, or of all devices
// when device is "", without their payloads: at most limit, and never more than
// MaxLimit, which is also what 0 means.
func (s *Store) DeadLetters(ctx context.Context, device longan.DeviceID, limit int) ([]DeadLetter, error) {
	if limit <= 0 || limit > MaxLimit {
		limit = MaxLimit
	}
	out, err := collect(scanDeadLetter, s.reading(ctx, selectDeadLetters+`NULL FROM dead_letters
		WHERE ?1 = '' OR device = ?1 ORDER BY received_at DESC, id DESC LIMIT ?2`), string(device), limit)
	if err != nil {
		return nil, fmt.Errorf("query dead letters: %w", err)
	}
	return out, nil
}

// ErrNotFound is returned by DeadLetter when there is none of that id.
var ErrNotFound = errors.New("not found")

// DeadLetter returns a dead letter with its payload.
func (s *Store) DeadLetter(ctx context.Context, id int64) (DeadLetter, error) {
	out, err := collect(scanDeadLetter, s.reading(ctx, selectDeadLetters+`payload FROM dead_letters WHERE id = ?`), id)
	if err == nil && len(out) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return DeadLetter{}, fmt.Errorf("query dead letter %d: %w", id, err)
	}
	return out[0], nil
}

func scanDeadLetter(rows *sql.Rows) (DeadLetter, error) {
	var l DeadLetter
	var received int64
	err := rows.Scan(&l.ID, &l.Device, &l.Lane, &received, &l.Reason, &l.Error, &l.CRC, &l.Tries, &l.Size, &l.Payload)
	l.ReceivedAt = fromMillis(received)
	return l, err
}
