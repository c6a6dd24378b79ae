package clock

import (
	"testing"
	"time"

	"github.com/longan-edge/longan"
)

func TestNowTellsItsQuality(t *testing.T) {
	day := time.Date(2026, 12, 24, 8, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name    string
		wall    time.Time
		synced  bool
		want    time.Time
		quality string
	}{
		{"synced", day, true, day, longan.ClockNTP},
		{"set once", day, false, day, longan.ClockRTC},
		{"woke up in 1970", time.Unix(17, 0), false, floor, longan.ClockFloor},
		{"synced to nonsense", time.Unix(17, 0), true, floor, longan.ClockFloor},
	} {
		t.Run(c.name, func(t *testing.T) {
			clock := &Clock{
				Wall:   func() time.Time { return c.wall },
				Mono:   func() time.Duration { return 5 * time.Second },
				Synced: func() bool { return c.synced },
			}
			got := clock.Now()
			want := Stamp{Time: c.want, Quality: c.quality, Mono: 5 * time.Second}
			if got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

func TestSystemClockRuns(t *testing.T) {
	c := System()
	if !longan.ValidName(c.Boot) {
		t.Errorf("boot id %q is no name of the contract", c.Boot)
	}
	a := c.Now()
	if b := c.Now(); b.Mono < a.Mono || a.Mono == 0 {
		t.Errorf("time since boot went from %v to %v", a.Mono, b.Mono)
	}
}
