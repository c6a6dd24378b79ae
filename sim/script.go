package sim

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"
)

// Act is something that happens at a center.
type Act struct {
	At   time.Duration // of the day
	What What
}

// What can happen at a center.
type What string

// The acts of a demo day.
const (
	FrontOpens  What = "front door opens"
	FrontCloses What = "front door closes"
	BackOpens   What = "back door opens"
	BackCloses  What = "back door closes"
	Panic       What = "panic button pressed"
	PaperNear   What = "paper near its end"
	PaperOut    What = "paper out"
	PaperNew    What = "new paper"
	LinkDown    What = "link down"
	LinkUp      What = "link up"
)

// The hours a demo day shows: from before opening until after closing.
const (
	DayBegins = 7*time.Hour + 30*time.Minute
	DayEnds   = 18 * time.Hour
)

// Day returns the acts of one center's day in order. Days differ by rng.
func Day(rng *rand.Rand) []Act {
	var acts []Act
	add := func(at time.Duration, what What) { acts = append(acts, Act{at, what}) }
	about := func(at, spread time.Duration) time.Duration {
		return at + time.Duration(rng.Int64N(int64(2*spread))) - spread
	}
	add(about(8*time.Hour, 10*time.Minute), BackOpens)
	add(about(8*time.Hour+30*time.Minute, 5*time.Minute), BackCloses)
	for at := 8*time.Hour + 40*time.Minute; at < 17*time.Hour+20*time.Minute; at += 28 * time.Minute { // visitors
		open := about(at, 6*time.Minute)
		add(open, FrontOpens)
		add(open+12*time.Minute, FrontCloses)
	}
	add(about(9*time.Hour+20*time.Minute, 15*time.Minute), Panic)
	add(about(15*time.Hour+30*time.Minute, 15*time.Minute), Panic)
	add(about(10*time.Hour, 20*time.Minute), PaperNear)
	add(about(11*time.Hour, 10*time.Minute), PaperOut)
	add(about(11*time.Hour+40*time.Minute, 10*time.Minute), PaperNew)
	down := about(12*time.Hour+40*time.Minute, 20*time.Minute)
	add(down, LinkDown)
	add(about(13*time.Hour+20*time.Minute, 5*time.Minute), Panic) // while nobody hears it
	add(down+90*time.Minute, LinkUp)
	slices.SortStableFunc(acts, func(a, b Act) int { return cmp.Compare(a.At, b.At) })
	return acts
}
