package cloud

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/cloud/internal/live"
	"github.com/longan-edge/longan/cloud/internal/store"
)

// TestRestartKnowsEveryOpenAlarm: an alarm that was raised long before the last
// thousand of others is open still, and none that is over is.
func TestRestartKnowsEveryOpenAlarm(t *testing.T) {
	st, err := store.Open(t.Context(), t.TempDir()+"/city.db", store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	now := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	batch := &longan.Batch{Device: "621202104-01", Epoch: "e", Lane: longan.Alarm, Oldest: 1}
	add := func(typ, point, cause string) {
		batch.Events = append(batch.Events, longan.Event{Seq: uint64(len(batch.Events) + 1), Type: typ, Point: point,
			Time: now, Clock: longan.ClockNTP, Boot: "b", Data: json.RawMessage(`{"cause":"` + cause + `"}`)})
	}
	add(longan.AlarmRaised, "mains", "mains")
	add(longan.AlarmRaised, "smoke", "fire")
	for range store.MaxLimit {
		add(longan.AlarmRaised, "panic-button", "panic")
		add(longan.AlarmRestored, "panic-button", "panic")
	}
	add(longan.AlarmRestored, "smoke", "fire")
	add(longan.AlarmRaised, "cabinet", "tamper")
	for from := 0; from < len(batch.Events); from += longan.MaxBatch {
		part := *batch
		part.Events = batch.Events[from:min(len(batch.Events), from+longan.MaxBatch)]
		if _, err := st.Ingest(t.Context(), []*longan.Batch{&part}, now); err != nil {
			t.Fatal(err)
		}
	}
	before := live.New(live.Config{})
	before.ApplyEvents(batch.Events)
	after := live.New(live.Config{})
	if err := preload(t.Context(), st, after); err != nil {
		t.Fatal(err)
	}
	want, got := before.Snapshot(), after.Snapshot()
	if len(got.Open) != 2 || len(want.Open) != 2 {
		t.Fatalf("open: %d after the restart, %d before, want 2", len(got.Open), len(want.Open))
	}
	for i := range got.Open {
		if got.Open[i].Seq != want.Open[i].Seq || got.Open[i].Point != want.Open[i].Point {
			t.Errorf("open: got %s %d, want %s %d", got.Open[i].Point, got.Open[i].Seq, want.Open[i].Point, want.Open[i].Seq)
		}
	}
	if len(got.Recent) != len(want.Recent) {
		t.Errorf("recent: %d after the restart, %d before", len(got.Recent), len(want.Recent))
	}
}
