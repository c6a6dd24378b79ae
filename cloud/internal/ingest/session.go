package ingest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/longan-edge/longan"
)

// The patience with a broker.
const (
	connectTimeout = 20 * time.Second // TCP, TLS and CONNACK
	answerTimeout  = 10 * time.Second // SUBACK, a write
	// keepAlive and pingTimeout notice a dead link before its silence makes
	// centers look offline: within 15 s.
	keepAlive    = 5 * time.Second
	pingTimeout  = 5 * time.Second
	goodbye      = 500 * time.Millisecond // to say DISCONNECT and end paho's goroutines
	backoffFirst = 500 * time.Millisecond
	backoffMost  = 10 * time.Second
	stableAfter  = time.Minute // a session this long resets the backoff
)

// sessions keeps a session with the broker until ctx ends.
func (in *Ingest) sessions(ctx context.Context) {
	bound := backoffFirst
	for {
		start := time.Now()
		err := in.session(ctx)
		if ctx.Err() != nil {
			return
		}
		in.cfg.View.ApplyBroker(false)
		if time.Since(start) > stableAfter {
			bound = backoffFirst
		}
		wait := rand.N(bound) // full jitter: several bridges must not come back together
		bound = min(2*bound, backoffMost)
		in.log.Warn("no link to the broker", "err", err, "retry_in", wait.Round(time.Millisecond))
		if !sleep(ctx, wait) {
			return
		}
	}
}

// session connects, subscribes, and sends acks until the connection ends.
func (in *Ingest) session(ctx context.Context) error {
	lost, opened := make(chan error, 1), make(chan net.Conn, 1)
	client := mqtt.NewClient(in.options(ctx, lost, opened))
	defer client.Disconnect(uint(goodbye.Milliseconds()))
	err := wait(ctx, client.Connect(), connectTimeout+answerTimeout)
	select {
	case conn := <-opened:
		if err == nil {
			defer conn.Close()
		} else {
			conn.Close() // paho must not go on waiting for the CONNACK behind us
		}
	default:
	}
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	if err := in.subscribe(ctx, client); err != nil {
		return err
	}
	in.cfg.View.ApplyBroker(true)
	in.Metrics.Sessions.Add(1)
	in.log.Info("link to the broker is up", "counties", in.cfg.Counties)
	if err := in.hello(ctx, client); err != nil {
		return err
	}
	in.once.Do(func() { close(in.ready) })
	look := in.ear.listen()
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-lost:
			return fmt.Errorf("connection lost: %w", err)
		case <-look.C:
			if in.ear.deaf() {
				return errDeaf
			}
			look.Reset(in.ear.patience)
		case d := <-in.clones:
			ack := &longan.Ack{Time: in.cfg.Now(), Refused: &longan.Refusal{Reason: longan.RefusedClone}}
			if err := in.publishAck(ctx, client, d, ack); err != nil {
				return err
			}
		case <-in.acks.wake:
			if err := in.sendAcks(ctx, client); err != nil {
				return err
			}
		}
	}
}

func (in *Ingest) options(ctx context.Context, lost chan<- error, opened chan<- net.Conn) *mqtt.ClientOptions {
	o := mqtt.NewClientOptions()
	o.AddBroker("tcp://broker") // a name only: Dial knows where and how
	o.SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, connectTimeout)
		defer cancel()
		conn, err := in.cfg.Dial(ctx)
		if err != nil {
			return nil, err
		}
		// paho gives CONNECT and CONNACK a deadline of its own, connectTimeout.
		opened <- conn
		return conn, nil
	})
	o.SetClientID(in.cfg.ClientID)
	o.SetUsername(in.cfg.Username)
	o.SetPassword(in.cfg.Password)
	o.SetProtocolVersion(4) // or paho tries MQTT 3.1 as well, doubling every failure
	o.SetCleanSession(true) // with AutoReconnect off the one honest combination
	o.SetAutoReconnect(false)
	o.SetConnectRetry(false)
	// Handlers are called one after the other, so that batches reach the store
	// in the order in which they came. That is safe because they only enqueue:
	// a handler that waited for paho would stop it for ever.
	o.SetOrderMatters(true)
	o.SetKeepAlive(keepAlive)
	o.SetPingTimeout(pingTimeout)
	o.SetConnectTimeout(connectTimeout)
	o.SetWriteTimeout(answerTimeout) // zero would block for ever on a dead link
	o.SetDefaultPublishHandler(in.handle)
	o.SetConnectionLostHandler(func(_ mqtt.Client, err error) {
		select {
		case lost <- err:
		default:
		}
	})
	return o
}

// subscribe asks for batches and statuses and looks at the broker's answer:
// paho's token has no error when a broker refuses.
func (in *Ingest) subscribe(ctx context.Context, client mqtt.Client) error {
	filters := map[string]byte{}
	for _, county := range in.cfg.Counties {
		filters[longan.UpFilter(county)] = 1
		filters[longan.StatusFilter(county)] = 1
	}
	token := client.SubscribeMultiple(filters, in.handle)
	if err := wait(ctx, token, answerTimeout); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	granted := token.(*mqtt.SubscribeToken).Result()
	for filter := range filters {
		if code, ok := granted[filter]; !ok || code > 2 {
			return fmt.Errorf("subscribe to %s: broker refused with code %#x; check the rights of this user there", filter, code)
		}
	}
	return nil
}

// handle is paho's message handler. It must not block.
func (in *Ingest) handle(_ mqtt.Client, m mqtt.Message) {
	topic, err := longan.ParseTopic(m.Topic())
	if err != nil {
		in.refuse(BadTopic, m.Topic(), err)
		return
	}
	if !m.Retained() {
		in.ear.messages.Add(1)
	}
	msg := message{topic, m.Payload(), m.Retained()}
	dropped := 0
	switch topic.Kind {
	case longan.TopicUp:
		in.Metrics.Batches.Add(1)
		dropped = in.batches.put(msg)
	case longan.TopicStatus:
		in.Metrics.Statuses.Add(1)
		select {
		case in.statuses <- msg:
		default:
			dropped = 1 // the next heartbeat comes soon
		}
	default:
		in.refuse(WrongKind, m.Topic(), nil)
	}
	if dropped > 0 {
		in.Metrics.Dropped.Add(uint64(dropped))
		in.refused.note("no room: message dropped, the board will send again", "topic", m.Topic())
	}
}

// sendAcks sends the acks that are due.
func (in *Ingest) sendAcks(ctx context.Context, client mqtt.Client) error {
	for {
		k, d, ok := in.acks.take()
		if !ok {
			return nil
		}
		ack := &longan.Ack{Epoch: k.epoch, Lanes: d.lanes, Time: in.cfg.Now(), Credit: d.credit, Refused: d.refused}
		if err := in.publishAck(ctx, client, k.device, ack); err != nil {
			return err
		}
	}
}

// publishAck sends one ack. One that can't be encoded is told of, and no error.
func (in *Ingest) publishAck(ctx context.Context, client mqtt.Client, d longan.DeviceID, ack *longan.Ack) error {
	payload, err := ack.Encode()
	if err != nil {
		in.refused.note("encode ack", "device", d, "err", err)
		return nil
	}
	topic := longan.Topic{Device: d, Kind: longan.TopicAck}.String()
	if err := wait(ctx, client.Publish(topic, 0, false, payload), answerTimeout); err != nil {
		return fmt.Errorf("publish ack: %w", err)
	}
	in.Metrics.Acks.Add(1)
	return nil
}

// errDeaf: the link looks well, and brings nothing.
var errDeaf = errors.New("nothing is heard of any board, subscribing anew")

// errWait: the broker did not answer in time.
var errWait = errors.New("no answer from the broker")

// wait waits for a token, bounded by ctx and d.
func wait(ctx context.Context, token mqtt.Token, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-token.Done():
		return token.Error()
	case <-timer.C:
		return errWait
	case <-ctx.Done():
		return ctx.Err()
	}
}
