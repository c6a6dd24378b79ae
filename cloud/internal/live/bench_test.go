package live

import (
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/longan-edge/longan"
)

// benchCity is 199 centers with ten points each, all online.
func benchCity(b *testing.B) (v *View, ids []longan.DeviceID, now *clock) {
	b.Helper()
	now = &clock{time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)}
	v = New(Config{Now: now.now, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	for _, place := range longan.Townships() {
		d := longan.DeviceID(place.Code + "-01")
		ids = append(ids, d)
		s := full("a", 1, 0, longan.Normal, 0)
		s.Device = d
		for _, p := range "abcdefgh" {
			s.Points["input-"+string(p)] = longan.PointStatus{State: longan.Normal, Kind: "input", Peripheral: "inputs"}
		}
		v.ApplyStatus(s, false)
	}
	return v, ids, now
}

// BenchmarkStorm is a second of a busy city: 500 events, the heartbeats of a
// tenth of the boards, two looks of Run, and two pages that fetch what changed.
func BenchmarkStorm(b *testing.B) {
	v, ids, now := benchCity(b)
	subs := []*Subscription{v.Subscribe(b.Context()), v.Subscribe(b.Context())}
	n := uint64(1)
	start := now.t
	b.ReportAllocs()
	for b.Loop() {
		n++
		for i := range 500 {
			now.t = now.t.Add(2 * time.Millisecond)
			typ := []string{longan.PointActive, longan.PointNormal}[i%2]
			e := event(longan.State, n*500+uint64(i), typ, "input-a", now.t.Sub(start))
			e.Device = ids[(i*7)%len(ids)]
			v.ApplyEvents([]longan.Event{e})
		}
		for i := range 20 {
			d := ids[(int(n)*20+i)%len(ids)]
			s := heartbeat("a", n, now.t.Sub(start))
			s.Device = d
			v.ApplyStatus(s, false)
		}
		for range 2 {
			v.mu.Lock()
			v.age(now.t)
			v.mu.Unlock()
		}
		for _, s := range subs {
			changes, _ := s.Take()
			for _, ch := range changes {
				v.Center(ch.Device)
			}
		}
	}
}

// BenchmarkSnapshot is the whole view, as a page asks for it when it is opened.
func BenchmarkSnapshot(b *testing.B) {
	v, _, _ := benchCity(b)
	b.ReportAllocs()
	for b.Loop() {
		v.Snapshot()
	}
}
