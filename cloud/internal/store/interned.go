package store

import (
	"database/sql"
	"errors"
	"maps"
	"time"

	"github.com/longan-edge/longan"
)

// kind is what many events have in common; a row of kinds.
type kind struct{ typ, point, clock string }

// bootKey names a running of a board.
type bootKey struct {
	device longan.DeviceID
	boot   string
}

// bootRow is what a writer knows of a row of boots. The quality may have become
// better behind its back, by another process.
type bootRow struct {
	id      int64
	quality quality
}

// interned holds the row ids of kinds and boots in memory. Whoever writes owns
// it.
type interned struct {
	kinds map[kind]int64
	boots map[bootKey]bootRow
}

// maxInterned bounds each map of an interned: a board that invents a point for
// every event costs rows, but no memory.
const maxInterned = 20_000

func newInterned() interned {
	return interned{map[kind]int64{}, map[bootKey]bootRow{}}
}

// learn takes over what a transaction has found, once it is committed.
func (n *interned) learn(found *interned) {
	if len(n.kinds)+len(found.kinds) > maxInterned {
		clear(n.kinds)
	}
	if len(n.boots)+len(found.boots) > maxInterned {
		clear(n.boots)
	}
	maps.Copy(n.kinds, found.kinds)
	maps.Copy(n.boots, found.boots)
}

// kindID returns the row of the event's kind, made where it is new.
func (t *writeTx) kindID(e *longan.Event) (int64, error) {
	k := kind{e.Type, e.Point, e.Clock}
	if id, ok := t.store.known.kinds[k]; ok {
		return id, nil
	}
	if id, ok := t.found.kinds[k]; ok {
		return id, nil
	}
	var id int64
	err := t.row(t.store.stmts.kind, k.typ, k.point, k.clock).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		id, err = t.add(t.store.stmts.addKind, k.typ, k.point, k.clock)
	}
	if err == nil {
		t.found.kinds[k] = id
	}
	return id, err
}

// bootID returns the row of a boot, made where it is new, and takes what at and
// clock, read at mono since the boot, tell of when it began. It returns nil for
// the boot "".
func (t *writeTx) bootID(k bootKey, at time.Time, clock string, mono time.Duration) (any, error) {
	if k.boot == "" {
		return nil, nil
	}
	b, ok := t.found.boots[k]
	if !ok {
		b, ok = t.store.known.boots[k]
	}
	if !ok {
		err := t.row(t.store.stmts.boot, string(k.device), k.boot).Scan(&b.id, &b.quality)
		if errors.Is(err, sql.ErrNoRows) {
			b.id, err = t.add(t.store.stmts.addBoot, string(k.device), k.boot, t.now)
		}
		if err != nil {
			return nil, err
		}
		t.found.boots[k] = b
	}
	if q := qualityOf(clock); q > b.quality && !at.IsZero() {
		if err := t.exec(t.store.stmts.better, int(q), millis(at)-mono.Milliseconds(), t.now, b.id); err != nil {
			return nil, err
		}
		b.quality = q
		t.found.boots[k] = b
	}
	return b.id, nil
}
