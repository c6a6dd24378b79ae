package store

import (
	"testing"
	"time"

	"github.com/longan-edge/longan"
)

func TestConflicts(t *testing.T) {
	s, err := Open(t.Context(), t.TempDir()+"/city.db", Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	now := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	ingest := func(device longan.DeviceID, typ string, at time.Time) {
		t.Helper()
		b := &longan.Batch{Device: device, Epoch: "e", Lane: longan.State, Oldest: 1, Events: []longan.Event{{Seq: 1, Type: typ}, {Seq: 2, Type: typ}}}
		if _, err := s.Ingest(t.Context(), []*longan.Batch{b}, at); err != nil {
			t.Fatal(err)
		}
	}
	ingest("621202104-01", longan.DoorOpened, now)
	ingest("621202105-01", longan.DoorOpened, now)
	if all, err := s.Conflicts(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("without any: got %+v, %v", all, err)
	}
	ingest("621202104-01", longan.DoorClosed, now.Add(time.Minute))
	ingest("621202104-01", longan.DoorClosed, now.Add(time.Hour)) // the same again
	want := DeviceConflicts{"621202104-01", 2, now.Add(time.Minute)}
	if all, err := s.Conflicts(t.Context()); err != nil || len(all) != 1 || all[0] != want {
		t.Errorf("got %+v, %v; want %+v", all, err, want)
	}
}
