package live

import (
	"cmp"
	"slices"

	"github.com/longan-edge/longan"
)

// Stream is what the city holds of one lane of a device and epoch.
type Stream struct {
	Lane  longan.Lane `json:"lane"`
	Acked uint64      `json:"acked"` // every event up to and including this one is stored or known lost
	Max   uint64      `json:"max"`   // the highest one stored
	Holes []Hole      `json:"holes"` // known lost or still missing, ascending
}

// Hole is a range of events that the city does not have.
type Hole struct {
	From   uint64 `json:"from"`
	To     uint64 `json:"to"` // included
	Reason string `json:"reason,omitempty"`
}

// StreamState is a Stream together with its epoch.
type StreamState struct {
	Epoch   string `json:"epoch"`
	Current bool   `json:"current"` // the board's epoch now
	Stream
}

// Complete reports whether everything up to Max is stored.
func (s *Stream) Complete() bool { return len(s.Holes) == 0 && s.Acked >= s.Max }

// streamSet is the streams of one epoch.
type streamSet struct {
	epoch   string
	streams []Stream
}

// ApplyStreams takes what the city holds of an epoch's streams: the lanes given
// replace what was known of them, the others stand. A device that was never
// heard of becomes an unknown center.
func (v *View) ApplyStreams(device longan.DeviceID, epoch string, streams []Stream) {
	v.mu.Lock()
	defer v.mu.Unlock()
	c := v.center(device, v.cfg.Now())
	set := streamSet{epoch: epoch}
	i := slices.IndexFunc(c.streams, func(s streamSet) bool { return s.epoch == epoch })
	if i >= 0 {
		set.streams = slices.Clone(c.streams[i].streams)
	}
	for _, s := range streams {
		s.Holes = slices.Clone(s.Holes)
		set.streams = slices.DeleteFunc(set.streams, func(old Stream) bool { return old.Lane == s.Lane })
		set.streams = append(set.streams, s)
	}
	slices.SortFunc(set.streams, func(a, b Stream) int { return cmp.Compare(a.Lane, b.Lane) })
	if i >= 0 {
		if slices.EqualFunc(c.streams[i].streams, set.streams, sameStream) {
			return
		}
		c.streams = slices.Delete(c.streams, i, i+1)
	}
	c.streams = append(c.streams, set)
	if len(c.streams) > pastEpochs {
		c.streams = slices.Delete(c.streams, 0, 1)
	}
	v.changed(c)
}

func sameStream(a, b Stream) bool {
	return a.Lane == b.Lane && a.Acked == b.Acked && a.Max == b.Max && slices.Equal(a.Holes, b.Holes)
}

// exportStreams lists the streams of the current epoch first, then those of
// earlier epochs, newest first.
func (c *center) exportStreams() []StreamState {
	out := []StreamState{}
	for _, current := range []bool{true, false} {
		for _, set := range slices.Backward(c.streams) {
			if (set.epoch == c.currentEpoch()) != current {
				continue
			}
			for _, s := range set.streams {
				s.Holes = append([]Hole{}, s.Holes...)
				out = append(out, StreamState{Epoch: set.epoch, Current: current, Stream: s})
			}
		}
	}
	return out
}

// currentEpoch is the one a status told, else the one that moved last.
func (c *center) currentEpoch() string {
	if c.epoch == "" && len(c.streams) > 0 {
		return c.streams[len(c.streams)-1].epoch
	}
	return c.epoch
}
