package bench

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// What a packet costs on the wire apart from its payload: IPv4 and TCP headers
// with timestamps, for every segment of at most segmentMost bytes. Loopback itself
// knows no such segments, so they are counted as if each read from a socket had
// been divided into them.
const (
	segmentHeader = 52
	segmentMost   = 1400
)

// meter is a link that counts: a TCP proxy on loopback between a client and its
// broker, which can be cut. It looks into the MQTT packets that pass to tell
// events, acks and statuses apart, and changes nothing.
type meter struct {
	listener net.Listener
	target   string
	running  sync.WaitGroup

	mu       sync.Mutex
	down     bool
	refused  int // connections while it was down
	conns    map[net.Conn]struct{}
	accounts map[string]account
	seen     map[string]time.Time    // when the last packet of a kind began to pass
	acks     uint64                  // segments without data of connections that have ended
	clients  map[*net.TCPConn]uint64 // the same of those that have not, as last read
	onOpen   func()                  // called with every connection of the client; may be nil
}

// account is what one kind of packet has cost.
type account struct {
	packets  int
	payload  int // bytes of MQTT
	segments int
}

// wire returns the bytes of IP.
func (a account) wire() float64 { return float64(a.payload + a.segments*segmentHeader) }

// newMeter listens for connections to target. It is to be closed.
func newMeter(target string, down bool) (*meter, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for link: %w", err)
	}
	m := &meter{
		listener: l, target: target, down: down, conns: map[net.Conn]struct{}{},
		accounts: map[string]account{}, seen: map[string]time.Time{}, clients: map[*net.TCPConn]uint64{},
	}
	m.running.Go(m.serve)
	return m, nil
}

func (m *meter) address() string { return m.listener.Addr().String() }

// cut cuts the link, or mends it.
func (m *meter) cut(down bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = down
	if down {
		for c := range m.conns {
			c.Close()
		}
	}
}

func (m *meter) close() {
	m.listener.Close()
	m.cut(true)
	m.running.Wait()
}

func (m *meter) serve() {
	for {
		conn, err := m.listener.Accept()
		if err != nil {
			return // closed
		}
		m.running.Go(func() { m.carry(conn.(*net.TCPConn)) })
	}
}

func (m *meter) carry(near *net.TCPConn) {
	defer near.Close()
	if !m.open(near) {
		return
	}
	defer m.forget(near)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	far, err := (&net.Dialer{}).DialContext(ctx, "tcp", m.target)
	cancel()
	if err != nil {
		return
	}
	defer far.Close()
	if !m.add(far) {
		return
	}
	defer m.forget(far)
	ids := &packetIDs{kinds: map[uint16]string{}}
	var both sync.WaitGroup
	both.Go(func() { m.copy(far, near, &splitter{up: true, ids: ids}); near.Close(); far.Close() })
	both.Go(func() { m.copy(near, far.(*net.TCPConn), &splitter{ids: ids}); near.Close(); far.Close() })
	both.Wait()
}

// open notes a connection of the client, or refuses it when the link is down.
func (m *meter) open(c *net.TCPConn) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down {
		m.refused++
		c.SetLinger(0) // it looks like a port on which nobody listens
		return false
	}
	m.conns[c] = struct{}{}
	m.clients[c] = 0
	if m.onOpen != nil {
		m.onOpen()
	}
	return true
}

func (m *meter) add(c net.Conn) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.down {
		m.conns[c] = struct{}{}
	}
	return !m.down
}

func (m *meter) forget(c net.Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.conns, c)
	if tcp, ok := c.(*net.TCPConn); ok {
		m.acks += m.clients[tcp]
		delete(m.clients, tcp)
	}
}

// acknowledge lets TCP confirm at once what was read, as the agent does; a proxy
// that did not would hold up a broker that waits for it (Nagle).
func acknowledge(c *net.TCPConn) {
	if raw, err := c.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1) })
	}
}

func (m *meter) copy(to io.Writer, from *net.TCPConn, s *splitter) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		acknowledge(from)
		if n > 0 {
			m.count(s, buf[:n])
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// count puts what was read down to its kinds; the headers to the first of them.
func (m *meter) count(s *splitter, b []byte) {
	segments, now := (len(b)+segmentMost-1)/segmentMost, time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	s.feed(b, func(kind string, packets, n int) {
		a := m.accounts[kind]
		a.packets += packets
		a.payload += n
		a.segments += segments
		segments = 0
		m.accounts[kind] = a
		if packets > 0 {
			m.seen[kind] = now
		}
	})
	if segments > 0 { // the beginning of a header, which is told with its end
		a := m.accounts[kindOther]
		a.segments += segments
		m.accounts[kindOther] = a
	}
}

// passed returns when the last packet of a kind was read from its sender.
func (m *meter) passed(kind string) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.seen[kind]
}

// books are what a link has carried, by kind.
type books struct {
	accounts map[string]account
	pure     uint64 // segments without data: TCP's own acknowledgements
}

// read returns what was carried so far.
func (m *meter) read() books {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := books{accounts: maps.Clone(m.accounts), pure: m.acks}
	for c := range m.clients {
		if n, ok := pureSegments(c); ok {
			m.clients[c] = n
		}
		b.pure += m.clients[c]
	}
	return b
}

// since returns what was carried after an earlier reading.
func (b books) since(before books) books {
	out := books{accounts: map[string]account{}, pure: b.pure - before.pure}
	for kind, a := range b.accounts {
		was := before.accounts[kind]
		a.packets -= was.packets
		a.payload -= was.payload
		a.segments -= was.segments
		if a != (account{}) {
			out.accounts[kind] = a
		}
	}
	return out
}

// wire returns the bytes of IP of these kinds; of all when there is none.
func (b books) wire(kinds ...string) (total float64) {
	if len(kinds) == 0 {
		for _, a := range b.accounts {
			total += a.wire()
		}
	}
	for _, k := range kinds {
		total += b.accounts[k].wire()
	}
	return total
}

// packets returns how many packets of a kind there were.
func (b books) packets(kind string) int { return b.accounts[kind].packets }

// pureSegments asks the kernel how many segments without data a connection has
// seen, both ways.
func pureSegments(c *net.TCPConn) (n uint64, ok bool) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, false
	}
	var info *unix.TCPInfo
	if err2 := raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) }); err2 != nil || err != nil {
		return 0, false
	}
	all := uint64(info.Segs_in) + uint64(info.Segs_out)
	data := uint64(info.Data_segs_in) + uint64(info.Data_segs_out)
	return all - min(all, data), true
}
