package uplink

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/longan-edge/longan"
)

// errStalled: there is a backlog, the link seems up, and nothing moves.
var errStalled = errors.New("the city acknowledges nothing")

const (
	// statusSettle is how long a status waits for more of what changed together.
	statusSettle = 50 * time.Millisecond
	// statusEvery bounds how often a full status is sent when points change.
	statusEvery = time.Second
	// fullEvery is how often the full status is renewed, for a city that missed
	// one. Between two the heartbeats say that nothing changed.
	fullEvery = 5 * time.Minute
	// answeredEvery is how many heartbeats there are to one that the broker
	// answers. With the usual 10 s that is within keepAlive.
	answeredEvery = 5
	// watchEvery is how often waiting batches are looked after.
	watchEvery = time.Second
)

// pump is the session's loop. Status first, so that the city sees the present
// before the past; then batches as the window allows.
func (s *session) pump(ctx context.Context) error {
	heartbeat := time.NewTicker(s.cfg.Heartbeat)
	defer heartbeat.Stop()
	settle := time.NewTimer(0) // the first status goes out at once
	defer settle.Stop()
	watch := time.NewTicker(watchEvery)
	watch.Stop() // it runs only while there is something to look after
	defer watch.Stop()
	due, watching := true, false
	var fullAt time.Time
	for {
		changed := s.cfg.Changed()
		if !fullAt.IsZero() {
			if err := s.sendBatches(); err != nil {
				return err
			}
		}
		if busy := s.waiting(); busy != watching {
			if watching = busy; busy {
				watch.Reset(watchEvery)
			} else {
				watch.Stop()
			}
		}
		select {
		case <-changed:
		case payload := <-s.acks:
			s.takeAck(payload)
		case <-s.cfg.StatusChanged:
			if !due {
				due = true
				settle.Reset(max(statusSettle, statusEvery-time.Since(fullAt)))
			}
		case <-settle.C:
			if err := s.sendStatus(true); err != nil {
				return err
			}
			due, fullAt = false, time.Now()
			heartbeat.Reset(s.cfg.Heartbeat)
		case <-heartbeat.C:
			if time.Since(fullAt) >= fullEvery || !sameStates(s.cfg.Status(), s.told) {
				settle.Reset(0)
			} else if err := s.sendStatus(false); err != nil {
				return err
			}
		case <-watch.C:
			if err := s.watch(time.Now()); err != nil {
				return err
			}
		case <-s.home:
			return errHome
		case err := <-s.lost:
			return fmt.Errorf("link lost: %w", err)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// watch sends again what waits too long, and fails when nothing moves.
func (s *session) watch(now time.Time) error {
	for _, w := range s.windows {
		w.resend(now, ackTimeout)
	}
	if stalled(s.windows, now) {
		return errStalled
	}
	return nil
}

// sendStatus publishes the full status, retained, or a heartbeat.
func (s *session) sendStatus(full bool) error {
	status := s.cfg.Status()
	s.n++
	status.Session, status.N, status.Epoch, status.State, status.Full = s.id, s.n, s.cfg.Epoch(), longan.Online, full
	qos := byte(1)
	if full {
		s.told = status
	} else {
		// Now and then one that the broker answers: it takes the place of MQTT's
		// ping, at a third of the bytes.
		if s.beats++; s.beats%answeredEvery != 0 {
			qos = 0
		}
		status = status.Heartbeat()
	}
	payload, err := status.Encode()
	if err != nil {
		return fmt.Errorf("encode status: %w", err)
	}
	return s.publish(s.topic(longan.TopicStatus), qos, full, payload)
}

// sameStates reports whether a heartbeat may stand for the status: the city takes
// it as the word that all is as the last full status said. A point also becomes
// unknown when its driver hangs, and nobody signals that.
func sameStates(a, told *longan.Status) bool {
	if told == nil || len(a.Points) != len(told.Points) || len(a.Peripherals) != len(told.Peripherals) {
		return false
	}
	for name, p := range a.Points {
		if was, ok := told.Points[name]; !ok || p.State != was.State {
			return false
		}
	}
	for name, p := range a.Peripherals {
		if was, ok := told.Peripherals[name]; !ok || p.OK != was.OK {
			return false
		}
	}
	return true
}

// publish hands a message to paho. It does not wait for the broker: the window
// bounds what is under way, and only the city's ack counts. It fails when the
// message before could not be written: of a connection that was closed on our own
// side paho says so in no other way.
func (s *session) publish(topic string, qos byte, retain bool, payload []byte) error {
	if s.last != nil && failed(s.last) != nil {
		return fmt.Errorf("publish: %w", failed(s.last))
	}
	s.last = s.client.Publish(topic, qos, retain, payload)
	if err := failed(s.last); err != nil {
		return fmt.Errorf("publish to %s: %w", topic, err)
	}
	return nil
}

// failed returns the error of a token, nil while it is not done.
func failed(token mqtt.Token) error {
	select {
	case <-token.Done():
		return token.Error()
	default:
		return nil
	}
}

// takeAck frees what the city has, and takes what else it says.
func (s *session) takeAck(payload []byte) {
	ack, err := longan.DecodeAck(payload)
	if err != nil {
		s.cfg.Log.Warn("ack refused", "err", err)
		return
	}
	if s.cfg.CityTime != nil && !ack.Time.IsZero() {
		s.cfg.CityTime(ack.Time)
	}
	if ack.Refused != nil {
		s.takeRefusal(ack.Refused)
	}
	if ack.Epoch == "" {
		return
	}
	i := slices.IndexFunc(s.windows, func(w *window) bool { return w.stream.Epoch() == ack.Epoch })
	if i < 0 {
		s.cfg.Log.Warn("ack of another spool ignored", "epoch", ack.Epoch)
		return
	}
	s.credit = ack.Credit
	w := s.windows[i]
	for _, lane := range longan.Lanes {
		w.stream.Free(lane, ack.Lanes[lane])
	}
	s.fruit = w.acked(time.Now()) || s.fruit
	if ack.Hello {
		for _, lane := range longan.Lanes {
			w.rewind(lane)
		}
	}
}
