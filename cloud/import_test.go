package cloud

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/cloud/internal/store"
)

const importEpoch = "9f86d081884c7d65"

// boardExport is an export of n events of the state lane, in batches of size.
func boardExport(t testing.TB, device longan.DeviceID, n, size int, typ string) []byte {
	t.Helper()
	var out bytes.Buffer
	x, err := longan.NewExportWriter(&out, longan.ExportHead{Device: device, Time: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	for from := 0; from < n; from += size {
		var raw [][]byte
		for i := from; i < min(n, from+size); i++ {
			e := longan.Event{Seq: uint64(i + 1), Type: typ, Point: "front-door"}
			raw = append(raw, e.AppendJSON(nil))
		}
		b := &longan.Batch{Device: device, Epoch: importEpoch, Lane: longan.State, Oldest: 1}
		if err := x.Batch(b, raw); err != nil {
			t.Fatal(err)
		}
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// importStore returns a new store and its path.
func importStore(t testing.TB) (*Store, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), StoreName)
	st, err := store.Open(t.Context(), path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st, path
}

func importBytes(t testing.TB, st *Store, data []byte) *Import {
	t.Helper()
	im, err := ImportExport(t.Context(), st, bytes.NewReader(data), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return im
}

func only(t testing.TB, im *Import) DeviceImport {
	t.Helper()
	if len(im.Devices) != 1 {
		t.Fatalf("devices %+v, want one", im.Devices)
	}
	return im.Devices[0]
}

func TestImport(t *testing.T) {
	st, path := importStore(t)
	const device = "621202107-01"
	data := boardExport(t, device, 1200, 400, longan.DoorOpened)
	if got, want := only(t, importBytes(t, st, data)), (DeviceImport{Device: device, New: 1200}); got != want {
		t.Errorf("first import %+v, want %+v", got, want)
	}
	if got, want := only(t, importBytes(t, st, data)), (DeviceImport{Device: device, Duplicates: 1200}); got != want {
		t.Errorf("second import %+v, want %+v", got, want)
	}
	// The same numbers with other events: a clone.
	if got, want := only(t, importBytes(t, st, boardExport(t, device, 3, 3, longan.DoorClosed))), (DeviceImport{Device: device, Conflicts: 3}); got != want {
		t.Errorf("import of a clone %+v, want %+v", got, want)
	}
	if im := importBytes(t, st, boardExport(t, device, 0, 1, longan.DoorOpened)); len(im.Devices) > 0 || im.Damaged > 0 || im.Head.Device != device {
		t.Errorf("import of nothing: %+v", im)
	}
	streams, err := Audit(t.Context(), path)
	if err != nil || len(streams) != 1 || !streams[0].Contiguous || streams[0].Count != 1200 || streams[0].Acked != 1200 {
		t.Errorf("store %+v, %v", streams, err)
	}
}

// TestImportDamaged: what is whole is stored, what is not is said, and the whole
// file mends it later.
func TestImportDamaged(t *testing.T) {
	st, path := importStore(t)
	data := boardExport(t, "621202107-01", 200, 20, longan.DoorOpened)
	bad := bytes.Clone(data)
	lines := bytes.SplitAfter(bad, []byte("\n"))
	lines[4][50] ^= 1 // events 61 to 80
	im := importBytes(t, st, bytes.Join(lines[:9], nil))
	if d := only(t, im); d.New != 140 || im.Damaged != 2 || !strings.Contains(im.Damage[0], "line 5") || !strings.Contains(im.Damage[1], "cut off") {
		t.Errorf("import %+v; want 140 events, line 5 and the end damaged", im)
	}
	streams, err := Audit(t.Context(), path)
	if err != nil || streams[0].Acked != 60 || streams[0].Lost != 0 {
		t.Errorf("store %+v, %v; want it to wait for 61", streams, err)
	}
	if d := only(t, importBytes(t, st, data)); d.New != 60 || d.Duplicates != 140 {
		t.Errorf("import of the whole file: %+v", d)
	}
	streams, err = Audit(t.Context(), path)
	if err != nil || streams[0].Acked != 200 || !streams[0].Contiguous || streams[0].Lost != 0 {
		t.Errorf("store %+v, %v", streams, err)
	}
	if im := importBytes(t, st, bytes.Repeat([]byte("no export\n"), 100)); im.Damaged != 101 || len(im.Damage) != maxDamage || len(im.Devices) > 0 {
		t.Errorf("import of something else: %d damages, %d told, %+v", im.Damaged, len(im.Damage), im.Devices)
	}
}

// TestImportFromABadStick: what was read before the stick failed is stored.
func TestImportFromABadStick(t *testing.T) {
	st, _ := importStore(t)
	data := boardExport(t, "621202107-01", 1000, 100, longan.DoorOpened)
	gone := errors.New("input/output error")
	im, err := ImportExport(t.Context(), st, io.MultiReader(bytes.NewReader(data[:len(data)/2]), failing{gone}), time.Now)
	if !errors.Is(err, gone) || only(t, im).New == 0 {
		t.Errorf("import %+v, %v", im, err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// TestImportBesideACity: another process stores events meanwhile, and neither
// keeps the other from it.
func TestImportBesideACity(t *testing.T) {
	city, path := importStore(t)
	st, err := OpenForImport(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	data := boardExport(t, "621202107-01", 1500, 400, longan.DoorOpened)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	stored, slowest := uint64(0), time.Duration(0)
	running.Go(func() {
		every := time.NewTicker(5 * time.Millisecond) // 200 alarms a second
		defer every.Stop()
		for ctx.Err() == nil {
			<-every.C
			e := longan.Event{Seq: stored + 1, Type: longan.AlarmRaised, Point: "panic-button"}
			b := &longan.Batch{Device: "621202107-02", Epoch: importEpoch, Lane: longan.Alarm, Oldest: 1, Events: []longan.Event{e}}
			begin := time.Now()
			if _, err := city.Ingest(t.Context(), []*longan.Batch{b}, time.Now()); err != nil {
				t.Errorf("the city can't store: %v", err)
				return
			}
			stored++
			slowest = max(slowest, time.Since(begin))
		}
	})
	if d := only(t, importBytes(t, st, data)); d.New != 1500 {
		t.Errorf("import %+v", d)
	}
	stop()
	running.Wait()
	t.Logf("%d alarms beside 1500 imported events, the slowest took %v", stored, slowest)
	streams, err := Audit(t.Context(), path)
	if err != nil || len(streams) != 2 || streams[0].Count != 1500 || streams[1].Count != stored || stored == 0 {
		t.Errorf("store %+v, %v; want 1500 and %d", streams, err, stored)
	}
}

func TestImportNeedsAStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), StoreName)
	if _, err := OpenForImport(t.Context(), path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no store: %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a store was made: %v", err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenForImport(t.Context(), path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty file: %v", err)
	}
}

// TestImportHostile: what a valid file of an ill-meaning writer says costs no more
// than its size.
func TestImportHostile(t *testing.T) {
	st, path := importStore(t)
	var out bytes.Buffer
	x, err := longan.NewExportWriter(&out, longan.ExportHead{Device: "621202107-01"})
	if err != nil {
		t.Fatal(err)
	}
	const most = 1<<53 - 1
	gap := longan.Event{Seq: most, Type: longan.SpoolGap, Data: []byte(`{"lane":"state","from":1,"to":9007199254740991,"count":9007199254740991,"reason":"full"}`)}
	for i, oldest := range []uint64{1, most, 0, 1} {
		b := &longan.Batch{Device: "621202107-01", Epoch: importEpoch + strings.Repeat("a", i), Lane: longan.State, Oldest: oldest}
		if err := x.Batch(b, [][]byte{gap.AppendJSON(nil)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	if d := only(t, importBytes(t, st, out.Bytes())); d.New != 4 {
		t.Errorf("import %+v, want 4 events", d)
	}
	if d := only(t, importBytes(t, st, out.Bytes())); d.New != 0 || d.Duplicates != 4 {
		t.Errorf("second import %+v", d)
	}
	if _, err := Audit(t.Context(), path); err != nil {
		t.Error(err)
	}
}
