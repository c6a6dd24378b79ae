package live

import (
	"io"
	"log/slog"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/longan-edge/longan"
)

// fleet is 199 boards that speak every 10 s, each at its own second, to a view
// in a synctest bubble.
type fleet struct {
	t      *testing.T
	view   *View
	ids    []longan.DeviceID
	n      []uint64
	away   map[longan.DeviceID]bool // these say nothing
	back   map[longan.DeviceID]int  // the second since when they do
	noLink bool                     // nothing comes through
	start  time.Time
	second int
	lines  int // incidents ever shown, checked at every second
}

func inFleet(t *testing.T, f func(f *fleet)) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	synctest.Test(t, func(t *testing.T) {
		x := &fleet{t: t, away: map[longan.DeviceID]bool{}, back: map[longan.DeviceID]int{}, start: time.Now()}
		for _, place := range longan.Townships() {
			x.ids = append(x.ids, longan.DeviceID(place.Code+"-01"))
		}
		x.n = make([]uint64, len(x.ids))
		x.restart()
		f(x)
	})
}

// restart puts a city in the place of the last one; the boards stay.
func (f *fleet) restart() {
	f.view = New(Config{Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	go func() { _ = f.view.Run(f.t.Context()) }()
	synctest.Wait()
}

func (f *fleet) birth() {
	for i := range f.ids {
		f.say(i, true, false)
	}
}

func (f *fleet) say(i int, all, retained bool) {
	f.n[i]++
	s := full("a", f.n[i], time.Since(f.start), longan.Normal, 0)
	s.Device = f.ids[i]
	if !all {
		s = s.Heartbeat()
	}
	f.view.ApplyStatus(s, retained)
}

// run lets seconds pass, in which those that are not away say what they do, and
// returns what the view looks like then. It fails the test when a center is
// offline whose board has been there for long enough to speak.
func (f *fleet) run(seconds int) Snapshot {
	f.t.Helper()
	for range seconds {
		time.Sleep(time.Second)
		f.second++
		for i, id := range f.ids {
			if i%10 == f.second%10 && !f.noLink && !f.away[id] {
				f.say(i, false, false)
			}
		}
		f.check()
	}
	return f.view.Snapshot()
}

func (f *fleet) check() {
	f.t.Helper()
	f.view.mu.Lock()
	defer f.view.mu.Unlock()
	f.view.age(f.view.cfg.Now())
	for id, c := range f.view.centers {
		if c.state == Offline && !f.away[id] && f.second-f.back[id] > 10 {
			f.t.Fatalf("second %d: %s is offline (%s), its board lives", f.second, id, c.cause)
		}
	}
	f.lines = max(f.lines, len(f.view.incidents.all))
}

// county returns the first n centers of a county; -1 is all.
func (f *fleet) county(code string, n int) (out []longan.DeviceID) {
	for _, id := range f.ids {
		if id.County() == code && len(out) != n {
			out = append(out, id)
		}
	}
	return out
}

func (f *fleet) leave(ids []longan.DeviceID, away bool) {
	for _, id := range ids {
		f.away[id] = away
		if !away {
			f.back[id] = f.second
		}
	}
}

func (f *fleet) only(s Snapshot, what string) Incident {
	f.t.Helper()
	if len(s.Incidents) != 1 {
		f.t.Fatalf("%s: got %d incidents %+v, want one", what, len(s.Incidents), s.Incidents)
	}
	return s.Incidents[0]
}
