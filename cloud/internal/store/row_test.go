package store

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/longan-edge/longan"
)

// drawEvent draws any event of the contract, unknown fields included, by its JSON.
func drawEvent(rt *rapid.T, seq uint64) longan.Event {
	name := rapid.StringMatching(`[a-z][a-z0-9-]{0,10}`)
	e := longan.Event{
		Seq: seq, Type: name.Draw(rt, "type") + "." + name.Draw(rt, "type"),
		Point: rapid.OneOf(rapid.Just(""), name).Draw(rt, "point"),
		Clock: rapid.SampledFrom([]string{"", "floor", "rtc", "city", "ntp", "gps"}).Draw(rt, "clock"),
		Boot:  rapid.SampledFrom([]string{"", "b1", "b2"}).Draw(rt, "boot"),
		Mono:  time.Duration(rapid.Int64Range(0, 1<<40).Draw(rt, "mono")) * time.Millisecond,
	}
	if rapid.Bool().Draw(rt, "has time") {
		e.Time = time.UnixMilli(rapid.Int64Range(0, 253402300799999).Draw(rt, "time")).UTC() // to 9999
	}
	text := rapid.SampledFrom([]string{`{}`, `{"a": [1,  2.50]}`, `{"名":"门\u0000\"\\ <&>","x":null}`, `{"n":1e400,"d":{"d":{}}}`})
	if rapid.Bool().Draw(rt, "has data") {
		e.Data = []byte(text.Draw(rt, "data"))
	}
	for range rapid.IntRange(0, 3).Draw(rt, "extras") {
		if e.Extra == nil {
			e.Extra = longan.Extra{}
		}
		key := "x" + rapid.StringN(0, 12, 40).Draw(rt, "key")
		e.Extra[key] = []byte(rapid.OneOf(text, rapid.SampledFrom([]string{`1`, `"s"`, `null`, `[ ]`})).Draw(rt, "value"))
	}
	raw := e.AppendJSON(nil)
	e, err := longan.ParseEvent(raw)
	if err != nil {
		rt.Fatalf("parse %s: %v", raw, err)
	}
	return e
}

// TestRowsGiveBackTheJSON: an event is kept in columns, and what is read from
// them is byte for byte what came.
func TestRowsGiveBackTheJSON(t *testing.T) {
	s := openQuick(t, newPath(t))
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		b := batch(longan.Sample, 1)
		b.Device = longan.DeviceID(fmt.Sprintf("62120210%04d-01", run))
		var want []string
		for seq := range rapid.Uint64Range(1, 50).Draw(rt, "n") {
			b.Events = append(b.Events, drawEvent(rt, seq+1))
			want = append(want, string(b.Events[seq].AppendJSON(nil)))
		}
		for range 2 { // the second time all are duplicates, by the same comparison
			if _, err := s.Ingest(t.Context(), []*longan.Batch{b}, noon); err != nil {
				rt.Fatal(err)
			}
		}
		events, err := s.Events(t.Context(), Query{Device: b.Device})
		if err != nil {
			rt.Fatal(err)
		}
		var got []string
		for _, e := range slices.Backward(events) {
			got = append(got, string(e.AppendJSON(nil)))
		}
		if !slices.Equal(got, want) {
			rt.Fatalf("read\n%q\nwant\n%q", got, want)
		}
		if c, err := s.Counts(t.Context()); err != nil || c.Conflicts != 0 {
			rt.Fatalf("%+v, %v: want no conflicts", c, err)
		}
	})
	if err := s.Integrity(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestDuplicatesAndConflictsWithinACall: the same number may come twice in one
// transaction, in two batches.
func TestDuplicatesAndConflictsWithinACall(t *testing.T) {
	s := open(t, newPath(t), Options{})
	other := batch(longan.State, 1, 2, 3)
	other.Events[0].Point = "back-door"
	r := ingest(t, s, batch(longan.State, 1, 1, 2), other, batch(longan.State, 1, 1, 4))[0]
	if !slices.Equal(seqs(r.New), []uint64{1, 2, 3, 4}) || r.Duplicates != 1 || len(r.Conflicts) != 1 || r.Acked() != 4 {
		t.Errorf("new %v, %d duplicates, conflicts %v, acked %d; want 1 to 4, 1, 1, 4", seqs(r.New), r.Duplicates, seqs(r.Conflicts), r.Acked())
	}
	if r.New[1].Point != "front-door" {
		t.Errorf("event 2 is of %s, want the first that came", r.New[1].Point)
	}
}

func TestConflictsAreBounded(t *testing.T) {
	s := open(t, newPath(t), Options{})
	clone := batch(longan.State, 1)
	for i := range uint64(maxConflicts + 10) {
		clone.Events = append(clone.Events, event(clone, i+1))
	}
	ingest(t, s, clone)
	for i := range clone.Events {
		clone.Events[i].Point = "back-door"
	}
	if r := ingest(t, s, clone)[0]; len(r.Conflicts) != maxConflicts+10 {
		t.Errorf("%d conflicts, want all", len(r.Conflicts))
	}
	if c, err := s.Counts(t.Context()); err != nil || c.Conflicts != maxConflicts {
		t.Errorf("%+v, %v: want %d conflicts kept", c, err, maxConflicts)
	}
}

// TestEventsOfADeviceAgainstAll: asking stream by stream says the same as asking
// all.
func TestEventsOfADeviceAgainstAll(t *testing.T) {
	s := openQuick(t, newPath(t))
	rapid.Check(t, func(rt *rapid.T) {
		b := drawBatch(rt, rapid.SampledFrom([]longan.DeviceID{mawei, "621222101-01"}).Draw(rt, "device"))
		b.Epoch = rapid.SampledFrom([]string{"e1", "e2"}).Draw(rt, "epoch")
		for i := range b.Events {
			b.Events[i].Epoch = b.Epoch
			b.Events[i].Type = rapid.SampledFrom([]string{longan.DoorOpened, longan.DoorClosed}).Draw(rt, "type")
		}
		if _, err := s.Ingest(t.Context(), []*longan.Batch{b}, noon); err != nil {
			rt.Fatal(err)
		}
		q := Query{Limit: rapid.IntRange(1, 20).Draw(rt, "limit"), Before: rapid.Int64Range(0, 60).Draw(rt, "before"),
			Type: rapid.SampledFrom([]string{"", longan.DoorClosed}).Draw(rt, "type")}
		if rapid.Bool().Draw(rt, "alarms") {
			lane := longan.Alarm
			q.Lane = &lane
		}
		all := q
		all.Limit = MaxLimit
		of := q
		of.Device = b.Device
		got, err := s.Events(t.Context(), of)
		if err != nil {
			rt.Fatal(err)
		}
		everything, err := s.Events(t.Context(), all)
		if err != nil {
			rt.Fatal(err)
		}
		var want []int64
		for _, e := range everything {
			if e.Device == b.Device && len(want) < q.Limit {
				want = append(want, e.ID)
			}
		}
		if ids := idsOf(got); !slices.Equal(ids, want) {
			rt.Fatalf("%+v: events %v, want %v", of, ids, want)
		}
	})
}

func idsOf(events []Stored) (ids []int64) {
	for _, e := range events {
		ids = append(ids, e.ID)
	}
	return ids
}
