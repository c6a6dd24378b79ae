package spool

import (
	"slices"

	"github.com/longan-edge/longan"
)

// Stream is what is to be sent of one epoch. Its lanes are numbered and
// acknowledged on their own.
type Stream interface {
	Epoch() string
	Lane(longan.Lane) LaneStats
	Read(lane longan.Lane, from uint64, events, size int) ([]Record, error)
	Free(lane longan.Lane, seq uint64)
}

// LaneStats is where a lane stands.
type LaneStats struct {
	Last  uint64 // the newest accepted seq; 0 when there was none
	Acked uint64 // everything up to it was acknowledged by the city
	Freed uint64 // everything up to it is gone from the file
}

// Backlog returns the number of events that the city has not acknowledged,
// counting those that were given up meanwhile.
func (l LaneStats) Backlog() uint64 { return l.Last - l.Acked }

// stream is where an epoch on disk stands.
type stream struct {
	index uint16 // in the keys
	epoch epochID
	lanes [len(longan.Lanes)]lane
}

type lane struct {
	LaneStats
	stored uint64 // the Acked that the file knows
	bytes  int64  // of the lane's blocks in the file
}

// backlog reports whether a lane has something the city does not.
func (st *stream) backlog() bool {
	return slices.ContainsFunc(st.lanes[:], func(l lane) bool { return l.Acked < l.Last })
}

// find returns the stream of an epoch, or nil. The caller holds mu.
func (s *Spool) find(epoch epochID) *stream {
	for i := range s.streams {
		if s.streams[i].epoch == epoch {
			return &s.streams[i]
		}
	}
	return nil
}

// Streams returns everything there is to send: what earlier epochs left, the
// oldest first, then what the disk would not take, and last the epoch that is
// being written. They stay usable, and empty, when they are done with.
func (s *Spool) Streams() []Stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Stream
	for i := range s.streams {
		st := &s.streams[i]
		if i == len(s.streams)-1 {
			if s.memory.len() > 0 {
				all = append(all, memoryStream{s, s.memory.epoch})
			}
			all = append(all, fileStream{s, st.epoch})
		} else if st.backlog() {
			all = append(all, fileStream{s, st.epoch})
		}
	}
	if len(all) == 0 {
		all = append(all, memoryStream{s, s.memory.epoch})
	}
	return all
}

// fileStream is the Stream of an epoch on disk.
type fileStream struct {
	s     *Spool
	epoch epochID
}

func (f fileStream) Epoch() string { return f.epoch.String() }

func (f fileStream) Lane(l longan.Lane) LaneStats { return f.s.laneOf(f.epoch, l).LaneStats }

func (f fileStream) Read(l longan.Lane, from uint64, events, size int) ([]Record, error) {
	return f.s.read(f.epoch, l, from, events, size)
}

func (f fileStream) Free(l longan.Lane, seq uint64) { f.s.free(f.epoch, l, seq) }

func (s *Spool) laneOf(epoch epochID, l longan.Lane) lane {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st := s.find(epoch); st != nil {
		return st.lanes[l]
	}
	return lane{}
}

// free tells that the city has everything of a lane up to seq.
func (s *Spool) free(epoch epochID, l longan.Lane, seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.find(epoch)
	if st == nil {
		return
	}
	lane := &st.lanes[l]
	if seq = min(seq, lane.Last); seq > lane.Acked {
		lane.Acked = seq
		signal(s.wake)
	}
}

// Lane returns where a lane of the epoch that is being written stands.
func (s *Spool) Lane(l longan.Lane) LaneStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.streams) == 0 {
		return LaneStats{}
	}
	return s.streams[len(s.streams)-1].lanes[l].LaneStats
}

// Backlog returns the number of events of a lane, over all epochs, that the city
// has not acknowledged.
func (s *Spool) Backlog(l longan.Lane) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.memory.lanes[l].stats().Backlog()
	for i := range s.streams {
		n += s.streams[i].lanes[l].Backlog()
	}
	return n
}

// Read returns the records of a lane from seq on, of the epoch that is being
// written, that the city has not acknowledged, in order: at most events of them,
// and no more than size bytes of JSON except that the first always comes. A
// block whose checksum fails ends the read with an error behind the good ones,
// and the spool heals itself.
func (s *Spool) Read(l longan.Lane, seq uint64, events, size int) ([]Record, error) {
	s.mu.Lock()
	epoch := s.currentEpoch()
	s.mu.Unlock()
	return s.read(epoch, l, seq, events, size)
}

// Free tells that the city has everything of lane up to seq, of the epoch that is
// being written. The file follows with the next commit, or when the board has
// been idle; a power cut before that costs a resend. A seq beyond the last is
// cut to it: an ack can't reach into the future.
func (s *Spool) Free(l longan.Lane, seq uint64) {
	s.mu.Lock()
	epoch := s.currentEpoch()
	s.mu.Unlock()
	s.free(epoch, l, seq)
}
