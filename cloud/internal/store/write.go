package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/longan-edge/longan"
)

// writeTx is a transaction of the one connection that writes.
type writeTx struct {
	store *Store
	tx    *sql.Tx
	ctx   context.Context // of the one call that owns this value; never ends, see writing
	now   int64
	found interned // for Store.known, once committed
	args  []any    // reused
	rows  int      // of events, inserted
}

// writing runs f in a transaction and commits it.
//
// The end of ctx is noticed while waiting for the connection and for other
// processes, and undoes the transaction; the statements do not look at it, for
// the driver starts a goroutine for every one that might be cancelled.
func (s *Store) writing(ctx context.Context, now time.Time, f func(*writeTx) error) error {
	if s.write == nil {
		return errReadOnly
	}
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer tx.Rollback()
	t := &writeTx{store: s, tx: tx, ctx: context.WithoutCancel(ctx), now: millis(now), found: newInterned()}
	if err := f(t); err != nil {
		return refused(err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	s.known.learn(&t.found)
	s.check.wrote(t.rows)
	return nil
}

// ErrRefused: the store can't take what it was given, however sound the disk is.
// Trying the same again is of no use.
var ErrRefused = errors.New("the store refuses it")

// refused adds ErrRefused to an error that is about the rows themselves.
func refused(err error) error {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		switch e.Code() & 0xff {
		case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG:
			return fmt.Errorf("%w: %w", ErrRefused, err)
		}
	}
	return err
}

func (t *writeTx) exec(stmt *sql.Stmt, args ...any) error {
	_, err := t.tx.StmtContext(t.ctx, stmt).ExecContext(t.ctx, args...)
	return err
}

// add is exec for an INSERT of one row; it returns the row's id.
func (t *writeTx) add(stmt *sql.Stmt, args ...any) (int64, error) {
	done, err := t.tx.StmtContext(t.ctx, stmt).ExecContext(t.ctx, args...)
	if err != nil {
		return 0, err
	}
	return done.LastInsertId()
}

func (t *writeTx) row(stmt *sql.Stmt, args ...any) *sql.Row {
	return t.tx.StmtContext(t.ctx, stmt).QueryRowContext(t.ctx, args...)
}

// query returns the statement for use with collect.
func (t *writeTx) query(stmt *sql.Stmt) queryFunc {
	return func(args ...any) (*sql.Rows, error) {
		return t.tx.StmtContext(t.ctx, stmt).QueryContext(t.ctx, args...)
	}
}

// insert stores events that the stream does not have.
func (t *writeTx) insert(st *stream, events []longan.Event) error {
	t.rows += len(events)
	for i, n := range insertRows {
		stmt := t.tx.StmtContext(t.ctx, t.store.stmts.insert[i])
		for len(events) >= n {
			t.args = t.args[:0]
			for i := range n {
				if err := t.appendRow(st, &events[i]); err != nil {
					return err
				}
			}
			if _, err := stmt.ExecContext(t.ctx, t.args...); err != nil {
				return err
			}
			events = events[n:]
		}
	}
	return nil
}

// appendRow appends the parameters of an event's row to t.args.
func (t *writeTx) appendRow(st *stream, e *longan.Event) error {
	kind, err := t.kindID(e)
	if err != nil {
		return err
	}
	boot, err := t.bootID(bootKey{st.device, e.Boot}, e.Time, e.Clock, e.Mono)
	if err != nil {
		return err
	}
	var at, data any
	if !e.Time.IsZero() {
		at = millis(e.Time)
	}
	if len(e.Data) > 0 {
		data = string(e.Data)
	}
	t.args = append(t.args, st.id, int64(st.lane), int64(e.Seq), kind, boot, at,
		max(0, e.Mono.Milliseconds()), data, extraText(e.Extra), t.now)
	return nil
}

// stream is a row of streams.
type stream struct {
	streamKey
	id int64
	progress
}

// progress is how far a stream is complete.
type progress struct {
	acked     uint64 // all up to it are stored or in a hole
	max       uint64 // the highest stored
	oldest    uint64 // the highest Batch.Oldest
	conflicts int
}

// stream returns the row of a stream, and makes it and its device where they
// are new.
func (t *writeTx) stream(k streamKey) (*stream, error) {
	st := &stream{streamKey: k}
	if err := t.exec(t.store.stmts.seen, string(k.device), t.now); err != nil {
		return nil, err
	}
	err := t.row(t.store.stmts.stream, string(k.device), k.epoch, int64(k.lane)).
		Scan(&st.id, &st.acked, &st.max, &st.oldest, &st.conflicts)
	if errors.Is(err, sql.ErrNoRows) {
		st.id, err = t.add(t.store.stmts.addStream, string(k.device), k.epoch, int64(k.lane), t.now)
	}
	return st, err
}
