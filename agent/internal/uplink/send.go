package uplink

import (
	"fmt"
	"hash/crc32"
	"math"
	"slices"

	"github.com/longan-edge/longan"
)

// castagnoli is the polynomial of CRC-32C.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// refresh gives every stream its window. What is gone has nothing to send.
func (s *session) refresh() {
	var windows []*window
	for _, st := range s.cfg.Streams() {
		i := slices.IndexFunc(s.windows, func(w *window) bool { return w.stream.Epoch() == st.Epoch() })
		if i >= 0 {
			windows = append(windows, s.windows[i])
		} else {
			windows = append(windows, newWindow(st, s.most))
		}
	}
	s.windows = windows
}

// waiting reports whether anything sent waits for an ack.
func (s *session) waiting() bool {
	return slices.ContainsFunc(s.windows, func(w *window) bool { return w.waiting })
}

// sendBatches fills the windows: alarms first, and of a lane the oldest epoch
// first.
func (s *session) sendBatches() error {
	s.refresh()
	for _, lane := range longan.Lanes {
		for _, w := range s.windows {
			for {
				sent, err := s.sendBatch(w, lane)
				if err != nil {
					return err
				}
				if !sent {
					break
				}
				if lane != longan.Alarm && s.alarmWaits() {
					return s.sendBatches() // it arrived meanwhile: it goes before the next batch
				}
			}
		}
	}
	return nil
}

// alarmWaits reports whether an alarm could be sent that was not.
func (s *session) alarmWaits() bool {
	return slices.ContainsFunc(s.windows, func(w *window) bool {
		return w.unsent(longan.Alarm) && !w.full(longan.Alarm)
	})
}

// allowed returns how many events of a lane the city lets come now. Alarms are
// never paced; of the others a batch waits until it is worth its while.
func (s *session) allowed(lane longan.Lane) int {
	if lane == longan.Alarm || s.credit == 0 {
		return math.MaxInt
	}
	credit := int(min(s.credit, math.MaxInt32))
	left := credit
	for _, w := range s.windows {
		left -= w.underWay(longan.State) + w.underWay(longan.Sample)
	}
	if left < min(credit, leastPaced) {
		return 0
	}
	return left
}

// sendBatch sends the next batch of a lane, or returns false when there is none
// or the window is full.
func (s *session) sendBatch(w *window, lane longan.Lane) (sent bool, err error) {
	batch, records, err := w.next(lane, s.cfg.Device, s.allowed(lane))
	if err != nil || batch == nil {
		return false, err
	}
	s.sent = true
	payload, err := batch.EncodeRaw(records)
	if err != nil { // no message of the contract: the city could not take it either
		w.published(lane, 0)
		s.halve(w, lane, 0, err.Error())
		return true, nil
	}
	w.published(lane, crc32.Checksum(payload, castagnoli))
	topic := longan.Topic{Device: s.cfg.Device, Kind: longan.TopicUp, Lane: lane}.String()
	if err := s.publish(topic, 1, false, payload); err != nil {
		return false, fmt.Errorf("send batch: %w", err)
	}
	return true, nil
}
