package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/longan-edge/longan"
)

// Counts are the totals of a store.
type Counts struct {
	Devices, Streams, Events, Holes, Conflicts, DeadLetters uint64
}

// Counts returns the totals.
func (s *Store) Counts(ctx context.Context) (Counts, error) {
	var c Counts
	err := s.read.QueryRowContext(ctx, `SELECT (SELECT COUNT(*) FROM devices), (SELECT COUNT(*) FROM streams),
		(SELECT COUNT(*) FROM events), (SELECT COUNT(*) FROM holes), (SELECT COUNT(*) FROM conflicts), (SELECT COUNT(*) FROM dead_letters)`).
		Scan(&c.Devices, &c.Streams, &c.Events, &c.Holes, &c.Conflicts, &c.DeadLetters)
	if err != nil {
		return c, fmt.Errorf("count: %w", err)
	}
	return c, nil
}

// StreamCheck is what the events of one stream themselves say, to be held
// against what the store claims of it.
type StreamCheck struct {
	Device     longan.DeviceID
	Epoch      string
	Lane       longan.Lane
	Count      uint64 // events stored
	Min, Max   uint64 // lowest and highest Seq stored, 0 without events
	Contiguous bool   // the events are exactly 1..Max, each once
	InOrder    bool   // they arrived in the order of Seq
	Acked      uint64 // as claimed
	Lost       uint64 // in holes, as claimed
}

// Check counts every stream anew from its events. It reads the whole store:
// for tests, the simulator and a doubt, not for a page.
func (s *Store) Check(ctx context.Context) ([]StreamCheck, error) {
	out, err := collect(func(rows *sql.Rows) (StreamCheck, error) {
		var c StreamCheck
		var disorder uint64
		err := rows.Scan(&c.Device, &c.Epoch, &c.Lane, &c.Acked, &c.Count, &c.Min, &c.Max, &disorder, &c.Lost)
		c.Contiguous = c.Max == c.Count && (c.Count == 0 || c.Min == 1)
		c.InOrder = disorder == 0
		return c, err
	}, s.reading(ctx, `WITH e AS (SELECT stream, seq, id < LAG(id) OVER (PARTITION BY stream ORDER BY seq) AS late FROM events)
		SELECT s.device, s.epoch, s.lane, s.acked, COUNT(e.seq), COALESCE(MIN(e.seq), 0), COALESCE(MAX(e.seq), 0),
			COALESCE(SUM(e.late), 0),
			(SELECT COALESCE(SUM(to_seq - from_seq + 1), 0) FROM holes h WHERE h.stream = s.id)
		FROM streams s LEFT JOIN e ON e.stream = s.id
		GROUP BY s.id ORDER BY s.device, s.epoch, s.lane`))
	if err != nil {
		return nil, fmt.Errorf("check: %w", err)
	}
	return out, nil
}

// Integrity runs SQLite's own checks of the file (PRAGMA integrity_check and
// foreign_key_check), looks for events without the rows that they refer to, and
// returns what it finds as an error.
func (s *Store) Integrity(ctx context.Context) error {
	found, err := collect(func(rows *sql.Rows) (string, error) {
		var line string
		err := rows.Scan(&line)
		return line, err
	}, s.reading(ctx, `SELECT integrity_check FROM pragma_integrity_check WHERE integrity_check <> 'ok'
		UNION ALL SELECT 'foreign key: row of ' || "table" || ' without ' || parent FROM pragma_foreign_key_check
		UNION ALL SELECT 'event ' || e.id || ' without its stream, kind or boot' FROM events e
			LEFT JOIN streams s ON s.id = e.stream LEFT JOIN kinds k ON k.id = e.kind LEFT JOIN boots b ON b.id = e.boot
			WHERE s.id IS NULL OR s.lane <> e.lane OR k.id IS NULL OR (e.boot IS NOT NULL AND b.device IS NOT s.device)`))
	if err != nil {
		return fmt.Errorf("check integrity: %w", err)
	}
	var errs []error
	for _, line := range found {
		errs = append(errs, errors.New(line))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("check integrity: %w", err)
	}
	return nil
}
