package bench

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// mqttConn is the least that a neutral client of MQTT 3.1.1 needs, so that the
// peer is measured and not a client library: QoS 1 both ways, no keep-alive. One
// goroutine publishes, another receives.
type mqttConn struct {
	conn net.Conn
	in   *bufio.Reader
	mu   sync.Mutex // guards out
	out  *bufio.Writer
	id   uint16
	room chan struct{} // messages that may still be under way
}

// peerTopic is as long as that of the measurements which the goals come from.
const peerTopic = "ev/t017"

// dialMQTT connects with a clean session. window bounds what is published and not
// confirmed.
func dialMQTT(ctx context.Context, address, client string, window int) (*mqttConn, error) {
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("connect to broker: %w", err)
	}
	context.AfterFunc(ctx, func() { conn.Close() })
	c := &mqttConn{conn: conn, in: bufio.NewReaderSize(conn, 64<<10), out: bufio.NewWriterSize(conn, 64<<10), room: make(chan struct{}, window)}
	body := append([]byte{0, 4}, "MQTT\x04\x02\x00\x00"...) // level 4, clean session, no keep-alive
	body = appendText(body, client)
	if err := c.write(packetConnect<<4, body, nil); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	kind, body, err := c.read()
	if err == nil && (kind>>4 != packetConnack || len(body) != 2 || body[1] != 0) {
		err = fmt.Errorf("broker answers CONNECT with %#x %x", kind, body)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("connect to broker: %w", err), conn.Close())
	}
	return c, nil
}

func (c *mqttConn) close() error { return c.conn.Close() }

func appendText(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

// write sends a packet of two parts.
func (c *mqttConn) write(head byte, a, b []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.put(head, a, b)
	return c.out.Flush()
}

// put leaves a packet in the buffer; the error comes with Flush. c.mu is held.
func (c *mqttConn) put(head byte, a, b []byte) {
	c.out.WriteByte(head)
	c.out.Write(binary.AppendUvarint(nil, uint64(len(a)+len(b))))
	c.out.Write(a)
	c.out.Write(b)
}

// read returns the next packet; its body is valid until the next call at least.
func (c *mqttConn) read() (head byte, body []byte, err error) {
	if head, err = c.in.ReadByte(); err != nil {
		return 0, nil, err
	}
	n, err := binary.ReadUvarint(c.in)
	if err != nil {
		return 0, nil, err
	}
	const most = 1 << 20
	if n > most {
		return 0, nil, fmt.Errorf("packet of %d bytes", n)
	}
	body = make([]byte, n)
	_, err = io.ReadFull(c.in, body)
	return head, body, err
}

// publish sends a message, QoS 1, once there is room in the window.
func (c *mqttConn) publish(ctx context.Context, payload []byte) error {
	select {
	case c.room <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	if c.id++; c.id == 0 {
		c.id = 1
	}
	head := binary.BigEndian.AppendUint16(appendText(nil, peerTopic), c.id)
	return c.write(packetPublish<<4|2, head, payload)
}

// confirmed receives PUBACKs and makes room for more, until n have come.
func (c *mqttConn) confirmed(n int) error {
	for n > 0 {
		head, _, err := c.read()
		if err != nil {
			return fmt.Errorf("wait for PUBACK: %w", err)
		}
		if head>>4 == packetPuback {
			<-c.room
			n--
		}
	}
	return nil
}

// subscribe asks for the peer's messages, QoS 1.
func (c *mqttConn) subscribe() error {
	body := append(appendText([]byte{0, 1}, peerTopic), 1)
	if err := c.write(packetSubscribe<<4|2, body, nil); err != nil {
		return err
	}
	head, answer, err := c.read()
	if err == nil && (head>>4 != packetSuback || len(answer) != 3 || answer[2] != 1) {
		err = fmt.Errorf("broker answers SUBSCRIBE with %#x %x", head, answer)
	}
	return err
}

// receive calls got with every message until it returns false, and confirms them,
// many together where many have come.
func (c *mqttConn) receive(got func(payload []byte) bool) error {
	for {
		head, body, err := c.read()
		if err != nil {
			return fmt.Errorf("receive: %w", err)
		}
		if head>>4 != packetPublish || len(body) < 2 {
			continue
		}
		at := 2 + int(binary.BigEndian.Uint16(body))
		if len(body) < at+2 {
			return errors.New("receive: a message without an id")
		}
		c.mu.Lock()
		c.put(packetPuback<<4, body[at:at+2], nil)
		if c.in.Buffered() == 0 {
			err = c.out.Flush()
		}
		c.mu.Unlock()
		if err != nil {
			return fmt.Errorf("receive: %w", err)
		}
		if !got(body[at+2:]) {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.out.Flush()
		}
	}
}
