package store

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/longan-edge/longan"
)

func TestEventsComeBackWhole(t *testing.T) {
	s := open(t, newPath(t), Options{})
	b := batch(longan.Alarm, 1, 1)
	b.Events = append(b.Events, longan.Event{Device: mawei, Epoch: epoch, Lane: longan.Alarm, Seq: 2, Type: "x.y"})
	ingest(t, s, b)
	got, err := s.RecentAlarms(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 {
		t.Fatalf("%d alarms, want 2", len(got))
	}
	for i, want := range []longan.Event{b.Events[1], b.Events[0]} {
		g := got[i]
		if !bytes.Equal(g.AppendJSON(nil), want.AppendJSON(nil)) || g.Device != mawei || g.Epoch != epoch || g.Lane != longan.Alarm {
			t.Errorf("got %+v, want %+v", g.Event, want)
		}
		if !g.StoredAt.Equal(noon) {
			t.Errorf("stored at %v, want %v", g.StoredAt, noon)
		}
	}
}

func TestEventsQuery(t *testing.T) {
	s := open(t, newPath(t), Options{})
	ingest(t, s, batch(longan.State, 1, 1, 2, 3), batch(longan.Alarm, 1, 1))
	closed := batch(longan.State, 1, 1)
	closed.Device, closed.Events[0].Type = "621222101-01", longan.DoorClosed
	ingest(t, s, closed)
	state, alarm := longan.State, longan.Alarm
	for _, test := range []struct {
		name string
		q    Query
		want []uint64 // seqs, the latest arrival first
	}{
		{"all", Query{}, []uint64{1, 3, 2, 1, 1}},
		{"device", Query{Device: mawei}, []uint64{3, 2, 1, 1}},
		{"type", Query{Type: longan.DoorClosed}, []uint64{1}},
		{"lane", Query{Lane: &state, Device: mawei}, []uint64{3, 2, 1}},
		{"alarms", Query{Lane: &alarm}, []uint64{1}},
		{"page", Query{Limit: 2}, []uint64{1, 3}},
		{"next page", Query{Before: 4}, []uint64{2, 1, 1}},
		{"none", Query{Device: "621222101-02"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			events, err := s.Events(t.Context(), test.q)
			if err != nil {
				t.Fatal(err)
			}
			var got []uint64
			for _, e := range events {
				got = append(got, e.Seq)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestStatus(t *testing.T) {
	path := newPath(t)
	s := open(t, path, Options{})
	st := &longan.Status{Device: mawei, Session: "s1", N: 1, State: longan.Online, Name: "马街镇综治中心", Full: true,
		Points: map[string]longan.PointStatus{"front-door": {State: longan.Active, Kind: "door"}}}
	ingest(t, s, batch(longan.State, 1, 1))
	if err := s.SaveStatus(t.Context(), noon.Add(time.Minute), st); err != nil {
		t.Fatal(err)
	}
	s.Close()
	devices, err := open(t, path, Options{ReadOnly: true}).Devices(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(devices) != 1 {
		t.Fatalf("%d devices, want 1", len(devices))
	}
	d := devices[0]
	if d.Device != mawei || d.Name != st.Name || !d.FirstSeen.Equal(noon) || !d.LastSeen.Equal(noon.Add(time.Minute)) {
		t.Errorf("device %+v", d)
	}
	if d.Status == nil || d.Status.Points["front-door"].State != longan.Active {
		t.Errorf("status %+v, want the front door active", d.Status)
	}
}
