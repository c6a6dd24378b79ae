package spool

import (
	"encoding/json"
	"fmt"

	"github.com/longan-edge/longan"
)

// Reasons of gaps.
const (
	reasonFull    = "full"    // the budget was spent
	reasonDamaged = "damaged" // their blocks could not be read any more
)

// gap stands in a lane for the events from to to that are gone. It is sent as one
// event, spool.gap, with the number to: the city learns of the loss where it
// happened, and a gap that grows gets another number.
type gap struct {
	lane     longan.Lane
	from, to uint64
	count    uint64 // events that were there; fewer than to-from+1 when not all are known
	reason   string
}

// gapData is the data of a spool.gap event.
type gapData struct {
	Lane   longan.Lane `json:"lane"`
	From   uint64      `json:"from"`
	To     uint64      `json:"to"`
	Count  uint64      `json:"count"`
	Reason string      `json:"reason"`
}

// block returns the record of the gap.
func (g gap) block(stamp func(*longan.Event)) (*block, error) {
	data, err := json.Marshal(gapData{g.lane, g.from, g.to, g.count, g.reason})
	if err != nil {
		return nil, fmt.Errorf("describe gap: %w", err)
	}
	e := &longan.Event{Lane: g.lane, Seq: g.to, Type: longan.SpoolGap, Data: data}
	stamp(e)
	return &block{
		kind: kindGap, lane: g.lane, first: g.from, last: g.to, count: g.count,
		payload: append(e.AppendJSON(nil), endOfEvent),
	}, nil
}

// parseGap is the opposite of block.
func parseGap(b *block) (gap, error) {
	records, err := b.records(new(inflater))
	if err != nil {
		return gap{}, err
	}
	e, err := longan.ParseEvent(records[0].JSON)
	if err != nil {
		return gap{}, fmt.Errorf("gap: %v: %w", err, errCorrupt)
	}
	var data gapData
	if err := json.Unmarshal(e.Data, &data); err != nil {
		return gap{}, fmt.Errorf("gap: %v: %w", err, errCorrupt)
	}
	return gap{b.lane, b.first, b.last, b.count, data.Reason}, nil
}
