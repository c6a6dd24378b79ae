package web

import (
	"fmt"
	"slices"
	"strings"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/cloud/internal/live"
)

// delivery is the proof of delivery of a board's present epoch: how far the city
// has all events, or which it has not.
type delivery struct {
	Epoch    string                 `json:"epoch,omitempty"`
	Complete bool                   `json:"complete"` // no number up to UpTo is missing; false before the first event
	UpTo     map[longan.Lane]uint64 `json:"upTo"`     // the highest number stored, by lane
	Holes    []laneHole             `json:"holes"`    // most urgent lane first
	Text     map[lang]string        `json:"text"`     // the same in words
}

// laneHole is a range of numbers that the city does not have.
type laneHole struct {
	Lane longan.Lane `json:"lane"`
	live.Hole
}

// deliveryOf returns the proof of delivery of a center.
func deliveryOf(c live.Center) delivery {
	d := delivery{Epoch: c.Epoch, UpTo: map[longan.Lane]uint64{}, Holes: []laneHole{}, Text: map[lang]string{}}
	for _, s := range c.Streams {
		if !s.Current {
			continue
		}
		d.Epoch = s.Epoch
		if s.Max > 0 || s.Acked > 0 {
			d.UpTo[s.Lane] = max(s.Max, s.Acked)
		}
		for _, h := range s.Holes {
			d.Holes = append(d.Holes, laneHole{s.Lane, h})
		}
		if s.Acked < s.Max && !slices.ContainsFunc(s.Holes, func(h live.Hole) bool { return h.From == s.Acked+1 }) {
			d.Holes = append(d.Holes, laneHole{s.Lane, live.Hole{From: s.Acked + 1, To: s.Max, Reason: reasonAwaited}})
		}
	}
	d.Complete = len(d.Holes) == 0 && len(d.UpTo) > 0
	for _, l := range langs {
		d.Text[l] = d.in(l, len(d.Holes))
	}
	return d
}

// in says the delivery in words, with at most that many holes.
func (d *delivery) in(l lang, holes int) string {
	var lanes []string
	for _, lane := range longan.Lanes {
		if n := d.UpTo[lane]; n > 0 {
			lanes = append(lanes, fmt.Sprintf("%s %d", text(l, "lane."+lane.String()), n))
		}
	}
	upTo := strings.Join(lanes, " · ")
	switch {
	case len(lanes) == 0:
		return text(l, "nostream")
	case d.Complete:
		return fmt.Sprintf(text(l, "delivery.complete"), upTo)
	}
	var missing []string
	for _, h := range d.Holes[:min(holes, len(d.Holes))] {
		missing = append(missing, h.in(l))
	}
	said := fmt.Sprintf(text(l, "delivery.holes"), upTo, strings.Join(missing, text(l, "comma.list")))
	if more := len(d.Holes) - len(missing); more > 0 {
		said += fmt.Sprintf(text(l, "delivery.more"), more)
	}
	return said
}

// in says which numbers are missing, and why.
func (h *laneHole) in(l lang) string {
	said := fmt.Sprintf("%s %d", text(l, "lane."+h.Lane.String()), h.From)
	if h.To != h.From {
		said += fmt.Sprintf("–%d", h.To)
	}
	if h.Reason != "" {
		said += fmt.Sprintf(text(l, "in.brackets"), reasonText(l, h.Reason))
	}
	return said
}

// reasonText says why events are missing, in the reader's language where it is a
// reason of ours.
func reasonText(l lang, reason string) string {
	if _, ok := texts["reason."+reason]; ok {
		return text(l, "reason."+reason)
	}
	return reason
}

// centerJSON is a center as the API gives it.
type centerJSON struct {
	live.Center
	Delivery delivery `json:"delivery"`
}

// snapshotJSON is a Snapshot as the API gives it.
type snapshotJSON struct {
	live.Snapshot
	Centers []centerJSON `json:"centers"` // in the place of the Snapshot's
}

func withDelivery(s live.Snapshot) snapshotJSON {
	out := snapshotJSON{Snapshot: s, Centers: make([]centerJSON, len(s.Centers))}
	for i := range s.Centers {
		out.Centers[i] = centerJSON{s.Centers[i], deliveryOf(s.Centers[i])}
	}
	return out
}
