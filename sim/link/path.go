package link

import (
	"math/rand/v2"
	"sync"
	"syscall"
	"time"
)

// path is one way of a connection: a stream of bytes. The link's mutex guards
// it. Bytes are named by how many went before them.
type path struct {
	conn     *connection
	way      Way
	from, to *end
	reverse  *path
	rng      *rand.Rand
	tcp      TCP // the sender's

	buf     []byte // from read to written
	base    []byte // buf's memory, from its beginning
	written uint64 // by the sender
	sent    uint64 // and will arrive
	arrived uint64
	read    uint64 // by the receiver
	acked   uint64 // as far as the sender knows

	closing    bool // the sender has closed: a FIN goes behind the last byte
	finSent    bool
	finArrived bool

	flight []mark // on their way, the next to arrive first
	acks   []mark // on their way back

	retry   time.Time // when the lost segment is sent again; zero is none lost
	tries   int       // in vain, of that segment
	stuck   time.Time // since when nothing succeeds; zero is all well
	unheard time.Time // since when acknowledgements vanish; zero is they do not

	ackDue   int       // segments that no ACK of its own was counted for
	ackSince time.Time // of the first of them

	readable sync.Cond
	writable sync.Cond
	waiting  int // writers
	timer    *time.Timer
	due      time.Time // of timer; zero is not set
	stopped  bool
}

// mark is that something up to a byte arrives at a time.
type mark struct {
	end uint64
	at  time.Time
	fin bool
}

func (p *path) unread() int { return int(p.arrived - p.read) }

// take reads what has arrived.
func (p *path) take(b []byte) int {
	n := copy(b, p.buf[:p.unread()])
	p.buf = p.buf[n:]
	p.read += uint64(n)
	if len(p.buf) == 0 {
		p.buf = p.base[:0]
	}
	if p.sent < p.written || (p.closing && !p.finSent) {
		p.advance(time.Now()) // the window is open again
	}
	return n
}

// put takes into the send buffer as much of b as it can.
func (p *path) put(b []byte, now time.Time) int {
	p.hear(now)
	n := min(len(b), sendBuffer-int(p.written-p.acked))
	if n <= 0 {
		return 0
	}
	before := cap(p.buf)
	p.buf = append(p.buf, b[:n]...)
	if cap(p.buf) != before {
		p.base = p.buf
	}
	p.written += uint64(n)
	p.advance(now)
	return n
}

// hear takes the acknowledgements that are back.
func (p *path) hear(now time.Time) {
	for len(p.acks) > 0 && !p.acks[0].at.After(now) {
		p.acked = max(p.acked, p.acks[0].end)
		p.acks = p.acks[1:]
	}
}

// advance does what is due.
func (p *path) advance(now time.Time) {
	if p.stopped {
		return
	}
	p.deliver(now)
	p.send(now)
	if !p.stuck.IsZero() && now.Sub(p.stuck) >= p.tcp.patience() {
		p.stop()
		p.from.fail(syscall.ETIMEDOUT)
		return
	}
	if p.waiting > 0 {
		if p.hear(now); p.written-p.acked < sendBuffer {
			p.writable.Broadcast()
		}
	}
	p.schedule(now)
}

// deliver lets arrive what arrives.
func (p *path) deliver(now time.Time) {
	for len(p.flight) > 0 && !p.flight[0].at.After(now) && !p.stopped {
		m := p.flight[0]
		if p.flight = p.flight[1:]; len(p.flight) == 0 {
			p.flight = nil
		}
		if p.to.err != nil {
			if !p.holed(p.way.back()) {
				p.stop()
				p.from.reset()
			} else if p.stuck.IsZero() {
				p.stuck = now
			}
			return
		}
		if m.end > p.arrived {
			p.countAck(now)
		}
		p.arrived = m.end
		p.finArrived = p.finArrived || m.fin
		p.readable.Broadcast()
		p.acknowledge(now)
	}
}

// holed reports whether what goes that way now vanishes.
func (p *path) holed(way Way) bool {
	return p.conn.forgotten || p.conn.link.conditions.BlackHole&way != 0
}

// acknowledge sends back how much has arrived.
func (p *path) acknowledge(now time.Time) {
	c := p.conn.link.conditions
	switch {
	case p.holed(p.way.back()):
		if p.unheard.IsZero() {
			p.unheard = now
		}
		if p.stuck.IsZero() {
			p.stuck = now
		}
	case c.Latency == 0 && c.Jitter == 0 && len(p.acks) == 0:
		p.acked = p.arrived
	default:
		p.acks = append(p.acks, mark{end: p.arrived, at: now.Add(c.Latency + c.Jitter/2)})
	}
}

// ready reports whether something waits to be sent that the window lets pass.
func (p *path) ready() (n int, ok bool) {
	if n = min(MSS, int(p.written-p.sent)); n > 0 {
		return n, p.sent+uint64(n) <= p.read+receiveWindow
	}
	return 0, p.closing && !p.finSent
}

// mute reports whether the sender has waited for an acknowledgement long enough
// to send nothing new.
func (p *path) mute(now time.Time) bool {
	return !p.unheard.IsZero() && now.Sub(p.unheard) >= p.conn.link.conditions.rto()
}

// send puts segments on the wire while there are any and the wire is free.
func (p *path) send(now time.Time) {
	l := p.conn.link
	c := l.conditions
	for !p.stopped && !p.mute(now) {
		n, ok := p.ready()
		if !ok || p.retry.After(now) {
			return
		}
		left := now
		if c.Bandwidth > 0 {
			if l.free[p.way-1].After(now) {
				return
			}
			left = now.Add(c.onWire(n))
			l.free[p.way-1] = left
		}
		p.countSent(n, now)
		if p.holed(p.way) || c.loses(p.rng) {
			p.retry = left.Add(p.tcp.backoff(c.rto(), p.tries))
			p.tries++
			if p.stuck.IsZero() {
				p.stuck = now
			}
			return
		}
		p.retry, p.tries = time.Time{}, 0
		if p.unheard.IsZero() {
			p.stuck = time.Time{}
		}
		p.sent += uint64(n)
		m := mark{end: p.sent, at: left.Add(c.delay(p.rng)), fin: n == 0}
		p.finSent = p.finSent || m.fin
		if len(p.flight) > 0 && p.flight[len(p.flight)-1].at.After(m.at) {
			m.at = p.flight[len(p.flight)-1].at
		}
		p.flight = append(p.flight, m)
		p.deliver(now)
	}
}

// eased goes on after the conditions changed.
func (p *path) eased(now time.Time) {
	if p.to.err != nil && !p.stuck.IsZero() && p.retry.IsZero() && !p.holed(BothWays) {
		p.stop()
		p.from.reset() // the next retransmission is answered so
		return
	}
	if !p.unheard.IsZero() && !p.holed(p.way.back()) {
		// The next retransmission is answered.
		at, tries, rto := p.unheard, 0, p.conn.link.conditions.rto()
		for !at.After(now) {
			at = at.Add(p.tcp.backoff(rto, tries))
			tries++
		}
		p.unheard, p.retry, p.tries, p.stuck = time.Time{}, at, 0, time.Time{}
		p.acks = append(p.acks, mark{end: p.arrived, at: at.Add(p.conn.link.conditions.RTT())})
	}
	p.advance(now)
}

// schedule sets the timer for what comes next.
func (p *path) schedule(now time.Time) {
	if p.stopped {
		return
	}
	var next time.Time
	soonest := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	if len(p.flight) > 0 {
		soonest(p.flight[0].at)
	}
	if _, ok := p.ready(); ok && !p.mute(now) {
		at := p.retry
		if free := p.conn.link.free[p.way-1]; free.After(at) {
			at = free
		}
		soonest(at)
	}
	if p.waiting > 0 && len(p.acks) > 0 {
		soonest(p.acks[0].at)
	}
	if !p.stuck.IsZero() {
		soonest(p.stuck.Add(p.tcp.patience()))
	}
	if next.Equal(p.due) {
		return
	}
	p.due = next
	switch {
	case next.IsZero():
		p.timer.Stop()
	case p.timer == nil:
		p.timer = time.AfterFunc(next.Sub(now), p.tick)
	default:
		p.timer.Reset(next.Sub(now))
	}
}

// tick is the timer's.
func (p *path) tick() {
	l := p.conn.link
	l.mu.Lock()
	defer l.mu.Unlock()
	p.due = time.Time{}
	p.advance(time.Now())
}

// stop ends the path: nothing more is carried.
func (p *path) stop() {
	p.stopped = true
	if p.timer != nil {
		p.timer.Stop()
	}
	p.flight, p.acks = nil, nil
}
