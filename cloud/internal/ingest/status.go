package ingest

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/longan-edge/longan"
)

// saveEvery is the time between two writes of statuses: the latest full one of
// every device that sent any, all in one transaction.
const saveEvery = 3 * time.Second

// statusLoop shows statuses at once and saves the full ones now and then, until
// ctx ends. What is not saved then is sent again by the board.
func (in *Ingest) statusLoop(ctx context.Context) {
	unsaved := map[longan.DeviceID]*longan.Status{}
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-in.statuses:
			if s := in.applyStatus(m); s != nil && s.Full {
				unsaved[s.Device] = s
			}
		case <-tick.C:
			if len(unsaved) == 0 {
				continue
			}
			err := in.cfg.Store.SaveStatus(ctx, in.cfg.Now(), slices.Collect(maps.Values(unsaved))...)
			if err == nil {
				clear(unsaved)
			} else if !failing {
				in.log.Error("statuses are not saved, trying again", "devices", len(unsaved), "err", err)
			}
			failing = err != nil
		}
	}
}

// applyStatus shows a status, or refuses it and returns nil.
func (in *Ingest) applyStatus(m message) *longan.Status {
	if len(m.payload) == 0 {
		return nil // a retained status was cleared
	}
	s, err := longan.DecodeStatus(m.payload)
	if err != nil {
		in.refuse(BadMessage, m.topic.String(), err)
		return nil
	}
	if s.Device != m.topic.Device {
		in.refuse(WrongDevice, m.topic.String(), nil)
		return nil
	}
	in.cfg.View.ApplyStatus(s, m.retained)
	return s
}
