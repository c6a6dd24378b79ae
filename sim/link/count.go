package link

import "time"

// Count is what was carried one way.
type Count struct {
	Bytes    int64 // of payload, each once
	Segments int64 // that carried them
	// Resent are segments that were sent again, and ResentBytes their payload.
	Resent      int64
	ResentBytes int64
	// Bare are segments without payload: SYN and FIN, and an estimate of the ACKs
	// that found no segment to go with: one for every second segment, or 40 ms
	// after a lone one (RFC 1122, 4.2.3.2).
	Bare int64
}

// IP returns the bytes on the wire, with IP's and TCP's headers, of segments with
// payload.
func (c Count) IP() int64 { return c.Bytes + c.ResentBytes + Header*(c.Segments+c.Resent) }

// BareIP returns the bytes on the wire of segments without payload.
func (c Count) BareIP() int64 { return Header * c.Bare }

// Add returns the sum of two counts.
func (c Count) Add(o Count) Count {
	return Count{c.Bytes + o.Bytes, c.Segments + o.Segments, c.Resent + o.Resent, c.ResentBytes + o.ResentBytes, c.Bare + o.Bare}
}

// Sub returns what was carried since an earlier count.
func (c Count) Sub(o Count) Count {
	return Count{c.Bytes - o.Bytes, c.Segments - o.Segments, c.Resent - o.Resent, c.ResentBytes - o.ResentBytes, c.Bare - o.Bare}
}

// Counts returns what the link has carried so far.
func (l *Link) Counts() (toCity, toBoard Count) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for _, c := range l.conns {
		c.paths[0].settleAck(now)
		c.paths[1].settleAck(now)
	}
	return l.counts[ToCity-1], l.counts[ToBoard-1]
}

// countSent counts a segment with n bytes on the wire, a FIN with none.
func (p *path) countSent(n int, now time.Time) {
	c := &p.conn.link.counts[p.way-1]
	switch {
	case n == 0:
		c.Bare++
	case p.tries > 0:
		c.Resent++
		c.ResentBytes += int64(n)
	default:
		c.Bytes += int64(n)
		c.Segments++
	}
	p.reverse.settleAck(now)
	p.reverse.ackDue = 0 // it goes with this segment
}

// countAck counts the ACK of a segment with payload that arrives now.
func (p *path) countAck(now time.Time) {
	p.settleAck(now)
	if p.ackDue++; p.ackDue == 1 {
		p.ackSince = now
		return
	}
	p.conn.link.counts[p.way.back()-1].Bare++
	p.ackDue = 0
}

// settleAck counts the ACK of a lone segment that found no company in time.
func (p *path) settleAck(now time.Time) {
	if p.ackDue > 0 && now.Sub(p.ackSince) > ackDelay {
		p.conn.link.counts[p.way.back()-1].Bare++
		p.ackDue = 0
	}
}
