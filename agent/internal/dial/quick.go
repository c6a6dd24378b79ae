package dial

import (
	"net"

	"golang.org/x/sys/unix"
)

// quickConn acknowledges at once what it has read. A broker with Nagle's algorithm
// on, mosquitto's default, holds the city's ack back until the PUBACK before it is
// acknowledged, which Linux delays by 40 ms: a drain would wait for nothing else.
type quickConn struct{ *net.TCPConn }

// Read implements net.Conn.
func (c *quickConn) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	if raw, e := c.SyscallConn(); e == nil {
		raw.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1) })
	}
	return n, err
}
