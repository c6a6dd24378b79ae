package store

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/longan-edge/longan"
)

// selectEvents selects what scanStored reads. Its joins are CROSS JOINs, which
// SQLite carries out in the order written: rows of events are found first.
const selectEvents = `SELECT e.id, e.stored_at, s.device, s.epoch, e.lane, e.seq, k.type, k.point, k.clock,
		e.time, e.mono, e.data, e.extra, b.boot, b.quality, b.base
	FROM events e CROSS JOIN streams s ON s.id = e.stream CROSS JOIN kinds k ON k.id = e.kind LEFT JOIN boots b ON b.id = e.boot `

// scanStored rebuilds an event: its AppendJSON is what was sent.
func scanStored(rows *sql.Rows) (Stored, error) {
	var e Stored
	var stored, mono int64
	var at, best, base sql.NullInt64
	var data, extra, boot sql.NullString
	if err := rows.Scan(&e.ID, &stored, &e.Device, &e.Epoch, &e.Lane, &e.Seq, &e.Type, &e.Point, &e.Clock,
		&at, &mono, &data, &extra, &boot, &best, &base); err != nil {
		return e, err
	}
	e.StoredAt, e.Mono, e.Boot = fromMillis(stored), time.Duration(mono)*time.Millisecond, boot.String
	if at.Valid {
		e.Time = fromMillis(at.Int64)
	}
	if data.Valid {
		e.Data = []byte(data.String)
	}
	if extra.Valid {
		var err error
		if e.Extra, err = parseExtra(extra.String); err != nil {
			return e, fmt.Errorf("event %d: %w", e.ID, err)
		}
	}
	own := qualityOf(e.Clock)
	if e.Time.IsZero() {
		own = 0
	}
	if q := quality(best.Int64); base.Valid && q > own {
		e.Corrected, e.CorrectedClock = fromMillis(base.Int64+mono), q.String()
	}
	return e, nil
}

// extraText returns what the column extra holds of an event, nil for NULL.
func extraText(extra longan.Extra) any {
	if len(extra) == 0 {
		return nil
	}
	return string((&longan.Event{Extra: extra}).AppendJSON(nil)) // all other fields are empty and left out
}

// parseExtra is the inverse of extraText.
func parseExtra(text string) (longan.Extra, error) {
	var extra longan.Extra
	if err := json.Unmarshal([]byte(text), &extra); err != nil {
		return nil, fmt.Errorf("unknown fields: %w", err)
	}
	return extra, nil
}
