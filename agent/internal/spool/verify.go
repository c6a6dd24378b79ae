package spool

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/longan-edge/longan"
)

// content is what opening a spool learns from its file.
type content struct {
	head    head
	streams []stream // oldest first, the one of head last
	left    map[string]leftBehind
	entries map[uint16]epochEntry // of earlier streams
	tail    epochEntry            // of the one that is being written
}

// leftStates returns the states alone.
func (c *content) leftStates() map[string]longan.PointState {
	states := map[string]longan.PointState{}
	for key, l := range c.left {
		states[key] = l.state
	}
	return states
}

// verify walks the whole file and checks every block. bbolt panics on damaged
// pages, and a truncated file is a bus error: both become an error here.
func verify(path string) (c *content, err error) {
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if info.Size() == 0 { // bbolt would take it for a new file
		return nil, fmt.Errorf("file is empty: %w", errCorrupt)
	}
	if err := checkMetas(path); err != nil {
		return nil, err
	}
	if err := checkTree(path); err != nil {
		return nil, err
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v: %w", p, errCorrupt)
		}
	}()
	options := bolt.Options{Timeout: 2 * time.Second, ReadOnly: true, FreelistType: bolt.FreelistMapType, PageSize: pageSize}
	db, err := bolt.Open(path, 0o600, &options)
	if err != nil {
		return nil, err
	}
	c, err = readContent(db)
	return c, errors.Join(err, db.Close()) // not reached after a panic: bbolt may hold its locks then
}

// checkMetas checks the two meta pages that bbolt writes in turn. When the newer
// one is bad bbolt goes on from the older one, and what the last commit accepted
// would be gone in silence.
func checkMetas(path string) error {
	const (
		metaAt   = 16 // behind the page's header
		metaSize = 56 // up to its FNV-64a
	)
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	var pages [2 * pageSize]byte
	if _, err := io.ReadFull(f, pages[:]); err != nil {
		return fmt.Errorf("meta pages: %v: %w", err, errCorrupt)
	}
	for at := metaAt; at < len(pages); at += pageSize {
		meta := pages[at : at+metaSize]
		sum := fnv.New64a()
		sum.Write(meta)
		if sum.Sum64() != binary.NativeEndian.Uint64(pages[at+metaSize:]) {
			return fmt.Errorf("meta page: checksum: %w", errCorrupt)
		}
	}
	return nil
}

// readContent reads every key, checks every block, and folds the states.
func readContent(db *bolt.DB) (*content, error) {
	c := &content{left: map[string]leftBehind{}, entries: map[uint16]epochEntry{}}
	err := db.View(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketName())
		if b == nil {
			return fmt.Errorf("no bucket: %w", errCorrupt)
		}
		keys := 0
		return b.ForEach(func(k, v []byte) error {
			if keys++; keys%(64*forgetEvery) == 0 {
				defer forget(tx)
			}
			return c.take(k, v)
		})
	})
	if err != nil {
		return nil, err
	}
	if c.head == (head{}) {
		return nil, fmt.Errorf("no head: %w", errCorrupt)
	}
	c.stream(c.head.stream)
	slices.SortFunc(c.streams, func(a, b stream) int { return cmp.Compare(c.rank(a), c.rank(b)) })
	for i := range c.streams {
		st := &c.streams[i]
		if st.index == c.head.stream {
			st.epoch = c.head.epoch
		}
		if st.epoch == (epochID{}) {
			return nil, fmt.Errorf("stream %d has no epoch: %w", st.index, errCorrupt)
		}
		entry := c.entries[st.index]
		if st.index == c.head.stream {
			entry = c.tail
		}
		for l := range st.lanes {
			lane := &st.lanes[l]
			if lane.Acked > lane.Last && st.index == c.head.stream {
				return nil, fmt.Errorf("lane %v: acknowledged to %d, last is %d: %w", longan.Lane(l), lane.Acked, lane.Last, errCorrupt)
			} else if lane.Acked > lane.Last { // an earlier epoch keeps no last block
				lane.Last, lane.Freed = lane.Acked, lane.Acked
			}
			if lane.Last != entry.lasts[l] || st.epoch != entry.epoch {
				return nil, fmt.Errorf("lane %v of %v ends with %d, not %d: %w", longan.Lane(l), st.epoch, lane.Last, entry.lasts[l], errCorrupt)
			}
		}
	}
	return c, nil
}

// rank orders streams by age: the one that is being written is the youngest.
func (c *content) rank(st stream) int {
	if st.index == c.head.stream {
		return 1 << 16
	}
	return int(st.index)
}

// stream returns the stream of an index, which is made where it is new.
func (c *content) stream(index uint16) *stream {
	for i := range c.streams {
		if c.streams[i].index == index {
			return &c.streams[i]
		}
	}
	c.streams = append(c.streams, stream{index: index})
	return &c.streams[len(c.streams)-1]
}

// take reads one key. Keys come in order: what there is of a stream besides its
// blocks stands before them.
func (c *content) take(k, v []byte) (err error) {
	switch k[0] {
	case keyHead:
		c.head, err = parseHead(v)
	case keyAcked:
		b, err := parseBlock(v)
		if err != nil {
			return err
		}
		if len(k) != 4 || b.kind != kindAck || b.lane != longan.Lane(k[3]) {
			return fmt.Errorf("key %x: %w", k, errCorrupt)
		}
		lane := &c.stream(binary.BigEndian.Uint16(k[1:])).lanes[b.lane]
		lane.Acked, lane.stored = b.first, b.first
	case keyState:
		left, err := parseLeft(string(k[1:]), v)
		if err != nil {
			return err
		}
		c.leave(string(k[1:]), left)
	case keyEpoch:
		if len(k) != 3 {
			return fmt.Errorf("key %x: %w", k, errCorrupt)
		}
		index := binary.BigEndian.Uint16(k[1:])
		c.entries[index], err = parseEpochEntry(v)
		c.stream(index).epoch = c.entries[index].epoch
	case keyTail:
		c.tail, err = parseEpochEntry(v)
	case keyBlock:
		return c.takeBlock(k, v)
	default:
		return fmt.Errorf("key %x: %w", k, errCorrupt)
	}
	return err
}

func (c *content) takeBlock(k, v []byte) error {
	index, l, first, err := parseBlockKey(k)
	if err != nil {
		return err
	}
	b, err := parseBlock(v)
	if err != nil {
		return err
	}
	st := c.stream(index)
	epoch := st.epoch
	if index == c.head.stream {
		epoch = c.head.epoch
	}
	if b.epoch != epoch || b.lane != l || b.first != first || b.kind == kindAck {
		return fmt.Errorf("block at %x is another's: %w", k, errCorrupt)
	}
	lane := &st.lanes[l]
	if lane.Last == 0 {
		lane.Freed = first - 1
	} else if first != lane.Last+1 {
		return fmt.Errorf("lane %v: %d follows %d: %w", l, first, lane.Last, errCorrupt)
	}
	lane.Last = b.last
	lane.bytes += blockCost(len(v))
	return b.eachState(func(key string, state longan.PointState) error {
		c.leave(key, leftBehind{state, b.run, b.ord})
		return nil
	})
}

// leave keeps the newest state of a key.
func (c *content) leave(key string, l leftBehind) {
	if old, ok := c.left[key]; !ok || !old.after(l) {
		c.left[key] = l
	}
}
