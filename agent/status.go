package agent

import (
	"cmp"
	"time"

	"github.com/longan-edge/longan"
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
		s.Points[name] = c.pointStatus(p, now.Time, now.Mono)
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

// pointStatus returns what a point is at that time. c.mu is held.
func (c *center) pointStatus(p *point, at time.Time, mono time.Duration) longan.PointStatus {
	ps := longan.PointStatus{
		State: p.state, Kind: string(p.Kind), Label: clip(p.Label), Peripheral: p.peripheral,
		Since: p.since, Age: age(mono, p.read), Detail: clip(p.detail),
	}
	if ps.State != longan.Unknown && c.peripherals[p.peripheral].silent(ps.Age) {
		ps.State, ps.Since, ps.Detail = longan.Unknown, at.Add(-ps.Age), ""
	}
	return ps
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
