package agent

import (
	"cmp"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/agent/internal/clock"
	"github.com/longan-edge/longan/drivers"
)

// A reading that is silentPolls polls and silentAfter old tells nothing about
// now. Drivers read their points anew with every poll and say when they can't; one
// that does neither hangs, or waits for a disk that does.
const (
	silentPolls = 5
	silentAfter = 20 * time.Second
)

// status returns what the center is now, full.
func (c *center) status() *longan.Status {
	now := c.cfg.Clock.Now()
	s := &longan.Status{
		Device: c.cfg.Site.Device, State: longan.Online, Full: true,
		Time: now.Time, Clock: now.Quality, Mono: now.Mono, Boot: c.cfg.Clock.Boot,
		Version: clip(c.cfg.Version), Name: clip(c.cfg.Site.Name),
		Points: map[string]longan.PointStatus{}, Peripherals: map[string]longan.PeripheralStatus{},
		Backlog: map[longan.Lane]uint64{},
	}
	for _, l := range longan.Lanes {
		s.Backlog[l] = c.spool.Backlog(l)
	}
	s.Disk = c.diskStatus()
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, p := range c.points {
		s.Points[name] = c.pointStatus(p, now)
	}
	for name, p := range c.peripherals {
		ps := longan.PeripheralStatus{
			OK: p.ok, Driver: p.Driver, Label: clip(p.Label), Age: age(now.Mono, p.read), Error: clip(p.why),
		}
		if ps.OK && p.silent(ps.Age) {
			ps.OK, ps.Error = false, clip(drivers.ErrSilent.Error()+": no reading, and the driver does not say why")
		}
		s.Peripherals[name] = ps
	}
	return s
}

// pointStatus returns what a point is now. c.mu is held.
func (c *center) pointStatus(p *point, now clock.Stamp) longan.PointStatus {
	ps := longan.PointStatus{
		State: p.state, Kind: string(p.Kind), Label: clip(p.Label), Peripheral: p.peripheral,
		Age: age(now.Mono, p.read), Detail: clip(p.detail),
	}
	since := p.since
	if ps.State != longan.Unknown && c.peripherals[p.peripheral].silent(ps.Age) {
		ps.State, since, ps.Detail = longan.Unknown, p.read, ""
	}
	ps.Since = p.shown.time(since, now)
	return ps
}

// moment is a moment since boot, and what it is by the wall clock.
type moment struct {
	mono time.Duration
	wall time.Time
}

// time returns the wall time of a moment since boot, counted back from now: at the
// moment itself the board may have been in 1970. It is zero when nobody knows it.
// It stays as it was told while the clock differs by less than a second, or every
// status would tell of another time.
func (m *moment) time(mono time.Duration, now clock.Stamp) time.Time {
	if mono < 0 || now.Quality == longan.ClockFloor {
		return time.Time{}
	}
	wall := now.Time.Add(-age(now.Mono, mono))
	if m.mono != mono || m.wall.Sub(wall).Abs() >= time.Second {
		m.mono, m.wall = mono, wall
	}
	return m.wall
}

// silent reports whether the last good reading is too old to tell about now.
func (p *peripheral) silent(age time.Duration) bool {
	return age > silentAfter+silentPolls*cmp.Or(p.Poll, time.Second)
}

// age returns how long before now something was read.
func age(now, read time.Duration) time.Duration {
	if read < 0 {
		return longan.Never
	}
	return max(0, now-read)
}
