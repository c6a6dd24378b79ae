// Package store keeps what the boards sent: every event exactly once, how far
// each stream is complete, and the holes in it. It is one SQLite file.
//
// What an ack promises rests on three settings, checked when the file is
// opened: WAL journal, synchronous=FULL (the commit returns after fsync of the
// WAL) and one writer connection. A process killed at any moment, or a power
// cut on a disk that honours fsync, loses nothing that [Store.Ingest] returned
// without an error.
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"path/filepath"
	"time"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite", free of cgo
)

//go:embed migrations/*.sql
var migrations embed.FS

// readers is the size of the read pool: pages, API and checks.
const readers = 4

// Options are the settings of [Open]; the zero value is usable.
type Options struct {
	Log         *slog.Logger  // nil is silent
	BusyTimeout time.Duration // how long to wait for another process's lock; 0 is 5 s
	ReadOnly    bool          // no migration, no writes: for a look at a running city's file
}

// Store is an open store. It is safe for concurrent use.
type Store struct {
	write *sql.DB // one connection; nil when read-only
	read  *sql.DB
	log   *slog.Logger

	turn  chan struct{} // held by the one that writes; capacity 1
	stmts statements    // of write
	known interned      // of the one that writes
	check *checkpointer // nil when read-only
}

// errReadOnly is what writes to a store opened with Options.ReadOnly return.
var errReadOnly = errors.New("store is open read-only")

// Open opens the store in the file at path, creates it where it is missing, and
// brings its schema up to date. The folder must exist.
func Open(ctx context.Context, path string, opts Options) (*Store, error) {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.BusyTimeout == 0 {
		opts.BusyTimeout = 5 * time.Second
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	s := &Store{log: opts.Log, turn: make(chan struct{}, 1), known: newInterned()}
	if !opts.ReadOnly {
		if err := s.openWriter(ctx, abs, opts); err != nil {
			return nil, errors.Join(fmt.Errorf("open store %s: %w", path, err), s.Close())
		}
	}
	if s.read, err = openDB(abs, opts, "deferred", "query_only(1)"); err == nil {
		s.read.SetMaxOpenConns(readers)
		err = s.read.PingContext(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open store %s: %w", path, err), s.Close())
	}
	return s, nil
}

func (s *Store) openWriter(ctx context.Context, path string, opts Options) (err error) {
	if s.write, err = openDB(path, opts, "immediate", "journal_mode(WAL)", fmt.Sprintf("wal_autocheckpoint(%d)", autocheckpointPages)); err != nil {
		return err
	}
	s.write.SetMaxOpenConns(1)
	s.write.SetMaxIdleConns(1)
	var journal string
	var synchronous, foreignKeys int
	for pragma, dst := range map[string]any{
		"journal_mode": &journal, "synchronous": &synchronous, "foreign_keys": &foreignKeys,
	} {
		if err := s.write.QueryRowContext(ctx, "PRAGMA "+pragma).Scan(dst); err != nil {
			return err
		}
	}
	if journal != "wal" || synchronous != 2 || foreignKeys != 1 {
		return fmt.Errorf("journal_mode=%s synchronous=%d foreign_keys=%d: want wal, 2, 1: the file system must allow shared memory files",
			journal, synchronous, foreignKeys)
	}
	if err := migrate(ctx, s.write, opts.Log); err != nil {
		return err
	}
	if err := s.stmts.prepare(ctx, s.write); err != nil {
		return err
	}
	db, err := openDB(path, opts, "deferred")
	if err == nil {
		s.check = startCheckpointer(db)
	}
	return err
}

func openDB(path string, opts Options, txlock string, pragmas ...string) (*sql.DB, error) {
	q := url.Values{}
	q.Add("_pragma", fmt.Sprintf("busy_timeout(%d)", opts.BusyTimeout.Milliseconds()))
	for _, p := range pragmas {
		q.Add("_pragma", p)
	}
	q.Add("_pragma", "synchronous(FULL)")
	q.Add("_pragma", "foreign_keys(1)")
	q.Set("_txlock", txlock)
	if opts.ReadOnly {
		q.Set("mode", "ro")
	}
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: q.Encode()}
	return sql.Open("sqlite", u.String())
}

// migrate applies the embedded migrations that the file does not have yet.
func migrate(ctx context.Context, db *sql.DB, log *slog.Logger) error {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, dir,
		goose.WithLogger(goose.NopLogger()), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	done, err := p.Up(ctx)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	for _, m := range done {
		log.Info("store migrated", "version", m.Source.Version, "took", m.Duration)
	}
	return nil
}

// Close ends all connections. Commits already returned are safe without it.
func (s *Store) Close() error {
	var errs []error
	s.turn <- struct{}{} // soon: whoever has it is in a transaction
	defer func() { <-s.turn }()
	for _, db := range []*sql.DB{s.read, s.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	if s.check != nil {
		errs = append(errs, s.check.close())
	}
	return errors.Join(errs...)
}

func millis(t time.Time) int64 { return t.UnixMilli() }

func fromMillis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
