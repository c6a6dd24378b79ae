package clock

import "time"

// drift is the part by which a board's clock may run too fast: one in drift, 100
// ppm. Oscillators of such boards are specified within 20 to 50 ppm.
const drift = 10_000

// Observe takes the city's time from a message that has just arrived. It was
// written some time ago, nobody knows how long: so it is a lower bound of now,
// and the highest one counts. The board's own clock carries it on, a little
// slower than it runs: a fast one would get ahead of the city by seconds a day,
// and no later message could correct that. What can't be the time is ignored.
func (c *Clock) Observe(city time.Time) {
	if city.Before(floor) || city.After(ceiling) {
		return
	}
	mono := c.Mono()
	c.mu.Lock()
	defer c.mu.Unlock()
	first := c.city.IsZero()
	if !first && !city.After(c.cityTime(mono)) {
		return
	}
	c.city, c.seen = city.UTC().Round(0), mono
	if first && c.observed != nil {
		close(c.observed)
	}
}

// cityTime returns the city's time: at that time since boot it was this or a
// little more. c.mu is held, and the city was heard.
func (c *Clock) cityTime(mono time.Duration) time.Time {
	passed := max(0, mono-c.seen)
	return c.city.Add(passed - passed/drift)
}

// Observed returns a channel that is closed when the city's time is known.
func (c *Clock) Observed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.observed == nil {
		c.observed = make(chan struct{})
		if !c.city.IsZero() {
			close(c.observed)
		}
	}
	return c.observed
}
