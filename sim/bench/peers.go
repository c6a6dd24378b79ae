package bench

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"sync"

	bolt "go.etcd.io/bbolt"
	_ "modernc.org/sqlite" // the driver "sqlite", free of cgo

	"github.com/longan-edge/longan"
)

// sqliteStore is what a careful program does with SQLite: WAL, synchronous FULL,
// and everything that is waiting in one transaction.
type sqliteStore struct {
	db, reader *sql.DB // db of the writer alone
	insert     *sql.Stmt
	remove     *sql.Stmt
	requests   chan sqliteRequest
	writer     sync.WaitGroup
}

// sqliteRequest is an event to insert, or the last id to delete.
type sqliteRequest struct {
	body []byte
	upTo int64
	done chan error // receives exactly one value
}

// sqliteGroup bounds a transaction; our own bound is the same.
const sqliteGroup = 512

func openSQLite(path string) (store, error) {
	u := url.URL{Scheme: "file", Opaque: path, RawQuery: "_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(10000)"}
	db, err := sql.Open("sqlite", u.String())
	if err != nil {
		return nil, fmt.Errorf("open sqlite: %w", err)
	}
	db.SetMaxOpenConns(1)
	reader, err := sql.Open("sqlite", u.String())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open sqlite: %w", err), db.Close())
	}
	reader.SetMaxOpenConns(1)
	s := &sqliteStore{db: db, reader: reader, requests: make(chan sqliteRequest, sqliteGroup)}
	if _, err = db.Exec(`CREATE TABLE IF NOT EXISTS queue (id INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL)`); err == nil {
		s.insert, err = db.Prepare(`INSERT INTO queue (body) VALUES (?)`)
	}
	if err == nil {
		s.remove, err = db.Prepare(`DELETE FROM queue WHERE id <= ?`)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open sqlite: %w", err), reader.Close(), db.Close())
	}
	s.writer.Go(s.write)
	return s, nil
}

// write commits whatever waits, together, until requests is closed.
func (s *sqliteStore) write() {
	for first := range s.requests {
		group := []sqliteRequest{first}
	more:
		for len(group) < sqliteGroup {
			select {
			case r, ok := <-s.requests:
				if !ok {
					break more
				}
				group = append(group, r)
			default:
				break more
			}
		}
		err := s.commit(group)
		for _, r := range group {
			r.done <- err
		}
	}
}

func (s *sqliteStore) commit(group []sqliteRequest) error {
	tx, err := s.db.Begin()
	if err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	defer tx.Rollback() // does nothing after a commit
	insert, remove := tx.Stmt(s.insert), tx.Stmt(s.remove)
	for _, r := range group {
		if r.body != nil {
			_, err = insert.Exec(r.body)
		} else {
			_, err = remove.Exec(r.upTo)
		}
		if err != nil {
			return fmt.Errorf("sqlite: %w", err)
		}
	}
	return tx.Commit()
}

func (s *sqliteStore) put(_ context.Context, e *longan.Event) error {
	return s.request(sqliteRequest{body: e.AppendJSON(nil)})
}

func (s *sqliteStore) request(r sqliteRequest) error {
	r.done = make(chan error, 1)
	s.requests <- r
	return <-r.done
}

func (s *sqliteStore) read(ctx context.Context, most int) (n int, free func() error, err error) {
	rows, err := s.reader.QueryContext(ctx, `SELECT id, body FROM queue ORDER BY id LIMIT ?`, most)
	if err != nil {
		return 0, nil, fmt.Errorf("sqlite: %w", err)
	}
	defer rows.Close()
	var last int64
	for rows.Next() {
		var body []byte
		if err := rows.Scan(&last, &body); err != nil {
			return 0, nil, fmt.Errorf("sqlite: %w", err)
		}
		n++
	}
	return n, func() error { return s.request(sqliteRequest{upTo: last}) }, rows.Err()
}

func (s *sqliteStore) close() error {
	close(s.requests)
	s.writer.Wait()
	return errors.Join(s.insert.Close(), s.remove.Close(), s.reader.Close(), s.db.Close())
}

// naiveStore is bbolt as its examples show it: a transaction an event, another to
// delete it.
type naiveStore struct{ db *bolt.DB }

func naiveBucket() []byte { return []byte("queue") }

func openNaive(path string) (store, error) {
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		return nil, fmt.Errorf("open bbolt: %w", err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(naiveBucket())
		return err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open bbolt: %w", err), db.Close())
	}
	return &naiveStore{db}, nil
}

func (s *naiveStore) put(_ context.Context, e *longan.Event) error {
	body := e.AppendJSON(nil)
	return s.db.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket(naiveBucket())
		n, err := b.NextSequence()
		if err != nil {
			return err
		}
		return b.Put(binary.BigEndian.AppendUint64(nil, n), body)
	})
}

func (s *naiveStore) read(_ context.Context, most int) (n int, free func() error, err error) {
	var keys [][]byte
	err = s.db.View(func(tx *bolt.Tx) error {
		c := tx.Bucket(naiveBucket()).Cursor()
		for k, v := c.First(); k != nil && len(keys) < most; k, v = c.Next() {
			_ = append([]byte(nil), v...) // it is to be sent
			keys = append(keys, append([]byte(nil), k...))
		}
		return nil
	})
	return len(keys), func() error {
		for _, k := range keys {
			if err := s.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(naiveBucket()).Delete(k) }); err != nil {
				return err
			}
		}
		return nil
	}, err
}

func (s *naiveStore) close() error { return s.db.Close() }
