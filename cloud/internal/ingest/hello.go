package ingest

import (
	"context"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/cloud/internal/store"
)

// helloEpochs bounds the epochs of one device that are greeted: the latest.
const helloEpochs = 4

// hello tells the boards that the city listens, and what it has of each epoch.
// What they had sent to an earlier session, and was not stored, the broker may
// have thrown away: they send it again at once, and so in order, instead of after
// a timeout.
func (in *Ingest) hello(ctx context.Context, client mqtt.Client) error {
	streams, err := in.cfg.Store.Streams(ctx, "")
	if err != nil {
		if ctx.Err() == nil {
			in.log.Warn("boards are not greeted, they send again after their timeout", "err", err)
		}
		return ctx.Err()
	}
	for _, a := range greetings(streams, in.cfg.Counties) {
		a.Time = in.cfg.Now()
		if err := in.publishAck(ctx, client, a.device, &a.Ack); err != nil {
			return err
		}
	}
	return nil
}

// greeting is the hello of one epoch.
type greeting struct {
	longan.Ack
	device longan.DeviceID
}

// greetings returns one for every known epoch of the counties; streams are in the
// order in which they were first seen.
func greetings(streams []store.Stream, counties []string) []*greeting {
	var all []*greeting
	byKey := map[ackKey]*greeting{}
	epochs := map[longan.DeviceID]int{}
	for _, s := range streams {
		k := ackKey{s.Device, s.Epoch}
		if byKey[k] == nil {
			byKey[k] = &greeting{longan.Ack{Epoch: s.Epoch, Lanes: map[longan.Lane]uint64{}, Hello: true}, s.Device}
			all = append(all, byKey[k])
			epochs[s.Device]++
		}
		byKey[k].Lanes[s.Lane] = s.Acked
	}
	var due []*greeting
	for _, g := range all {
		late := epochs[g.device] <= helloEpochs
		epochs[g.device]--
		if late && ofCounties(g.device, counties) {
			due = append(due, g)
		}
	}
	return due
}

func ofCounties(d longan.DeviceID, counties []string) bool {
	for _, c := range counties {
		if c == "" || c == d.County() {
			return true
		}
	}
	return false
}
