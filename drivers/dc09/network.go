package dc09

import (
	"fmt"
	"net"
	"sync"
	"time"
)

const (
	// frameTime is how long a frame may take from its first byte to its last.
	frameTime = 10 * time.Second
	// answerTime is how long an answer may take to be sent.
	answerTime = 5 * time.Second
	// mostBroken is how many broken frames end a connection.
	mostBroken = 16
)

// accept serves TCP until Run ends or the listener fails, and waits for all
// conversations.
func (s *session) accept() {
	// Twice as many as connections, for those that gave up their place and still
	// wait for the disk.
	slots := make(chan struct{}, 2*s.cfg.MaxConns)
	var conversations sync.WaitGroup
	defer conversations.Wait()
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			s.cancel(fmt.Errorf("accept a connection: %w", err))
			return
		}
		select {
		case slots <- struct{}{}:
		case <-s.all.Done():
			conn.Close()
			return
		}
		if !s.admit(conn) {
			conn.Close()
			return
		}
		conversations.Go(func() {
			defer func() { <-slots }()
			defer s.dismiss(conn)
			s.converse(conn)
		})
	}
}

// admit takes a connection in, in place of the one that has been silent longest
// where there are too many.
func (s *session) admit(conn net.Conn) bool {
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.closed {
		return false
	}
	if len(s.conns) >= s.cfg.MaxConns {
		var oldest net.Conn
		for c, at := range s.conns {
			if oldest == nil || at.Before(s.conns[oldest]) {
				oldest = c
			}
		}
		oldest.Close()
		delete(s.conns, oldest)
	}
	s.conns[conn] = time.Now()
	return true
}

// heard notes that a sound frame came on a connection.
func (s *session) heard(conn net.Conn) {
	s.lock.Lock()
	defer s.lock.Unlock()
	if _, ok := s.conns[conn]; ok {
		s.conns[conn] = time.Now()
	}
}

func (s *session) dismiss(conn net.Conn) {
	conn.Close()
	s.lock.Lock()
	defer s.lock.Unlock()
	delete(s.conns, conn)
}

// converse answers the frames of one connection until it ends, is silent for too
// long or sends too much that is broken. A connection is nobody's fault: panels
// come and go, and only their silence counts.
func (s *session) converse(conn net.Conn) {
	var in splitter
	var begun time.Time
	buf := make([]byte, 1024)
	broken := 0
	for broken+in.lost <= mostBroken {
		deadline := time.Now().Add(s.cfg.Idle)
		if in.begun() {
			deadline = begun.Add(frameTime)
		}
		if conn.SetReadDeadline(deadline) != nil {
			return
		}
		n, err := conn.Read(buf)
		if !in.begun() {
			begun = time.Now()
		}
		in.push(buf[:n])
		for frame, ok := in.next(); ok; frame, ok = in.next() {
			begun = time.Now()
			answer, err := s.frame(frame)
			if err != nil {
				return
			}
			if answer == nil {
				broken++
				continue
			}
			broken, in.lost = 0, 0
			s.heard(conn)
			if conn.SetWriteDeadline(time.Now().Add(answerTime)) != nil {
				return
			}
			if _, err := conn.Write(answer); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// receive serves UDP until Run ends or the socket fails: a frame a datagram.
func (s *session) receive() {
	buf := make([]byte, maxFrame+1)
	for {
		n, from, err := s.packets.ReadFrom(buf)
		if err != nil {
			s.cancel(fmt.Errorf("receive a datagram: %w", err))
			return
		}
		var in splitter
		in.push(buf[:n])
		if n > 0 && buf[n-1] != cr {
			in.push([]byte{cr}) // the datagram's end is the frame's
		}
		frame, ok := in.next()
		if !ok {
			continue
		}
		answer, err := s.frame(frame)
		if err != nil {
			return
		}
		if answer == nil || s.packets.SetWriteDeadline(time.Now().Add(answerTime)) != nil {
			continue
		}
		// A panel that can't be reached any more asks again.
		_, _ = s.packets.WriteTo(answer, from)
	}
}
