package uplink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/longan-edge/longan"
)

// session is one connection to a broker. Only pump's goroutine uses it, but for
// the two channels that paho's goroutines fill.
type session struct {
	*Uplink
	id      string
	client  mqtt.Client
	acks    chan []byte    // from the subscription; bounded, an ack may be dropped
	lost    chan error     // from paho, when the connection ends
	home    chan struct{}  // the preferred broker can be reached again
	n       uint64         // statuses sent
	beats   int            // heartbeats among them
	last    mqtt.Token     // of the message published last
	told    *longan.Status // the last full one sent
	windows []*window      // one a stream, in the order they are sent
	most    int            // events in a batch, at first
	credit  uint64         // the city's, for events of paced lanes; 0 is none given
	reached atomic.Bool    // something answered at the broker's address
	sent    bool           // batches went out
	fruit   bool           // and were acknowledged
}

// runSession connects, serves the connection until it fails or ctx ends, and
// leaves nothing of it behind. It reports whether anything answered at the
// broker's address.
func (u *Uplink) runSession(ctx context.Context, broker string, h *home) (reached bool, err error) {
	s := &session{
		Uplink: u,
		id:     newSessionID(),
		acks:   make(chan []byte, 64),
		lost:   make(chan error, 1),
		home:   make(chan struct{}, 1),
		most:   firstBatch(u.fruitless),
	}
	start := time.Now()
	err = s.run(ctx, broker, h)
	switch {
	case s.fruit:
		u.fruitless = 0
	case s.sent:
		u.fruitless++
	}
	if u.broker == 0 && time.Since(start) > stableAfter {
		h.settled()
	}
	return s.reached.Load(), err
}

// firstBatch returns how many events the batches of a session may have at first,
// after so many that heard no ack. Every other session sends large ones all the
// same: it may be the acks alone that don't come through, and with small batches
// the newest alarm would wait for ever behind the few that fill the window.
func firstBatch(fruitless int) int {
	if fruitless%2 == 0 {
		return batchEvents
	}
	return max(1, batchEvents>>min(fruitless, 8))
}

// run is runSession's session.
func (s *session) run(ctx context.Context, broker string, h *home) error {
	// The connection lives longer than ctx, to say goodbye, and ends with this
	// function: paho can stop waiting neither for a CONNACK nor for a write. The
	// broker publishes the will of a session that failed, as it should.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	options, err := s.options(ctx, life, broker)
	if err != nil {
		end()
		return err
	}
	s.client = mqtt.NewClient(options)
	defer s.client.Disconnect(uint(endTimeout.Milliseconds())) // waits for paho's goroutines
	defer end()
	if err := wait(ctx, s.client.Connect(), connectTimeout+sendTimeout); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	if err := s.subscribe(ctx); err != nil {
		return err
	}
	s.cfg.Log.Info("link to the city is up", "broker", redact(broker), "session", s.id)
	var looking sync.WaitGroup
	defer looking.Wait()
	if s.broker != 0 {
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		looking.Go(func() { s.look(ctx, h, s.home) })
	}
	err = s.pump(ctx)
	if ctx.Err() != nil || errors.Is(err, errHome) {
		s.sayGoodbye()
	}
	return err
}

// options returns what paho needs. It dials until ctx ends, and the connection
// is closed when life ends.
func (s *session) options(ctx, life context.Context, broker string) (*mqtt.ClientOptions, error) {
	will, err := (&longan.Status{Device: s.cfg.Device, Session: s.id, Epoch: s.cfg.Epoch(), State: longan.Offline}).Encode()
	if err != nil {
		return nil, fmt.Errorf("encode will: %w", err)
	}
	o := mqtt.NewClientOptions()
	o.AddBroker(broker)
	o.SetClientID(string(s.cfg.Device))
	o.SetUsername(s.cfg.Username)
	o.SetPassword(s.cfg.Password)
	o.SetProtocolVersion(4) // or paho tries MQTT 3.1 as well, doubling every failure
	o.SetCleanSession(true)
	o.SetAutoReconnect(false)
	o.SetConnectRetry(false)
	o.SetOrderMatters(false) // handlers only enqueue
	o.SetKeepAlive(keepAlive)
	o.SetPingTimeout(pingTimeout)
	o.SetConnectTimeout(connectTimeout)
	o.SetWriteTimeout(sendTimeout) // zero would block for ever on a dead link
	o.SetBinaryWill(s.topic(longan.TopicStatus), will, 1, true)
	o.SetDefaultPublishHandler(func(mqtt.Client, mqtt.Message) {})
	o.SetCustomOpenConnectionFn(func(u *url.URL, _ mqtt.ClientOptions) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, connectTimeout)
		defer cancel()
		conn, err := s.cfg.Dial(ctx, u)
		if err == nil || errors.Is(err, syscall.ECONNREFUSED) {
			s.reached.Store(true)
		}
		if err != nil {
			return nil, err
		}
		context.AfterFunc(life, func() { conn.Close() })
		return conn, nil
	})
	o.SetConnectionLostHandler(func(_ mqtt.Client, err error) {
		select {
		case s.lost <- err:
		default:
		}
	})
	return o, nil
}

func (s *session) topic(kind longan.TopicKind) string {
	return longan.Topic{Device: s.cfg.Device, Kind: kind}.String()
}

// subscribe asks for acks and looks at the broker's answer: paho's token has no
// error when a broker refuses.
func (s *session) subscribe(ctx context.Context) error {
	topic := s.topic(longan.TopicAck)
	token := s.client.Subscribe(topic, 0, func(_ mqtt.Client, m mqtt.Message) {
		select {
		case s.acks <- m.Payload():
		default: // acks are cumulative: the next one makes up for it
		}
	})
	if err := wait(ctx, token, connectTimeout); err != nil {
		return fmt.Errorf("subscribe to acks: %w", err)
	}
	for filter, code := range token.(*mqtt.SubscribeToken).Result() {
		if code > 2 {
			return fmt.Errorf("subscribe to %s: broker refused with code %#x; check the device's rights there", filter, code)
		}
	}
	return nil
}

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

// sayGoodbye leaves the retained status offline: a clean disconnect discards
// the will.
func (s *session) sayGoodbye() {
	status := s.cfg.Status()
	status.State, status.Session, status.Epoch, status.Full = longan.Offline, s.id, s.cfg.Epoch(), true
	payload, err := status.Encode()
	if err != nil {
		s.cfg.Log.Error("encode status", "err", err)
		return
	}
	s.client.Publish(s.topic(longan.TopicStatus), 1, true, payload).WaitTimeout(2 * time.Second)
	s.client.Disconnect(250) // in ms; with 0 the packet may stay behind, and the will goes out
}
