package spool

import (
	"bytes"
	"fmt"
	"slices"

	bolt "go.etcd.io/bbolt"

	"github.com/longan-edge/longan"
)

// Record is one event as the spool keeps it.
type Record struct {
	Seq  uint64
	JSON []byte // longan.Event.AppendJSON
}

// Read returns the records of a lane from seq on that the city has not
// acknowledged, in order: at most events of them, and no more than size bytes of JSON
// except that the first always comes. A record whose checksum fails ends the
// read with an error behind the good ones.
func (s *Spool) Read(l longan.Lane, seq uint64, events, size int) ([]Record, error) {
	seq = max(seq, s.Lane(l).Acked+1)
	var records []Record
	err := s.db.View(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketName())
		if b == nil {
			return fmt.Errorf("no bucket: %w", errCorrupt)
		}
		prefix := []byte{keyRecord, byte(l)}
		c := b.Cursor()
		total := 0
		for k, v := c.Seek(recordKey(l, seq)); k != nil && bytes.HasPrefix(k, prefix) && len(records) < events; k, v = c.Next() {
			_, n, err := parseRecordKey(k)
			if err != nil {
				return err
			}
			r, err := decodeRecord(k, v)
			if err != nil {
				return err
			}
			if total += len(r.json); total > size && len(records) > 0 {
				return nil
			}
			records = append(records, Record{Seq: n, JSON: slices.Clone(r.json)})
		}
		return nil
	})
	if err != nil {
		return records, fmt.Errorf("read spool: %w", err)
	}
	return records, nil
}
