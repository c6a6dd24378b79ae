package uplink

import (
	"fmt"
	"slices"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/agent/internal/spool"
)

// refusedGap returns the event that goes in the place of one that the city can't
// take: the lane moves on, and the city shows a hole. What was refused lies with
// the city, set aside.
func refusedGap(l longan.Lane, r spool.Record) []byte {
	gap := longan.Event{
		Seq: r.Seq, Lane: l, Type: longan.SpoolGap,
		Data: fmt.Appendf(nil, `{"lane":%q,"from":%d,"to":%d,"count":1,"reason":"refused"}`, l, r.Seq, r.Seq),
	}
	if e, err := longan.ParseEvent(r.JSON); err == nil { // when it was, if that can be read
		gap.Time, gap.Clock, gap.Boot, gap.Mono = e.Time, e.Clock, e.Boot, e.Mono
	}
	return gap.AppendJSON(nil)
}

// takeRefusal acts on the city's word that it can't take something.
func (s *session) takeRefusal(r *longan.Refusal) {
	if r.Reason == longan.RefusedClone {
		if now := time.Now(); now.Sub(s.cloneSaid) > cloneEvery {
			s.cloneSaid = now
			s.cfg.Log.Error("another board uses this device id: check [center] device in the site files of both boards")
		}
		return
	}
	i := slices.IndexFunc(s.windows, func(w *window) bool { return w.isUnderWay(r.Lane, r.CRC) })
	if i < 0 {
		return // of an earlier session, or acknowledged since
	}
	s.halve(s.windows[i], r.Lane, r.CRC, r.Reason)
}

// halve sends what was refused again in smaller batches.
func (s *session) halve(w *window, l longan.Lane, crc uint32, why string) {
	b, ok := w.refused(l, crc)
	if ok {
		s.cfg.Log.Warn("the city can't take a batch, sending it in smaller ones", "epoch", w.stream.Epoch(), "lane", l.String(),
			"first", b.first, "last", b.last, "reason", why)
	}
}

// isUnderWay reports whether a batch with that checksum is not acknowledged.
func (w *window) isUnderWay(l longan.Lane, crc uint32) bool {
	return slices.ContainsFunc(w.lanes[l].batches, func(b sentBatch) bool { return b.crc == crc })
}
