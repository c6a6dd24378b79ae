package cloud

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/cloud/internal/store"
)

// Import is what an export, see [longan.ExportReader], brought into the store.
type Import struct {
	Head    longan.ExportHead // zero when its line is damaged
	Devices []DeviceImport    // by id; usually one
	// Damage says, a line each, what of the file could not be read; no more than
	// the first maxDamage. Damaged counts them all.
	Damage  []string
	Damaged int
}

// DeviceImport is what an export brought of one device.
type DeviceImport struct {
	Device     longan.DeviceID
	New        uint64 // events that the store did not have
	Duplicates uint64 // those it had
	Conflicts  uint64 // whose number another event has: not stored
}

const (
	maxDamage = 10
	// importEvents bounds a transaction, reached and not kept to: a batch is not
	// divided. A running city waits for it no longer than for its own.
	importEvents = 400
	// What a running city holds the store for is over soon; see store.Options.
	importTries = 10
	importRest  = time.Second // the longest pause between two transactions
)

// OpenForImport opens the store in the file at path, which must be there, for
// ImportExport. A city may run on it.
func OpenForImport(ctx context.Context, path string) (*Store, error) {
	if info, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	} else if info.Size() == 0 {
		return nil, fmt.Errorf("open store %s: %w: the file is empty", path, fs.ErrNotExist)
	}
	return store.Open(ctx, path, store.Options{})
}

// ImportExport stores the events of an export. It may be called again with the
// same export, and the network may bring the same events before or after: each
// is stored once. Of a damaged export it stores what is whole. The error is of
// the store, of r, or of ctx; what was stored until then is counted, and stays.
//
// Nothing yet proves who wrote an export: whoever can make one can make events of
// any device.
func ImportExport(ctx context.Context, st *Store, r io.Reader, now func() time.Time) (*Import, error) {
	im := &importer{store: st, now: now, out: &Import{}}
	x := longan.NewExportReader(r)
	for {
		b, err := x.Next()
		switch {
		case err == nil:
			im.group = append(im.group, b)
			if im.events += len(b.Events); im.events >= importEvents {
				err = im.commit(ctx)
			}
		case err == io.EOF:
			im.out.Head, _ = x.Head()
			return im.out, im.commit(ctx)
		case errors.Is(err, longan.ErrMalformed), errors.Is(err, longan.ErrTooLarge), errors.Is(err, longan.ErrVersion):
			if im.out.Damaged++; len(im.out.Damage) < maxDamage {
				im.out.Damage = append(im.out.Damage, err.Error())
			}
			err = ctx.Err()
		default:
			err = errors.Join(fmt.Errorf("read export: %w", err), im.commit(ctx))
		}
		if err != nil {
			return im.out, err
		}
	}
}

type importer struct {
	store  *Store
	now    func() time.Time
	out    *Import
	group  []*longan.Batch
	events int
}

// commit stores the group, and rests for as long as that took, so that a running
// city comes in between.
func (im *importer) commit(ctx context.Context) error {
	if len(im.group) == 0 {
		return nil
	}
	var results []store.Result
	var began time.Time
	for try := 1; ; try++ {
		var err error
		began = time.Now()
		if results, err = im.store.Ingest(ctx, im.group, im.now()); err == nil {
			break
		}
		if try == importTries || ctx.Err() != nil {
			return fmt.Errorf("import: %w", err)
		}
		rest(ctx, importRest)
	}
	for i := range results {
		im.out.add(&results[i])
	}
	im.group, im.events = nil, 0
	rest(ctx, min(time.Since(began), importRest))
	return ctx.Err()
}

// rest waits for d or until ctx ends.
func rest(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

func (im *Import) add(r *store.Result) {
	i, ok := slices.BinarySearchFunc(im.Devices, r.Device, func(d DeviceImport, id longan.DeviceID) int {
		return cmp.Compare(d.Device, id)
	})
	if !ok {
		im.Devices = slices.Insert(im.Devices, i, DeviceImport{Device: r.Device})
	}
	d := &im.Devices[i]
	d.New += uint64(len(r.New))
	d.Duplicates += uint64(r.Duplicates)
	d.Conflicts += uint64(len(r.Conflicts))
}
