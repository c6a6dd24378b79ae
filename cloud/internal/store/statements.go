package store

import (
	"context"
	"database/sql"
	"strings"
)

// insertRows are the numbers of rows that one INSERT of events takes: a
// statement costs about as much as two rows, and SQLite compiles each once.
var insertRows = [...]int{32, 8, 1}

// eventColumns are the parameters of a row of events.
const eventColumns = 10

// statements are those that an Ingest needs, compiled once for the one
// connection that writes.
type statements struct {
	seen, stream, addStream, moveStream    *sql.Stmt
	lanes, holes, addHole, dropHole, hole  *sql.Stmt
	kind, addKind, boot, addBoot, better   *sql.Stmt
	above, gaps, addGap, dropGaps, between *sql.Stmt
	addConflict, named, status             *sql.Stmt
	insert                                 [len(insertRows)]*sql.Stmt
}

func (s *statements) prepare(ctx context.Context, db *sql.DB) (err error) {
	texts := map[**sql.Stmt]string{
		&s.seen: `INSERT INTO devices (device, first_seen, last_seen) VALUES (?1, ?2, ?2)
			ON CONFLICT (device) DO UPDATE SET last_seen = excluded.last_seen`,
		&s.named: `INSERT INTO devices (device, name, first_seen, last_seen) VALUES (?1, ?2, ?3, ?3)
			ON CONFLICT (device) DO UPDATE SET name = excluded.name, last_seen = excluded.last_seen`,
		&s.status: `INSERT INTO statuses (device, status) VALUES (?, ?)
			ON CONFLICT (device) DO UPDATE SET status = excluded.status`,
		&s.stream:     `SELECT id, acked, max_seq, oldest, conflicts FROM streams WHERE device = ? AND epoch = ? AND lane = ?`,
		&s.addStream:  `INSERT INTO streams (device, epoch, lane, first_seen) VALUES (?, ?, ?, ?)`,
		&s.moveStream: `UPDATE streams SET acked = ?, max_seq = ?, oldest = ?, conflicts = ? WHERE id = ?`,
		&s.lanes:      selectLanes,
		&s.holes:      selectLaneHoles,
		&s.addHole:    `INSERT INTO holes (stream, from_seq, to_seq, reason, noticed_at) VALUES (?, ?, ?, ?, ?)`,
		&s.dropHole:   `DELETE FROM holes WHERE stream = ? AND from_seq = ?`,
		&s.hole: `SELECT from_seq, to_seq, reason, noticed_at FROM holes
			WHERE stream = ? AND from_seq <= ? ORDER BY from_seq DESC LIMIT 1`,
		&s.kind:        `SELECT id FROM kinds WHERE type = ? AND point = ? AND clock = ?`,
		&s.addKind:     `INSERT INTO kinds (type, point, clock) VALUES (?, ?, ?)`,
		&s.boot:        `SELECT id, quality FROM boots WHERE device = ? AND boot = ?`,
		&s.addBoot:     `INSERT INTO boots (device, boot, noticed_at) VALUES (?, ?, ?)`,
		&s.better:      `UPDATE boots SET quality = ?1, base = ?2, noticed_at = ?3 WHERE id = ?4 AND quality < ?1`,
		&s.above:       `SELECT seq FROM events WHERE stream = ? AND seq > ? ORDER BY seq`,
		&s.gaps:        `SELECT from_seq, seq, reason, stored FROM gaps WHERE stream = ? AND seq > ? ORDER BY seq LIMIT 1000`,
		&s.addGap:      `INSERT INTO gaps (stream, seq, from_seq, reason, stored) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		&s.dropGaps:    `DELETE FROM gaps WHERE stream = ? AND seq <= ?`,
		&s.between:     selectEvents + `WHERE e.stream = ? AND e.seq BETWEEN ? AND ? ORDER BY e.seq`,
		&s.addConflict: `INSERT INTO conflicts (stream, seq, raw, noticed_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`,
	}
	for i, n := range insertRows {
		row := "(?" + strings.Repeat(",?", eventColumns-1) + ")"
		texts[&s.insert[i]] = `INSERT INTO events (stream, lane, seq, kind, boot, time, mono, data, extra, stored_at) VALUES ` +
			row + strings.Repeat(","+row, n-1)
	}
	for dst, text := range texts {
		if *dst, err = db.PrepareContext(ctx, text); err != nil {
			return err
		}
	}
	return nil
}
