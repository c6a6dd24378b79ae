package spool

import (
	"fmt"
	"slices"
	"strings"

	"github.com/longan-edge/longan"
)

// maxMemory bounds the events that are kept in memory while the disk takes
// nothing.
const maxMemory = 256

// memory is what the disk would not take. It is an epoch of its own: numbers
// given out in memory and lost with the power must never name other events.
// When the disk is back, what the city has not acknowledged moves there.
type memory struct {
	epoch epochID
	lanes [len(longan.Lanes)]memoryLane
}

type memoryLane struct {
	last, acked uint64
	records     []Record // those not acknowledged, up to last
	entries     []Entry  // one for each record
}

func (m *memoryLane) stats() LaneStats {
	return LaneStats{Last: m.last, Acked: m.acked, Freed: m.acked}
}

func (m *memory) len() (n int) {
	for l := range m.lanes {
		n += len(m.lanes[l].records)
	}
	return n
}

// keepable reports whether an event may be kept in memory for want of a disk:
// what people must see now, and the news of the disk itself.
func keepable(e *longan.Event) bool {
	return e.Lane == longan.Alarm || strings.HasPrefix(e.Type, "device.")
}

// keep accepts a request in memory, or returns false. The caller holds mu.
func (m *memory) keep(r *request) bool {
	if m.len()+len(r.entries) > maxMemory || slices.ContainsFunc(r.entries, func(e Entry) bool { return !keepable(e.Event) }) {
		return false
	}
	for i, e := range r.entries {
		lane := &m.lanes[e.Event.Lane]
		lane.last++
		e.Event.Epoch, e.Event.Seq = m.epoch.String(), lane.last
		lane.records = append(lane.records, Record{Seq: lane.last, JSON: fmt.Appendf(nil, `{"seq":%d%s`, lane.last, r.bodies[i])})
		lane.entries = append(lane.entries, e)
	}
	return true
}

// memoryStream is the Stream of what is in memory.
type memoryStream struct {
	s     *Spool
	epoch epochID
}

func (m memoryStream) Epoch() string { return m.epoch.String() }

// Lane follows the epoch to disk when it has moved there.
func (m memoryStream) Lane(l longan.Lane) LaneStats {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	if m.s.memory.epoch == m.epoch {
		return m.s.memory.lanes[l].stats()
	}
	if st := m.s.find(m.epoch); st != nil {
		return st.lanes[l].LaneStats
	}
	return LaneStats{}
}

func (m memoryStream) Read(l longan.Lane, from uint64, events, size int) ([]Record, error) {
	m.s.mu.Lock()
	if m.s.memory.epoch != m.epoch {
		m.s.mu.Unlock()
		return m.s.read(m.epoch, l, from, events, size)
	}
	defer m.s.mu.Unlock()
	var out []Record
	for _, r := range m.s.memory.lanes[l].records {
		if r.Seq < from {
			continue
		}
		if size -= len(r.JSON); len(out) == events || (size < 0 && len(out) > 0) {
			break
		}
		out = append(out, r)
	}
	return out, nil
}

func (m memoryStream) Free(l longan.Lane, seq uint64) {
	m.s.mu.Lock()
	if m.s.memory.epoch != m.epoch {
		m.s.mu.Unlock()
		m.s.free(m.epoch, l, seq)
		return
	}
	defer m.s.mu.Unlock()
	lane := &m.s.memory.lanes[l]
	for seq = min(seq, lane.last); lane.acked < seq; lane.acked++ {
		lane.records, lane.entries = lane.records[1:], lane.entries[1:]
	}
}
