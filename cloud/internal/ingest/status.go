package ingest

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/longan-edge/longan"
)

// saveEvery is the time between two writes of statuses: the latest full one of
// every device that sent any, all in one transaction.
const saveEvery = 3 * time.Second

// cloneEvery is the time between two words to the boards that share an id, and
// maxClones bounds those that wait.
const (
	cloneEvery = time.Minute
	maxClones  = 64
)

// unsaved is the latest full status of each device that is not saved yet.
type unsaved struct {
	mu     sync.Mutex
	latest map[longan.DeviceID]*longan.Status
}

func (u *unsaved) put(s *longan.Status) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.latest[s.Device] = s
}

// take returns all, and forgets them.
func (u *unsaved) take() []*longan.Status {
	u.mu.Lock()
	defer u.mu.Unlock()
	all := slices.Collect(maps.Values(u.latest))
	clear(u.latest)
	return all
}

// putBack puts back what could not be saved and has no successor.
func (u *unsaved) putBack(all []*longan.Status) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, s := range all {
		if u.latest[s.Device] == nil {
			u.latest[s.Device] = s
		}
	}
}

// statusLoop shows statuses at once, until ctx ends. It never waits for the
// store: a disk that hangs must not make centers look silent.
func (in *Ingest) statusLoop(ctx context.Context) {
	told := map[longan.DeviceID]time.Time{}
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-in.statuses:
			if s := in.applyStatus(m, told); s != nil && s.Full {
				in.unsaved.put(s)
			}
		}
	}
}

// saveLoop saves the full statuses now and then, until ctx ends. What is not
// saved then is sent again by the board.
func (in *Ingest) saveLoop(ctx context.Context) {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			all := in.unsaved.take()
			if len(all) == 0 {
				continue
			}
			err := in.cfg.Store.SaveStatus(ctx, in.cfg.Now(), all...)
			if err != nil {
				in.unsaved.putBack(all)
			}
			if err != nil && !failing && ctx.Err() == nil {
				in.log.Error("statuses are not saved, trying again", "devices", len(all), "err", err)
			}
			failing = err != nil
		}
	}
}

// applyStatus shows a status, or refuses it and returns nil.
// told is when the boards of an id were last told of each other.
func (in *Ingest) applyStatus(m message, told map[longan.DeviceID]time.Time) *longan.Status {
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
	if in.cfg.View.ApplyStatus(s, m.retained) {
		in.tellClone(s.Device, told)
		return nil // it must not take the place of the board that is shown
	}
	return s
}

// tellClone leaves word for the boards of a device id, at most once every
// cloneEvery, that there are two of them.
func (in *Ingest) tellClone(d longan.DeviceID, told map[longan.DeviceID]time.Time) {
	now := time.Now()
	if at, ok := told[d]; ok && now.Sub(at) < cloneEvery {
		return
	}
	maps.DeleteFunc(told, func(_ longan.DeviceID, at time.Time) bool { return now.Sub(at) >= cloneEvery })
	select {
	case in.clones <- d:
		told[d] = now
		in.log.Warn("two boards use one device id", "device", d)
	default: // there are too many of them; the next status is told
	}
}
