package spool

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/longan-edge/longan"
)

// identity is what a second small file knows of the spool, so that a lost or
// empty spool is not taken for a quiet night. It is written seldom: what it says
// of numbers is a lower bound, except after a clean end.
//
// The file is one line of JSON, and its CRC-32C in hex on a second line.
type identity struct {
	Version int    `json:"v"`
	Run     uint32 `json:"run"`
	Clean   bool   `json:"clean"` // the spool was closed, and the numbers are exact
	// Streams are the epochs with events in the spool; the last is being written.
	Streams []identityStream `json:"streams"`
	// Past are epochs that the city has altogether.
	Past []string `json:"past,omitempty"`
	// Notices are what the spool.recovered events tell that stand up to NoticesTo
	// in the state lane of NoticesIn: the spool they are in may be lost as well.
	Notices   []recoveredEpoch `json:"notices,omitempty"`
	NoticesIn string           `json:"notices_in,omitempty"`
	NoticesTo uint64           `json:"notices_to,omitempty"`

	Floor time.Time `json:"floor"` // the time was this once, by a good clock
	Wear  wear      `json:"wear"`
}

type identityStream struct {
	Epoch string                        `json:"epoch"`
	Lanes map[longan.Lane]*identityLane `json:"lanes"`
}

type identityLane struct {
	Last  uint64 `json:"last"`
	Acked uint64 `json:"acked"`
}

const maxPast = 32

// readIdentity reads the file. With any error comes an identity that knows
// nothing.
func readIdentity(dir string) (*identity, error) {
	none := &identity{}
	text, err := os.ReadFile(filepath.Join(dir, IdentityName))
	if err != nil {
		return none, err
	}
	line, sum, ok := bytes.Cut(text, []byte("\n"))
	if !ok || fmt.Sprintf("%08x\n", checksum(line)) != string(sum) {
		return none, fmt.Errorf("read identity: checksum: %w", errCorrupt)
	}
	id := new(identity)
	if err := json.Unmarshal(line, id); err != nil {
		return none, fmt.Errorf("read identity: %v: %w", err, errCorrupt)
	}
	for _, st := range id.Streams {
		for l := range longan.Lanes {
			if st.Lanes[longan.Lane(l)] == nil && st.Lanes != nil {
				st.Lanes[longan.Lane(l)] = &identityLane{}
			}
		}
	}
	return id, nil
}

// lane returns what is known of a lane of an epoch.
func (id *identity) lane(epoch epochID, l longan.Lane) (last, acked uint64) {
	for _, st := range id.Streams {
		if lane := st.Lanes[l]; st.Epoch == epoch.String() && lane != nil {
			return lane.Last, lane.Acked
		}
	}
	return 0, 0
}

// past reports whether the city has an epoch altogether.
func (id *identity) past(epoch epochID) bool { return slices.Contains(id.Past, epoch.String()) }

// ahead reports whether the identity knows of more than the file holds: then the
// file is an old copy, and going on with it would give out numbers twice.
func (id *identity) ahead(c *content) bool {
	if id.Run > c.head.run+1 {
		return true
	}
	for l, lane := range c.streams[len(c.streams)-1].lanes {
		if last, _ := id.lane(c.head.epoch, longan.Lane(l)); last > lane.Last {
			return true
		}
	}
	return false
}

// notes is what the committer gathers for the identity file.
type notes struct {
	events int // since it was written
	saved  time.Time
	floor  time.Time
}

// When the identity file is written while the spool is in use.
const (
	saveAfter = 1000 // events
	saveEvery = 10 * time.Second
)

// saw takes note of an accepted event.
func (n *notes) saw(e *longan.Event) {
	n.events++
	n.passed(e)
}

// passed takes note of the time of an event, if it is by a good clock.
func (n *notes) passed(e *longan.Event) {
	if (e.Clock == longan.ClockNTP || e.Clock == longan.ClockCity) && e.Time.After(n.floor) {
		n.floor = e.Time
	}
}

// saveIdentity writes the file when it is due, or now.
func (s *Spool) saveIdentity(atOnce bool) {
	if s.db == nil || (!atOnce && (s.w.notes.events < saveAfter || time.Since(s.w.notes.saved) < saveEvery)) {
		return
	}
	s.w.notes.events, s.w.notes.saved = 0, time.Now()
	var now longan.Event
	s.opts.Stamp(&now) // of an idle board, the last event may be long ago
	s.w.notes.passed(&now)
	s.mu.Lock()
	id := s.known
	if s.w.notes.floor.After(id.Floor) {
		id.Floor = s.w.notes.floor
	}
	id.Version, id.Run, id.Wear = 1, s.w.head.run, s.wear
	before := id.Streams
	id.Streams = nil
	for _, st := range s.streams {
		known := identityStream{st.epoch.String(), map[longan.Lane]*identityLane{}}
		for l, lane := range st.lanes {
			known.Lanes[longan.Lane(l)] = &identityLane{lane.Last, lane.Acked}
		}
		id.Streams = append(id.Streams, known)
	}
	if epoch, err := parseEpoch(id.NoticesIn); err == nil {
		if st := s.find(epoch); st == nil || st.lanes[longan.State].Acked >= id.NoticesTo {
			id.Notices, id.NoticesIn, id.NoticesTo = nil, "", 0
		}
	}
	id.Past = slices.Clone(id.Past)
	for _, st := range before {
		if !slices.ContainsFunc(id.Streams, func(k identityStream) bool { return k.Epoch == st.Epoch }) {
			id.Past = append(id.Past, st.Epoch)
		}
	}
	id.Past = id.Past[max(0, len(id.Past)-maxPast):]
	s.known = id
	s.mu.Unlock()
	if err := s.writeIdentity(&id); err != nil {
		s.log.Warn("identity file is not written", "err", err)
	}
}

func (s *Spool) writeIdentity(id *identity) error {
	line, err := json.Marshal(id)
	if err != nil {
		return err
	}
	return s.replaceFile(filepath.Join(s.dir, IdentityName), fmt.Appendf(line, "\n%08x\n", checksum(line)))
}

// replaceFile writes a file so that a power cut leaves the old or the new one.
func (s *Spool) replaceFile(path string, text []byte) error {
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	s.opts.Failpoint(failIdentity)
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return syncDir(s.dir)
}

// ClockFloor returns a time that has passed: the latest by a good clock, of an
// accepted event or when the identity file was written, as far as that file
// knows. It is zero when there was none.
func (s *Spool) ClockFloor() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known.Floor
}
