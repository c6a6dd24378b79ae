package escpos

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/drivers"
)

const (
	// misses is how many polls without an answer make a signal Unknown.
	misses = 3
	// rarely is after how many polls a request that was never answered is
	// tried again, while the printer answers others.
	rarely = 15
)

// asked returns the n that the points need, at least one to see that the
// printer lives.
func asked(points map[Signal]string) []int {
	var ns []int
	for s, places := range sources() {
		if _, ok := points[s]; !ok {
			continue
		}
		for _, place := range places {
			ns = append(ns, place.n)
		}
	}
	if len(ns) == 0 {
		return []int{1}
	}
	slices.Sort(ns)
	return slices.Compact(ns)
}

// round is what is known of one printer while Run runs.
type round struct {
	line    *line
	asked   []int
	polls   int
	answers [kinds + 1]answer // by n
}

// answer is the last answer to one n.
type answer struct {
	ever   bool // there was one since Run began
	now    bool // in this poll
	value  byte
	missed int // polls since
}

// poll asks each n once. It fails when the port does, and with ErrSilent when
// the printer has been silent for too long.
func (r *round) poll(ctx context.Context) error {
	var noise error
	alive := false
	for n := range r.answers {
		r.answers[n].now = false
		alive = alive || r.answers[n].ever
	}
	silent := true
	for _, n := range r.asked {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		a := &r.answers[n]
		if alive && !a.ever && a.missed >= misses && r.polls%rarely != 0 {
			continue
		}
		b, err := r.line.ask(n)
		switch {
		case err == nil:
			*a = answer{ever: true, now: true, value: b}
		case errors.Is(err, errTimeout):
			a.missed++
		case errors.Is(err, errBabble), errors.Is(err, errNoise):
			a.missed++
			noise = err
		default:
			return err
		}
		silent = silent && a.missed >= misses
	}
	r.polls++
	switch {
	case silent && noise != nil:
		return noise
	case silent:
		return fmt.Errorf("no answer to DLE EOT for %d polls: %w", misses, drivers.ErrSilent)
	}
	return nil
}

// readings returns what this poll says about the points. For a signal whose
// answer was missed once or twice it says nothing, so its last reading ages.
func (r *round) readings(points map[Signal]string) []drivers.Reading {
	var out []drivers.Reading
	places := sources()
	for _, s := range slices.Sorted(maps.Keys(points)) {
		if reading, ok := r.reading(places[s]); ok {
			reading.Point = points[s]
			out = append(out, reading)
		}
	}
	return out
}

func (r *round) reading(places []source) (reading drivers.Reading, ok bool) {
	for _, place := range places {
		a := r.answers[place.n]
		if a.now && a.value&place.mask != 0 {
			return drivers.Reading{State: longan.Active, Detail: explain(place.n, a.value)}, true
		}
	}
	primary := places[0]
	switch a := r.answers[primary.n]; {
	case a.now:
		return drivers.Reading{State: longan.Normal, Detail: explain(primary.n, a.value)}, true
	case a.ever && a.missed < misses:
		return drivers.Reading{}, false
	default:
		detail := fmt.Sprintf("no answer to DLE EOT %d", primary.n)
		return drivers.Reading{State: longan.Unknown, Detail: detail}, true
	}
}
