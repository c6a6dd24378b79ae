package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/longan-edge/longan"
)

// Inspection is a look at a spool that no process has open. It changes nothing
// in the folder: where Open would repair, it says so, and gives out what Open
// would save. It holds the file's lock only while it reads, so an agent may
// start at any time; then its methods return ErrInUse.
type Inspection struct {
	dir, path string
	streams   []stream
	salvaged  []salvagedStream // of a damaged file, as many as streams
	damage    error
	noWitness error // why identity.json can't be used
	stats     Stats
}

// Inspect looks at the spool in dir. The error wraps [fs.ErrNotExist] when there
// is none and never was, or ErrInUse, or says why the file can't be read. A
// damaged spool is no error: see Damage.
func Inspect(dir string) (*Inspection, error) {
	in := &Inspection{dir: dir, path: filepath.Join(dir, FileName)}
	known, err := readIdentity(dir)
	if err != nil {
		in.noWitness = err
	}
	_, err = os.Stat(in.path)
	if errors.Is(err, fs.ErrNotExist) && !errors.Is(in.noWitness, fs.ErrNotExist) {
		in.damage = fmt.Errorf("%s is missing, though there was one", FileName)
		in.salvaged = salvage(scanFile(nil), known)
		in.takeSalvaged()
		in.count(known)
		return in, nil
	}
	if err != nil {
		return nil, fmt.Errorf("inspect spool: %w", err)
	}
	c, err := verify(in.path)
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return nil, ErrInUse
	case err != nil && !damaged(err):
		return nil, fmt.Errorf("inspect spool: %w", err)
	case err != nil:
		in.damage = err
	case known.ahead(c):
		in.damage = fmt.Errorf("%s is older than %s knows", FileName, IdentityName)
	default:
		in.streams = c.streams
	}
	if in.damage != nil {
		if err := in.salvage(known); err != nil {
			return nil, err
		}
	}
	in.count(known)
	return in, nil
}

// salvage finds what the next Open will save.
func (in *Inspection) salvage(known *identity) error {
	file, err := os.Open(in.path)
	if err != nil {
		return fmt.Errorf("inspect spool: %w", err)
	}
	defer file.Close()
	in.salvaged = salvage(scanFile(file), known)
	in.takeSalvaged()
	return nil
}

func (in *Inspection) takeSalvaged() {
	for i, s := range in.salvaged {
		st := stream{index: uint16(i), epoch: s.epoch}
		for l, lane := range s.lanes {
			st.lanes[l].LaneStats = LaneStats{Last: lane.last, Acked: lane.acked, Freed: lane.acked}
			for _, it := range lane.items {
				st.lanes[l].bytes += int64(it.block.size)
			}
		}
		in.streams = append(in.streams, st)
	}
}

// count fills in Stats.
func (in *Inspection) count(known *identity) {
	s := &Spool{dir: in.dir, path: in.path, streams: in.streams, wear: known.Wear}
	s.opts.Budget = 64 << 20 / 4 * 3 // as Options have it
	in.stats = s.Stats()
}

// Damage returns what is wrong with the file, and why identity.json can't be
// used, or nils.
func (in *Inspection) Damage() (file, witness error) { return in.damage, in.noWitness }

// Loss is what the next Open will not be able to save of a lane.
type Loss struct {
	Epoch    string
	Lane     longan.Lane
	Salvaged uint64 // events that the city does not have and that are there
	Lost     uint64 // those that are not
}

// Losses returns what is saved and lost of a damaged file, by epoch and lane,
// where there is anything of either.
func (in *Inspection) Losses() (all []Loss) {
	for _, st := range in.salvaged {
		for l, lane := range st.lanes {
			if lane.kept > 0 || lane.lost > 0 {
				all = append(all, Loss{st.epoch.String(), longan.Lane(l), lane.kept, lane.lost})
			}
		}
	}
	return all
}

// Stats returns what the spool takes of the disk; the budget is the default one.
func (in *Inspection) Stats() Stats { return in.stats }

// Epoch returns the epoch that was written last, or "" when none is known.
func (in *Inspection) Epoch() string {
	if len(in.streams) == 0 {
		return ""
	}
	return in.streams[len(in.streams)-1].epoch.String()
}

// Epochs returns the epochs with anything that the city does not have, the
// oldest first, and the one that was written last in any case.
func (in *Inspection) Epochs() (all []string) {
	for i := range in.streams {
		if st := &in.streams[i]; st.backlog() || i == len(in.streams)-1 {
			all = append(all, st.epoch.String())
		}
	}
	return all
}

// Lane returns where a lane of an epoch stands.
func (in *Inspection) Lane(epoch string, l longan.Lane) LaneStats {
	if i := in.index(epoch); i >= 0 {
		return in.streams[i].lanes[l].LaneStats
	}
	return LaneStats{}
}

func (in *Inspection) index(epoch string) int {
	return slices.IndexFunc(in.streams, func(st stream) bool { return st.epoch.String() == epoch })
}

// Read is Stream.Read. Of a damaged file it returns what can be saved; what is
// lost between that leaves no event here, for the board itself will report it.
func (in *Inspection) Read(epoch string, l longan.Lane, from uint64, events, size int) (out []Record, err error) {
	i := in.index(epoch)
	if i < 0 {
		return nil, nil
	}
	lane := in.streams[i].lanes[l]
	if from = max(from, lane.Acked+1); from > lane.Last {
		return nil, nil
	}
	take := taker{from: from, events: events, size: size}
	if in.damage != nil {
		err = in.readSalvaged(in.salvaged[i].lanes[l].items, &take)
	} else {
		err = in.readFile(in.streams[i].index, l, &take)
	}
	if err != nil {
		err = fmt.Errorf("read spool: %w", err)
	}
	return take.out, err
}

// taker gathers the records of a Read.
type taker struct {
	from         uint64
	events, size int
	out          []Record
}

// block takes the records of a block, and returns false when there are enough.
func (t *taker) block(b *block) (more bool, err error) {
	if b.last < t.from || b.kind == kindAck {
		return true, nil
	}
	records, err := b.records(new(inflater))
	if err != nil {
		return false, err
	}
	for _, r := range records {
		if r.Seq < t.from {
			continue
		}
		if t.size -= len(r.JSON); len(t.out) == t.events || (t.size < 0 && len(t.out) > 0) {
			return false, nil
		}
		t.out = append(t.out, r)
	}
	return true, nil
}

func (in *Inspection) readFile(index uint16, l longan.Lane, take *taker) error {
	return in.view(func(b *bolt.Bucket) error {
		c, prefix := b.Cursor(), lanePrefix(index, l)
		for k, v := seekBlock(c, prefix, blockKey(index, l, take.from)); bytes.HasPrefix(k, prefix); k, v = c.Next() {
			block, err := parseBlock(v)
			if err != nil {
				return err
			}
			if more, err := take.block(block); err != nil || !more {
				return err
			}
		}
		return nil
	})
}

func (in *Inspection) readSalvaged(items []salvagedItem, take *taker) error {
	items = slices.DeleteFunc(slices.Clone(items), func(it salvagedItem) bool {
		return it.gap.count > 0 || it.block.last < take.from
	})
	if len(items) == 0 {
		return nil
	}
	file, err := os.Open(in.path)
	if err != nil {
		return err
	}
	defer file.Close()
	found := &scan{file: file}
	for _, it := range items {
		text, err := found.read(it.block)
		if err != nil {
			return err
		}
		b, err := parseBlock(text)
		if err != nil { // it was read once: the file is being changed
			return err
		}
		if more, err := take.block(b); err != nil || !more {
			return err
		}
	}
	return nil
}

// view runs f in a read transaction of its own. What bbolt panics about is an
// error.
func (in *Inspection) view(f func(*bolt.Bucket) error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v: %w", p, errCorrupt)
		}
	}()
	db, err := bolt.Open(in.path, 0o600, &bolt.Options{
		Timeout: 2 * time.Second, ReadOnly: true, FreelistType: bolt.FreelistMapType, PageSize: pageSize,
	})
	if errors.Is(err, berrors.ErrTimeout) {
		return ErrInUse
	} else if err != nil {
		return err
	}
	err = db.View(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketName())
		if b == nil {
			return fmt.Errorf("no bucket: %w", errCorrupt)
		}
		return f(b)
	})
	return errors.Join(err, db.Close()) // not reached after a panic: bbolt may hold its locks then
}
