package uplink

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/longan-edge/longan"
)

// errStalled: there is a backlog, the link seems up, and nothing moves.
var errStalled = errors.New("the city acknowledges nothing")

// statusEvery bounds how often a full status is sent when points change.
const statusEvery = time.Second

// fullEvery is how often the full status is renewed: heartbeats carry no points,
// so it also bounds how old the ages of readings look at the city.
const fullEvery = time.Minute

// pump is the session's loop. Status first, so that the city sees the present
// before the past; then batches as the window allows.
func (s *session) pump(ctx context.Context) error {
	if err := s.sendStatus(true); err != nil {
		return err
	}
	lastFull, pending := time.Now(), false
	heartbeat := time.NewTicker(s.cfg.Heartbeat)
	defer heartbeat.Stop()
	tick := time.NewTicker(statusEvery)
	tick.Stop() // it runs only while there is something to look after
	defer tick.Stop()
	ticking := false
	for {
		changed := s.cfg.Changed()
		if err := s.sendBatches(); err != nil {
			return err
		}
		if busy := pending || s.waiting(); busy != ticking {
			if ticking = busy; busy {
				tick.Reset(statusEvery)
			} else {
				tick.Stop()
			}
		}
		select {
		case <-changed:
		case payload := <-s.acks:
			s.takeAck(payload)
		case <-s.cfg.StatusChanged:
			pending = true
		case <-tick.C:
			now := time.Now()
			for _, w := range s.windows {
				w.resend(now)
			}
			if stalled(s.windows, now) {
				return errStalled
			}
			if pending {
				if err := s.sendStatus(true); err != nil {
					return err
				}
				lastFull, pending = time.Now(), false
			}
		case <-heartbeat.C:
			full := time.Since(lastFull) >= fullEvery
			if err := s.sendStatus(full); err != nil {
				return err
			}
			if full {
				lastFull = time.Now()
			}
		case err := <-s.lost:
			return fmt.Errorf("link lost: %w", err)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// sendStatus publishes the full status, retained, or a heartbeat.
func (s *session) sendStatus(full bool) error {
	status := s.cfg.Status()
	s.n++
	status.Session, status.N, status.Epoch, status.State, status.Full = s.id, s.n, s.cfg.Epoch(), longan.Online, full
	if !full {
		status = status.Heartbeat()
	}
	payload, err := status.Encode()
	if err != nil {
		return fmt.Errorf("encode status: %w", err)
	}
	qos := byte(0)
	if full {
		qos = 1
	}
	return s.publish(s.topic(longan.TopicStatus), qos, full, payload)
}

// publish hands a message to paho. It does not wait for the broker: the window
// bounds what is under way, and only the city's ack counts.
func (s *session) publish(topic string, qos byte, retain bool, payload []byte) error {
	token := s.client.Publish(topic, qos, retain, payload)
	select {
	case <-token.Done():
		if err := token.Error(); err != nil {
			return fmt.Errorf("publish to %s: %w", topic, err)
		}
	default:
	}
	return nil
}

// refresh gives every stream its window. What is gone has nothing to send.
func (s *session) refresh() {
	var windows []*window
	for _, st := range s.cfg.Streams() {
		i := slices.IndexFunc(s.windows, func(w *window) bool { return w.stream.Epoch() == st.Epoch() })
		if i >= 0 {
			windows = append(windows, s.windows[i])
		} else {
			windows = append(windows, newWindow(st))
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

// sendBatch sends the next batch of a lane, or returns false when there is none
// or the window is full.
func (s *session) sendBatch(w *window, lane longan.Lane) (sent bool, err error) {
	batch, records, err := w.next(lane, s.cfg.Device)
	if err != nil || batch == nil {
		return false, err
	}
	payload, err := batch.EncodeRaw(records)
	if err != nil {
		return false, fmt.Errorf("encode batch: %w", err)
	}
	topic := longan.Topic{Device: s.cfg.Device, Kind: longan.TopicUp, Lane: lane}.String()
	return true, s.publish(topic, 1, false, payload)
}

// takeAck frees what the city has.
func (s *session) takeAck(payload []byte) {
	ack, err := longan.DecodeAck(payload)
	if err != nil {
		s.cfg.Log.Warn("ack refused", "err", err)
		return
	}
	i := slices.IndexFunc(s.windows, func(w *window) bool { return w.stream.Epoch() == ack.Epoch })
	if i < 0 {
		s.cfg.Log.Warn("ack of another spool ignored", "epoch", ack.Epoch)
		return
	}
	for _, lane := range longan.Lanes {
		s.windows[i].stream.Free(lane, ack.Lanes[lane])
	}
	s.windows[i].acked(time.Now())
}
