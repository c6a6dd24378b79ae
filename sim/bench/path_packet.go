package bench

import (
	"bytes"
	"encoding/binary"
	"sync"
)

// Kinds of packets, as the meter counts them. A PUBACK is told with what it
// confirms.
const (
	kindAlarm     = "alarm"
	kindState     = "state" // and any other lane
	kindAck       = "ack"   // of the city
	kindStatus    = "status"
	kindHeartbeat = "heartbeat" // a status that is not retained
	kindPing      = "ping"
	kindOther     = "other"   // CONNECT, SUBSCRIBE, and what is not ours
	pubackOf      = "_puback" // behind the kind that it confirms
)

// MQTT 3.1.1 packet types, section 2.2.1.
const (
	packetConnect   = 1
	packetConnack   = 2
	packetPublish   = 3
	packetPuback    = 4
	packetSubscribe = 8
	packetSuback    = 9
	packetPingreq   = 12
	packetPingresp  = 13
)

// packetIDs are the kinds of the QoS 1 messages that a client has under way.
type packetIDs struct {
	mu    sync.Mutex
	kinds map[uint16]string
}

// splitter finds the packets in one direction of a connection.
type splitter struct {
	up   bool // from the client to the broker
	ids  *packetIDs
	head []byte // the beginning of a packet, until its kind is clear
	kind string
	left int // bytes of the packet that are still to come
}

// feed takes what passed and hands on how many bytes of which kind it was, with 1
// where a packet begins and 0 where it goes on.
func (s *splitter) feed(b []byte, add func(kind string, packets, n int)) {
	for len(b) > 0 {
		if s.left > 0 {
			n := min(s.left, len(b))
			add(s.kind, 0, n)
			s.left -= n
			b = b[n:]
			continue
		}
		s.head = append(s.head, b[0])
		b = b[1:]
		kind, size, ok := s.parse()
		if !ok {
			continue
		}
		add(kind, 1, len(s.head))
		s.kind, s.left = kind, size-len(s.head)
		s.head = s.head[:0]
	}
}

// parse returns kind and size of the packet that head begins with, once there is
// enough of it.
func (s *splitter) parse() (kind string, size int, ok bool) {
	length, n := binary.Uvarint(s.head[1:]) // the same coding as MQTT's, 2.2.3
	if n <= 0 {
		return "", 0, false
	}
	body := s.head[1+n:]
	size = 1 + n + int(length)
	enough := len(s.head) == size
	switch s.head[0] >> 4 {
	case packetPublish:
		qos := s.head[0] >> 1 & 3
		need := 2
		if len(body) >= 2 {
			need += int(binary.BigEndian.Uint16(body))
		}
		if qos > 0 {
			need += 2
		}
		if !enough && (len(body) < 2 || len(body) < need) {
			return "", 0, false
		}
		return s.publish(body, qos > 0, s.head[0]&1 != 0), size, true
	case packetPuback:
		if !enough && len(body) < 2 {
			return "", 0, false
		}
		return s.puback(body), size, true
	case packetPingreq, packetPingresp:
		return kindPing, size, true
	}
	return kindOther, size, true
}

// publish returns the kind of a PUBLISH and remembers it for its PUBACK. The
// meter looks only at what passes between board and broker, so the down direction
// has no kinds to remember.
func (s *splitter) publish(body []byte, confirmed, retained bool) string {
	if len(body) < 2 {
		return kindOther
	}
	rest := body[2:]
	n := min(int(binary.BigEndian.Uint16(body)), len(rest))
	kind := kindOf(rest[:n], retained)
	if rest = rest[n:]; confirmed && s.up && len(rest) >= 2 {
		s.ids.mu.Lock()
		s.ids.kinds[binary.BigEndian.Uint16(rest)] = kind
		s.ids.mu.Unlock()
	}
	return kind
}

func (s *splitter) puback(body []byte) string {
	if len(body) < 2 || s.up {
		return kindOther + pubackOf
	}
	s.ids.mu.Lock()
	defer s.ids.mu.Unlock()
	id := binary.BigEndian.Uint16(body)
	kind, known := s.ids.kinds[id]
	if !known {
		kind = kindOther
	}
	delete(s.ids.kinds, id)
	return kind + pubackOf
}

// kindOf returns the kind of a message by its topic; docs/mqtt.md.
func kindOf(topic []byte, retained bool) string {
	switch {
	case bytes.HasSuffix(topic, []byte("/up/alarm")):
		return kindAlarm
	case bytes.Contains(topic, []byte("/up/")):
		return kindState
	case bytes.HasSuffix(topic, []byte("/ack")):
		return kindAck
	case bytes.HasSuffix(topic, []byte("/status")) && retained:
		return kindStatus
	case bytes.HasSuffix(topic, []byte("/status")):
		return kindHeartbeat
	}
	return kindOther
}
