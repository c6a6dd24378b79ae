package spool

import (
	"encoding/json"
	"slices"

	"github.com/longan-edge/longan"
)

// recoveredData is the data of a spool.recovered event.
type recoveredData struct {
	Reason string `json:"reason"`
	// Exact: it is so of all epochs.
	Exact  bool             `json:"exact"`
	Epochs []recoveredEpoch `json:"epochs"` // the last that was written comes last
}

type recoveredEpoch struct {
	Epoch string `json:"epoch"`
	// Exact: the last numbers are known. When not, events behind them may have
	// been accepted, and are lost.
	Exact bool                           `json:"exact"`
	Lanes map[longan.Lane]*recoveredLane `json:"lanes"`
}

type recoveredLane struct {
	Last     uint64 `json:"last"`     // the highest seq that is known to have been given out
	Salvaged uint64 `json:"salvaged"` // unacknowledged events that are still there
	Lost     uint64 `json:"lost"`     // unacknowledged events up to last that are not
}

// pending returns what the city was to be told of earlier recoveries, and may not
// know yet: what told it was in the spool that is lost now.
func (id *identity) pending(found *scan) []recoveredEpoch {
	epoch, err := parseEpoch(id.NoticesIn)
	if err != nil {
		return nil
	}
	_, acked := id.lane(epoch, longan.State)
	if e := found.epochs[epoch]; e != nil {
		acked = max(acked, e.lanes[longan.State].acked)
	}
	if acked >= id.NoticesTo {
		return nil
	}
	return id.Notices
}

// merge adds what is known now to what was to be told of an epoch before.
func (e *recoveredEpoch) merge(now recoveredEpoch) {
	e.Exact = e.Exact && now.Exact
	for l, lane := range now.Lanes {
		if before := e.Lanes[l]; before != nil {
			lane = &recoveredLane{max(before.Last, lane.Last), lane.Salvaged, before.Lost + lane.Lost}
		}
		e.Lanes[l] = lane
	}
}

// recoveredEvents returns the events that tell of a rebuilt spool, the first of
// the new epoch's states.
func (s *Spool) recoveredEvents(all []recoveredEpoch, streams []salvagedStream, known *identity, why string) []*longan.Event {
	for _, st := range streams {
		e := recoveredEpoch{st.epoch.String(), known.exact(st.epoch), map[longan.Lane]*recoveredLane{}}
		for l, lane := range st.lanes {
			if lane.last > 0 {
				e.Lanes[longan.Lane(l)] = &recoveredLane{lane.last, lane.kept, lane.lost}
			}
		}
		if i := slices.IndexFunc(all, func(o recoveredEpoch) bool { return o.Epoch == e.Epoch }); i >= 0 {
			all[i].merge(e)
		} else {
			all = append(all, e)
		}
	}
	const most = 12 // of the data's 4 KiB
	var events []*longan.Event
	for first := true; first || len(all) > 0; first = false {
		n := min(len(all), most)
		data := recoveredData{Reason: why, Exact: true, Epochs: append([]recoveredEpoch{}, all[:n]...)}
		all = all[n:]
		for _, e := range data.Epochs {
			data.Exact = data.Exact && e.Exact
		}
		e := &longan.Event{Lane: longan.State, Seq: uint64(len(events) + 1), Type: longan.SpoolRecovered}
		s.opts.Stamp(e)
		var err error
		if e.Data, err = json.Marshal(data); err != nil {
			s.log.Error("describe recovered spool", "err", err) // not reached: it is plain data
		}
		s.log.Warn("spool is rebuilt", "data", string(e.Data))
		events = append(events, e)
	}
	return events
}

// exact reports whether the last numbers of an epoch are known: those of the one
// that was being written only after a clean end, those of earlier ones always.
func (id *identity) exact(epoch epochID) bool {
	i := slices.IndexFunc(id.Streams, func(st identityStream) bool { return st.Epoch == epoch.String() })
	return i >= 0 && (i < len(id.Streams)-1 || id.Clean)
}

// noteRecovery keeps in mind what the spool.recovered events of the epoch that is
// being written tell, until the city has them.
func (s *Spool) noteRecovery() {
	epoch := s.Epoch()
	records, err := s.Read(longan.State, 1, 64, 256<<10)
	if err != nil {
		return // it is healed with the next commit
	}
	var all []recoveredEpoch
	to := uint64(0)
	for _, r := range records {
		e, err := longan.ParseEvent(r.JSON)
		var data recoveredData
		if err != nil || e.Type != longan.SpoolRecovered || json.Unmarshal(e.Data, &data) != nil {
			break
		}
		all, to = append(all, data.Epochs...), r.Seq
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known.Notices, s.known.NoticesIn, s.known.NoticesTo = all, epoch, to
	if to == 0 {
		s.known.NoticesIn = ""
	}
}
