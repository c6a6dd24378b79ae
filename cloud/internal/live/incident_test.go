package live

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/longan-edge/longan"
)

func TestCityLinkIsOneIncident(t *testing.T) {
	inFleet(t, func(f *fleet) {
		f.view.ApplyBroker(true)
		f.birth()
		dead := f.county("621221", 2)
		f.leave(dead, true)
		f.run(60)

		f.noLink = true
		lost := time.Now()
		f.view.ApplyBroker(false)
		if s := f.run(2); s.Counts[Online] != 197 || len(s.Incidents) != 0 {
			t.Errorf("2 s without a link: %v and %d incidents, want 197 online and none", s.Counts, len(s.Incidents))
		}
		s := f.run(2)
		in := f.only(s, "4 s without a link")
		if s.Counts[Stale] != 197 || s.Counts[Offline] != 2 || in.Kind != CityLink || in.Count != 197 || !in.Since.Equal(lost) || in.Back != 0 {
			t.Errorf("4 s without a link: %v, %+v; want 197 stale in one incident since %v", s.Counts, in, lost)
		}
		s = f.run(20)
		if s.Counts[Unknown] != 197 || s.Counts[Offline] != 2 {
			t.Errorf("24 s without a link: %v, want 197 unknown", s.Counts)
		}
		for _, c := range s.Centers {
			if c.State == Unknown && c.Cause != CauseCityLink {
				t.Fatalf("%s: unknown, cause %s; want %s", c.Device, c.Cause, CauseCityLink)
			}
		}
		f.run(120)

		f.view.ApplyBroker(true)
		f.noLink = false
		if s := f.run(5); f.only(s, "the link is back").LinkBack.IsZero() {
			t.Error("the incident does not say that the link is back")
		}
		s = f.run(6)
		if in := f.only(s, "all are back"); s.Counts[Online] != 197 || in.Ended.IsZero() || 5*in.Back < 4*197 {
			t.Errorf("11 s after: %v, %+v; want 197 online, ended when most were", s.Counts, in)
		}
		f.run(120)
		if f.lines != 1 {
			t.Errorf("incidents ever: %d, want 1", f.lines)
		}
	})
}

// TestShortBreaksOfTheLinkShowNothing: a reconnect is no news.
func TestShortBreaksOfTheLinkShowNothing(t *testing.T) {
	inFleet(t, func(f *fleet) {
		f.view.ApplyBroker(true)
		f.birth()
		for range 20 {
			f.run(10)
			f.view.ApplyBroker(false)
			f.noLink = true
			f.run(1)
			f.view.ApplyBroker(true)
			f.noLink = false
		}
		if s := f.run(10); s.Counts[Online] != 199 || f.lines != 0 {
			t.Errorf("after breaks of a second: %v, %d incidents; want 199 online, none", s.Counts, f.lines)
		}
	})
}

// TestLinkThatComesAndGoes is one incident, whatever it does.
func TestLinkThatComesAndGoes(t *testing.T) {
	inFleet(t, func(f *fleet) {
		f.view.ApplyBroker(true)
		f.birth()
		f.run(30)
		for range 10 {
			f.view.ApplyBroker(false)
			f.noLink = true
			f.run(25)
			f.view.ApplyBroker(true)
			f.noLink = false
			f.run(9)
		}
		if in := f.only(f.run(20), "at last"); in.Ended.IsZero() || f.lines != 1 {
			t.Errorf("got %+v, %d incidents ever; want one that is over", in, f.lines)
		}
	})
}

// TestDeadLinkNoticedLate: the city notices that its half-open link is dead only
// after centers have been silent for too long.
func TestDeadLinkNoticedLate(t *testing.T) {
	inFleet(t, func(f *fleet) {
		f.view.ApplyBroker(true)
		f.birth()
		f.run(30)
		f.noLink = true
		f.leave(f.ids, true) // so that run does not complain of what is taken back later
		if s := f.run(25); s.Counts[Offline] == 0 {
			t.Fatalf("a link that looks well: %v, want some offline", s.Counts)
		}
		f.view.ApplyBroker(false)
		f.leave(f.ids, false)
		f.away[f.ids[0]] = true
		f.run(3)
		s := f.run(10)
		if in := f.only(s, "noticed"); in.Kind != CityLink || in.Count != 199 || s.Counts[Unknown] != 199 {
			t.Errorf("got %v, %+v; want 199 unknown in one incident of the city's link", s.Counts, in)
		}
		f.view.ApplyBroker(true)
		f.noLink = false
		s = f.run(85)
		if s.Counts[Online] != 198 || s.Counts[Unknown] != 1 {
			t.Errorf("back: %v, want 198 online, one still unknown", s.Counts)
		}
		if s = f.run(10); s.Counts[Offline] != 1 || f.only(s, "over").Ended.IsZero() {
			t.Errorf("95 s after: %v, want the dead board offline", s.Counts)
		}
	})
}

// TestBrokerThatGoesDown says of all boards that they are gone, and says it again
// when it is back: its wills are of its own doing.
func TestBrokerThatGoesDown(t *testing.T) {
	inFleet(t, func(f *fleet) {
		wills := func(retained bool) {
			for _, id := range f.ids {
				s := will("a")
				s.Device = id
				f.view.ApplyStatus(s, retained)
			}
		}
		f.view.ApplyBroker(true)
		f.birth()
		f.run(30)
		f.noLink = true
		f.leave(f.ids, true) // so that run does not complain of the seconds before the city knows
		wills(false)
		f.run(1)
		f.view.ApplyBroker(false)
		s := f.run(5)
		if in := f.only(s, "down"); in.Kind != CityLink || in.Count != 199 || s.Counts[Unknown] != 199 {
			t.Errorf("down: got %v, %s of %d; want 199 unknown, the city's link", s.Counts, in.Kind, in.Count)
		}
		f.view.ApplyBroker(true)
		wills(true)
		if s := f.run(20); s.Counts[Unknown] != 199 {
			t.Errorf("back, with the wills retained: got %v, want 199 unknown until they speak", s.Counts)
		}
		f.leave(f.ids[1:], false)
		f.noLink = false
		if s := f.run(20); s.Counts[Online] != 198 || s.Counts[Unknown] != 1 {
			t.Errorf("the boards are back: got %v, want 198 online", s.Counts)
		}
		s = f.run(60)
		if in := f.only(s, "over"); in.Ended.IsZero() || s.Counts[Offline] != 1 || f.lines != 1 {
			t.Errorf("over: got %v, %+v; want one incident that is over, and one center offline", s.Counts, in.Ended)
		}
	})
}

func TestManyLost(t *testing.T) {
	wide := func(f *fleet) (out []longan.DeviceID) {
		for i, id := range f.ids {
			if i%4 == 0 {
				out = append(out, id)
			}
		}
		return out
	}
	tests := []struct {
		name     string
		lost     func(f *fleet) []longan.DeviceID
		counties int // 0: no incident
	}{
		{"four of a county of twelve", func(f *fleet) []longan.DeviceID { return f.county("621228", 4) }, 0},
		{"five of a county of twelve", func(f *fleet) []longan.DeviceID { return f.county("621228", 5) }, 0},
		{"half of a county", func(f *fleet) []longan.DeviceID { return f.county("621228", 6) }, 1},
		{"a whole county", func(f *fleet) []longan.DeviceID { return f.county("621228", -1) }, 1},
		{"two counties", func(f *fleet) []longan.DeviceID { return append(f.county("621228", 9), f.county("621227", 10)...) }, 2},
		{"a fifth of the city", wide, 9},
		{"one in ten of the city", func(f *fleet) []longan.DeviceID { return wide(f)[:19] }, 0},
		{"all", func(f *fleet) []longan.DeviceID { return f.ids }, 9},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inFleet(t, func(f *fleet) {
				f.view.ApplyBroker(true)
				f.birth()
				f.run(30)
				lost := tt.lost(f)
				f.leave(lost, true)
				s := f.run(40)
				if s.Counts[Offline] != len(lost) {
					t.Errorf("offline: got %v, want %d", s.Counts, len(lost))
				}
				if tt.counties == 0 {
					if len(s.Incidents) > 0 {
						t.Errorf("got %+v, want no incident", s.Incidents)
					}
					return
				}
				in := f.only(s, "40 s after")
				want := slices.Sorted(slices.Values(lost))
				if in.Kind != ManyLost || in.Count != len(lost) || len(in.Counties) != tt.counties || !slices.Equal(in.Centers, want) || !in.Ended.IsZero() {
					t.Errorf("got %+v, want %d centers of %d counties", in, len(lost), tt.counties)
				}
				f.run(90)
				f.leave(lost[:len(lost)*9/10+1], false)
				in = f.only(f.run(12), "most are back")
				if in.Ended.IsZero() || f.lines != 1 {
					t.Errorf("most are back: got %+v, %d incidents ever; want the one to be over", in, f.lines)
				}
			})
		})
	}
}

// TestWillsOfACounty: a broker that loses all boards of a county at once says so
// at once.
func TestWillsOfACounty(t *testing.T) {
	inFleet(t, func(f *fleet) {
		f.birth()
		lost := f.county("621228", -1)
		f.leave(lost, true)
		sub := f.view.Subscribe(f.t.Context())
		for _, id := range lost {
			s := will("a")
			s.Device = id
			f.view.ApplyStatus(s, false)
		}
		if in := f.only(f.run(1), "a second after"); in.Count != 12 || in.Counties[0] != (IncidentCounty{"621228", "两当县", 12, 12}) {
			t.Errorf("got %+v", in)
		}
		changes, _ := sub.Take()
		if !slices.ContainsFunc(changes, func(c Change) bool { return c.Kind == ChangeIncident && c.Incident.Count == 12 }) {
			t.Errorf("the incident was not told: %+v", changes)
		}
	})
}

// TestCentersThatGoOneByOne are no incident, and neither is one that comes and
// goes.
func TestCentersThatGoOneByOne(t *testing.T) {
	inFleet(t, func(f *fleet) {
		f.birth()
		for i := range 30 {
			f.away[f.ids[3*i]] = true
			f.run(8)
		}
		for i := range 10 {
			f.leave(f.ids[:1], i%2 == 0)
			f.run(25)
		}
		if f.lines != 0 {
			t.Errorf("incidents: %d, want none", f.lines)
		}
	})
}

// TestRestartOfTheCityIsNoIncident: what it can't know yet is not lost.
func TestRestartOfTheCityIsNoIncident(t *testing.T) {
	inFleet(t, func(f *fleet) {
		f.view.ApplyBroker(true)
		f.birth()
		f.run(20)
		gone := f.county("621202", -1)
		for range 3 {
			f.restart()
			for i, id := range f.ids {
				if !f.away[id] {
					f.say(i, true, true)
					continue
				}
				s := will("a")
				s.Device = id
				f.view.ApplyStatus(s, true)
			}
			f.view.ApplyBroker(true)
			s := f.run(1)
			if s.Counts[Unknown] == 0 {
				t.Errorf("a second after the start: %v, want unknown ones", s.Counts)
			}
			if s = f.run(30); s.Counts[Online] != 199-len(f.away) || s.Counts[Offline] != len(f.away) || len(s.Incidents) != 0 {
				t.Errorf("31 s after the start: %v, %+v; want all that live online, no incident", s.Counts, s.Incidents)
			}
			f.leave(gone[:4], true)
			f.run(40)
			gone = gone[4:]
		}
	})
}

// TestCityWithoutABroker says so from its start.
func TestCityWithoutABroker(t *testing.T) {
	inFleet(t, func(f *fleet) {
		f.view.ApplyBroker(false)
		f.noLink = true
		if in := f.only(f.run(5), "never connected"); in.Kind != CityLink || in.Count != 0 || !in.Ended.IsZero() {
			t.Errorf("got %+v, want an incident without centers", in)
		}
		f.view.ApplyBroker(true)
		f.noLink = false
		f.birth()
		if in := f.only(f.run(15), "connected"); in.Ended.IsZero() {
			t.Errorf("got %+v, want it to be over", in)
		}
	})
}

// TestCityThatStoodStill: a machine that was stopped for a minute has heard
// nobody, which says nothing of the boards.
func TestCityThatStoodStill(t *testing.T) {
	inFleet(t, func(f *fleet) {
		f.birth()
		f.run(20)
		var stopped atomic.Int64
		f.view.mu.Lock()
		f.view.cfg.Now = func() time.Time { return time.Now().Add(time.Duration(stopped.Load())) }
		f.view.mu.Unlock()
		stopped.Store(int64(time.Minute))
		if s := f.run(9); s.Counts[Offline] != 0 {
			t.Errorf("after it stood still: %v, want none offline", s.Counts)
		}
		f.away[f.ids[0]] = true
		if s := f.run(30); s.Counts[Online] != 198 || s.Counts[Offline] != 1 || f.lines != 0 {
			t.Errorf("30 s later: %v, %d incidents; want the one dead board offline, none", s.Counts, f.lines)
		}
	})
}
