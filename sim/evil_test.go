package sim

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/longan-edge/longan"
)

// deed is what an evil broker does with a packet, beside or in place of what it
// should. The zero value is what it should.
type deed uint

const (
	mute   deed = 1 << iota // does not answer it
	forget                  // answers, but does not deliver it
	twice                   // delivers it two times
	hold                    // delivers it after the next one
	refuse                  // answers with a refusal
	hangUp                  // closes the connection after it
	freeze                  // neither reads nor writes from now on, and stays connected
)

// evil is a small MQTT 3.1.1 broker in memory that does wrong what it is told to.
// Without misdeeds it is a good one, but for QoS 2, which nobody uses here.
type evil struct {
	// The misdeeds, asked for every packet with the lock held; nil is none.
	connecting  func(c *evilClient) deed
	subscribing func(c *evilClient) deed
	publishing  func(c *evilClient, topic longan.Topic, p *packets.PublishPacket) deed

	mu       sync.Mutex
	clients  []*evilClient
	retained map[string]*packets.PublishPacket
	connects []connect // of boards
	unclean  int       // clients that asked to have their session kept
	statuses map[longan.DeviceID]*longan.Status
	running  sync.WaitGroup
	closed   bool
}

// connect is when a client sent CONNECT.
type connect struct {
	id string
	at time.Time
}

// evilClient is a connection to an evil broker.
type evilClient struct {
	*evil
	id      string
	conn    net.Conn
	filters map[string]byte // QoS by filter
	will    *packets.PublishPacket
	held    []*packets.PublishPacket
	deaf    bool // nothing more is sent to it, and what it sends is taken
	out     chan packets.ControlPacket
	frozen  chan struct{} // closed by freeze
	gone    chan struct{} // closed when the connection ends
	lastID  uint16
}

// city reports whether it is the bridge's connection, and not a board's.
func (c *evilClient) city() bool { return strings.HasPrefix(c.id, "longan-ingest") }

func newEvil() *evil {
	return &evil{retained: map[string]*packets.PublishPacket{}, statuses: map[longan.DeviceID]*longan.Status{}}
}

// misbehave changes the misdeeds.
func (e *evil) misbehave(f func(e *evil)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f(e)
}

// behave makes it a good broker, without the connections that it froze.
func (e *evil) behave() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.connecting, e.subscribing, e.publishing = nil, nil, nil
}

// serve accepts connections until the listener is closed.
func (e *evil) serve(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		e.accept(conn)
	}
}

// dial connects without a link: so the city does.
func (e *evil) dial(context.Context) (net.Conn, error) {
	near, far := net.Pipe()
	e.accept(far)
	return near, nil
}

func (e *evil) accept(conn net.Conn) {
	c := &evilClient{evil: e, conn: conn, filters: map[string]byte{}, out: make(chan packets.ControlPacket, 1<<12),
		frozen: make(chan struct{}), gone: make(chan struct{})}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		conn.Close()
		return
	}
	e.clients = append(e.clients, c)
	e.running.Go(c.read)
	e.running.Go(c.write)
}

// close ends all connections.
func (e *evil) close() {
	e.mu.Lock()
	e.closed = true
	for _, c := range e.clients {
		c.conn.Close()
		c.thaw()
	}
	e.mu.Unlock()
	e.running.Wait()
}

// kick ends the boards' connections, without a word.
func (e *evil) kick() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.clients {
		if !c.city() {
			c.conn.Close()
		}
	}
}

// status returns the last status that a board sent, whether or not it was
// delivered.
func (e *evil) status(device longan.DeviceID) *longan.Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.statuses[device]
}

// thaw ends the freeze of a connection that is closed.
func (c *evilClient) thaw() {
	select {
	case <-c.gone:
	default:
		close(c.gone)
	}
}

func (c *evilClient) freezeNow() {
	select {
	case <-c.frozen:
	default:
		close(c.frozen)
	}
}

// read serves what the client sends.
func (c *evilClient) read() {
	defer c.leave()
	for {
		p, err := packets.ReadPacket(c.conn)
		if err != nil || !c.take(p) {
			return
		}
		select {
		case <-c.frozen:
			<-c.gone
			return
		default:
		}
	}
}

// write sends what is queued for the client.
func (c *evilClient) write() {
	for {
		select {
		case <-c.frozen:
			return
		case <-c.gone:
			return
		case p := <-c.out:
			if p.Write(c.conn) != nil {
				c.conn.Close()
				return
			}
		}
	}
}

// leave publishes the will, if there is one left.
func (c *evilClient) leave() {
	c.conn.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.thaw()
	c.clients = slices.DeleteFunc(c.clients, func(o *evilClient) bool { return o == c })
	if c.will != nil {
		c.publish(c, c.will)
	}
}

// take does what a packet asks for, and reports whether the connection goes on.
func (c *evilClient) take(p packets.ControlPacket) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch p := p.(type) {
	case *packets.ConnectPacket:
		return c.connect(p)
	case *packets.SubscribePacket:
		return c.subscribe(p)
	case *packets.PublishPacket:
		return c.receive(p)
	case *packets.PingreqPacket:
		c.send(packets.NewControlPacket(packets.Pingresp))
	case *packets.DisconnectPacket:
		c.will = nil
		return false
	}
	return true
}

// after does what a deed leaves to be done when its packet is dealt with.
func (c *evilClient) after(d deed) bool {
	if d&freeze != 0 {
		c.freezeNow()
	}
	return d&hangUp == 0
}

func (c *evilClient) connect(p *packets.ConnectPacket) bool {
	c.id = p.ClientIdentifier
	if !p.CleanSession {
		c.unclean++
	}
	if !c.city() {
		c.connects = append(c.connects, connect{c.id, time.Now()})
	}
	for _, o := range c.clients {
		if o != c && o.id == c.id { // MQTT-3.1.4-2
			o.conn.Close()
			o.thaw()
		}
	}
	if p.WillFlag {
		c.will = packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
		c.will.TopicName, c.will.Payload, c.will.Retain, c.will.Qos = p.WillTopic, p.WillMessage, p.WillRetain, p.WillQos
	}
	var d deed
	if c.connecting != nil {
		d = c.connecting(c)
	}
	if d&(mute|freeze) == 0 {
		answer := packets.NewControlPacket(packets.Connack).(*packets.ConnackPacket)
		if d&refuse != 0 {
			answer.ReturnCode = packets.ErrRefusedServerUnavailable
		}
		c.send(answer)
	}
	return c.after(d)
}

func (c *evilClient) subscribe(p *packets.SubscribePacket) bool {
	var d deed
	if c.subscribing != nil {
		d = c.subscribing(c)
	}
	answer := packets.NewControlPacket(packets.Suback).(*packets.SubackPacket)
	answer.MessageID = p.MessageID
	for i, filter := range p.Topics {
		code := p.Qoss[i]
		if d&refuse != 0 {
			code = 0x80
		}
		if d&(refuse|forget) == 0 {
			c.filters[filter] = code
		}
		answer.ReturnCodes = append(answer.ReturnCodes, code)
	}
	if d&(mute|freeze) == 0 {
		c.send(answer)
	}
	for _, m := range c.retained {
		c.deliver(m, true)
	}
	return c.after(d)
}

func (c *evilClient) receive(p *packets.PublishPacket) bool {
	topic, err := longan.ParseTopic(p.TopicName)
	var d deed
	if err == nil && c.publishing != nil {
		d = c.publishing(c, topic, p)
	}
	if s, err := longan.DecodeStatus(p.Payload); topic.Kind == longan.TopicStatus && err == nil {
		c.statuses[s.Device] = s
	}
	if p.Qos == 1 && d&(mute|freeze) == 0 {
		answer := packets.NewControlPacket(packets.Puback).(*packets.PubackPacket)
		answer.MessageID = p.MessageID
		c.send(answer)
	}
	switch {
	case d&(forget|freeze) != 0:
	case d&hold != 0:
		c.held = append(c.held, p)
	default:
		c.publish(c, p)
		if d&twice != 0 {
			c.publish(c, p)
		}
		for _, p := range c.held {
			c.publish(c, p)
		}
		c.held = nil
	}
	return c.after(d)
}

// publish delivers a message to all who asked for it, and keeps it if it is to be
// retained.
func (e *evil) publish(_ *evilClient, p *packets.PublishPacket) {
	if p.Retain {
		e.retained[p.TopicName] = p
	}
	for _, c := range e.clients {
		c.deliver(p, false)
	}
}

func (c *evilClient) deliver(p *packets.PublishPacket, retained bool) {
	for filter, qos := range c.filters {
		if !matches(filter, p.TopicName) {
			continue
		}
		m := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
		m.TopicName, m.Payload, m.Qos, m.Retain = p.TopicName, p.Payload, min(qos, p.Qos), retained
		if m.Qos > 0 {
			c.lastID = c.lastID%65535 + 1
			m.MessageID = c.lastID
		}
		c.send(m)
		return
	}
}

// send queues a packet; the lock is held, so it must not wait.
func (c *evilClient) send(p packets.ControlPacket) {
	if c.deaf {
		return
	}
	select {
	case c.out <- p:
	default: // whoever reads nothing for so long has lost it
	}
}

// matches reports whether a topic filter has the topic (MQTT 3.1.1, section 4.7).
func matches(filter, topic string) bool {
	f, t := strings.Split(filter, "/"), strings.Split(topic, "/")
	for i, level := range f {
		if level == "#" {
			return true
		}
		if i >= len(t) || level != "+" && level != t[i] {
			return false
		}
	}
	return len(f) == len(t)
}
