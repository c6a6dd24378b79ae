package broker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
	"github.com/mochi-mqtt/server/v2/system"

	"github.com/longan-edge/longan"
)

// insideID is the listener of the city's own clients.
const insideID = "inside"

// mochi adapts mochi-mqtt. This file is the only one that knows it.
type mochi struct{ server *mqtt.Server }

func newMochi(b *Broker) (*mochi, error) {
	limits := mqtt.NewDefaultServerCapabilities()
	limits.MaximumClients = maxClients
	limits.MaximumClientWritesPending = maxPending
	limits.MaximumInflight = maxPending
	limits.ReceiveMaximum = maxPending
	limits.MaximumPacketSize = maxPacket
	limits.MaximumSessionExpiryInterval = uint32(maxSession.Seconds())
	limits.TopicAliasMaximum = 0
	s := mqtt.New(&mqtt.Options{
		Capabilities:           limits,
		Logger:                 slog.New(quiet{b.log.Handler()}),
		SysTopicResendInterval: 3600,
	})
	if err := s.AddHook(&hook{broker: b, server: s}, nil); err != nil {
		return nil, err
	}
	return &mochi{s}, s.Serve()
}

func (m *mochi) listen(id string, a *acceptor) error {
	if err := m.server.AddListener(listeners.NewNet(id, a)); err != nil {
		return err
	}
	m.server.Listeners.Serve(id, m.server.EstablishConnection)
	return nil
}

// close stops the server, whose connections have been closed. It waits until the
// server has let go of its clients: mochi looks through them with a read lock that
// it takes twice, and a client that leaves in between stops both for ever.
func (m *mochi) close() error {
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		m.server.Listeners.ClientsWg.Wait()
	}()
	timer := time.NewTimer(closeWithin)
	defer timer.Stop()
	select {
	case <-gone:
		return m.server.Close()
	case <-timer.C:
		return errors.New("close broker: clients did not end in time")
	}
}

// hook is what this package decides of mochi's doings.
type hook struct {
	mqtt.HookBase
	broker *Broker
	server *mqtt.Server
}

// ID implements mqtt.Hook.
func (h *hook) ID() string { return "longan" }

// Provides implements mqtt.Hook.
func (h *hook) Provides(b byte) bool {
	return bytes.IndexByte([]byte{mqtt.OnConnect, mqtt.OnConnectAuthenticate, mqtt.OnACLCheck, mqtt.OnPublish, mqtt.OnPublishDropped, mqtt.OnSysInfoTick}, b) >= 0
}

// OnConnect bounds the keep-alive before mochi takes the deadline of the
// connection from it; it would wait for ever for a client that asks for none.
func (h *hook) OnConnect(cl *mqtt.Client, _ packets.Packet) error {
	if cl.State.Keepalive == 0 || cl.State.Keepalive > maxKeepAlive {
		cl.State.Keepalive = maxKeepAlive
		cl.State.ServerKeepalive = true
	}
	return nil
}

// OnConnectAuthenticate implements mqtt.Hook. It also looks at the will, which
// mochi publishes without asking for the right to.
func (h *hook) OnConnectAuthenticate(cl *mqtt.Client, pk packets.Packet) bool {
	if cl.Net.Listener == insideID {
		return true
	}
	why := h.refusal(cl, pk)
	if why != "" {
		h.broker.refusals.note(clip(cl.ID), "connect from "+cl.Net.Remote, why)
	}
	return why == ""
}

// refusal returns why a client may not connect, or "".
func (h *hook) refusal(cl *mqtt.Client, pk packets.Packet) string {
	device, err := longan.ParseDeviceID(cl.ID)
	switch {
	case h.broker.cfg.Anonymous:
		if bytes.HasPrefix([]byte(cl.ID), []byte(insidePrefix)) {
			return "client ids that begin with " + insidePrefix + " are the city's"
		}
	case err != nil:
		return err.Error()
	case string(pk.Connect.Username) != string(device):
		return fmt.Sprintf("user name %q is not the client id", clip(string(pk.Connect.Username)))
	case h.broker.cfg.Auth == nil || !h.broker.cfg.Auth.Authenticate(device, pk.Connect.Password):
		return "no such device, or wrong password"
	}
	if pk.Connect.WillFlag && pk.Connect.WillTopic != (longan.Topic{Device: device, Kind: longan.TopicStatus}).String() {
		return fmt.Sprintf("will for %q: want the device's own status", clip(pk.Connect.WillTopic))
	}
	return ""
}

// OnACLCheck implements mqtt.Hook. mochi asks at every publish and subscribe,
// and again for every message that it is about to deliver.
func (h *hook) OnACLCheck(cl *mqtt.Client, topic string, write bool) bool {
	if cl.Net.Listener == insideID {
		return true
	}
	device, err := longan.ParseDeviceID(cl.ID)
	what, may := "subscribe to ", false
	switch {
	case write:
		what, may = "publish to ", err == nil && mayPublish(device, topic)
	case err == nil:
		may = maySubscribe(device, topic)
	default: // a spectator: others do not come past OnConnectAuthenticate
		may = h.broker.cfg.Anonymous && mayWatch(topic)
	}
	if !may {
		h.broker.refusals.note(clip(cl.ID), what+clip(topic), "not its own topic")
	}
	return may
}

// OnPublish implements mqtt.Hook: nothing but a status is retained.
func (h *hook) OnPublish(_ *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	if pk.FixedHeader.Retain && !mayRetain(pk.TopicName) {
		pk.FixedHeader.Retain = false
	}
	return pk, nil
}

// OnPublishDropped implements mqtt.Hook.
func (h *hook) OnPublishDropped(*mqtt.Client, packets.Packet) { h.broker.dropped.Add(1) }

// OnSysInfoTick implements mqtt.Hook. mochi has just retained some twenty messages
// about itself, which nobody may read, and which it would look through every
// second.
func (h *hook) OnSysInfoTick(*system.Info) {
	for topic := range h.server.Topics.Retained.GetAll() {
		if strings.HasPrefix(topic, mqtt.SysPrefix+"/") {
			h.server.Topics.Retained.Delete(topic)
		}
	}
}

// clip shortens foreign text for the log.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return fmt.Sprintf("%s… (%d bytes)", s[:most], len(s))
}

// quiet passes mochi's log on as debug messages, and without its packets, which
// carry payloads and passwords.
type quiet struct{ slog.Handler }

func (q quiet) Enabled(ctx context.Context, _ slog.Level) bool {
	return q.Handler.Enabled(ctx, slog.LevelDebug)
}

func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	plain := slog.NewRecord(r.Time, slog.LevelDebug, "mqtt: "+r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		if a.Key != "pk" && a.Key != "packet" && a.Key != "will" {
			plain.AddAttrs(a)
		}
		return true
	})
	return q.Handler.Handle(ctx, plain)
}

func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(attrs)} }
func (q quiet) WithGroup(name string) slog.Handler       { return quiet{q.Handler.WithGroup(name)} }
