package link

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"
)

// Step is what a link is like from a moment of its schedule on.
type Step struct {
	At time.Duration // since the schedule began
	Conditions
}

// Schedule is what a link is like over time: steps in the order of their times.
type Schedule []Step

// Play sets the link's conditions as scheduled, and returns after the last step
// or with ctx's error.
func (l *Link) Play(ctx context.Context, s Schedule) error {
	begin := time.Now()
	for _, step := range s {
		if err := sleep(ctx, time.Until(begin.Add(step.At))); err != nil {
			return err
		}
		l.Set(step.Conditions)
	}
	return ctx.Err()
}

// At returns what the link is like at a time: without limits before the first
// step.
func (s Schedule) At(at time.Duration) Conditions {
	i, _ := slices.BinarySearchFunc(s, at, func(step Step, at time.Duration) int {
		if step.At <= at {
			return -1
		}
		return 1
	})
	if i == 0 {
		return Conditions{}
	}
	return s[i-1].Conditions
}

// With returns the schedule with other conditions for a while, after which it
// goes on as if nothing had been.
func (s Schedule) With(at, long time.Duration, c Conditions) Schedule {
	var out Schedule
	for _, step := range s {
		if step.At < at {
			out = append(out, step)
		}
	}
	out = append(out, Step{at, c}, Step{at + long, s.At(at + long)})
	for _, step := range s {
		if step.At > at+long {
			out = append(out, step)
		}
	}
	return out
}

// Mobile makes schedules of a mobile network's link: good and bad spells, with
// short black holes in them, as when a modem changes cells or a lorry stands in
// the way, and long ones. What is zero does not happen. Every length is drawn at
// random: that of a spell around its mean (exponentially, RFC 2330 calls it
// Poisson sampling), that of a hole evenly up to its most.
type Mobile struct {
	Good, Bad       Conditions
	GoodFor, BadFor time.Duration // mean of a spell
	// StallEvery is the mean time between two short black holes, StallMost the
	// longest of them.
	StallEvery, StallMost time.Duration
	// HoleEvery and HoleMost are the same of long ones.
	HoleEvery, HoleMost time.Duration
}

// LossyMobile is a 4G link at a place with poor coverage: some 2 Mbit/s and 1 %
// loss most of the time, a tenth of that and 5 % in bad spells of minutes, a cell
// change of at most 9 s in every half hour, and now and then minutes of silence.
func LossyMobile() Mobile {
	return Mobile{
		Good:    Conditions{Bandwidth: 2_000_000, Latency: 40 * time.Millisecond, Jitter: 60 * time.Millisecond, Loss: 0.01},
		Bad:     Conditions{Bandwidth: 200_000, Latency: 80 * time.Millisecond, Jitter: 320 * time.Millisecond, Loss: 0.05},
		GoodFor: 2 * time.Hour, BadFor: 10 * time.Minute,
		StallEvery: 30 * time.Minute, StallMost: 9 * time.Second,
		HoleEvery: 12 * time.Hour, HoleMost: 5 * time.Minute,
	}
}

// Schedule draws a schedule of a length.
func (m Mobile) Schedule(seed uint64, long time.Duration) Schedule {
	rng := rand.New(rand.NewPCG(seed, 1))
	var s Schedule
	for at, good := time.Duration(0), true; at < long; good = !good {
		c, mean := m.Good, m.GoodFor
		if !good {
			c, mean = m.Bad, m.BadFor
		}
		if mean <= 0 && !good {
			continue
		}
		s = append(s, Step{at, c})
		if mean <= 0 || m.BadFor <= 0 {
			break // good for ever
		}
		at += around(rng, mean)
	}
	s = m.holes(s, rng, long, m.StallEvery, m.StallMost)
	return m.holes(s, rng, long, m.HoleEvery, m.HoleMost)
}

// holes puts black holes into a schedule.
func (m Mobile) holes(s Schedule, rng *rand.Rand, long, every, most time.Duration) Schedule {
	if every <= 0 || most <= 0 {
		return s
	}
	var out Schedule // in one pass: With would be quadratic over a month
	rest := s
	for at := around(rng, every); at < long; at += around(rng, every) {
		end := at + time.Duration(rng.Int64N(int64(most))) + 1
		c := s.At(at)
		c.BlackHole = BothWays
		for len(rest) > 0 && rest[0].At < at {
			out, rest = append(out, rest[0]), rest[1:]
		}
		for len(rest) > 0 && rest[0].At <= end {
			rest = rest[1:]
		}
		out = append(out, Step{at, c}, Step{end, s.At(end)})
		at = end
	}
	return append(out, rest...)
}

// around draws a time with a mean.
func around(rng *rand.Rand, mean time.Duration) time.Duration {
	return time.Duration(rng.ExpFloat64()*float64(mean)) + 1
}
