package dc09

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/longan-edge/longan/drivers"
)

// session is a Receiver while Run runs.
type session struct {
	*Receiver
	ctx    context.Context // of Run; what emit gets
	all    context.Context // ends with the first failure, too
	cancel context.CancelCauseFunc
	emit   drivers.Emit

	listener net.Listener
	packets  net.PacketConn

	unstored error  // of emit; guarded by turn
	stranger string // the last account that reported and is no panel's; guarded by turn

	lock   sync.Mutex
	conns  map[net.Conn]time.Time // and when each was last heard
	closed bool
}

const (
	// watchEvery is how often the points of a panel that stays silent are emitted.
	watchEvery = 30 * time.Second
	// stallTime is how long nobody is called silent after a message had to wait.
	stallTime = 5 * time.Second
)

func (s *session) open() (err error) {
	if s.cfg.Listen != nil {
		if s.listener, err = s.cfg.Listen(s.ctx); err != nil {
			return fmt.Errorf("listen on TCP: %w", err)
		}
	}
	if s.cfg.ListenPacket != nil {
		if s.packets, err = s.cfg.ListenPacket(s.ctx); err != nil {
			s.close()
			return fmt.Errorf("listen on UDP: %w", err)
		}
	}
	return nil
}

// close ends all that waits for panels.
func (s *session) close() {
	if s.listener != nil {
		s.listener.Close()
	}
	if s.packets != nil {
		s.packets.Close()
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	s.closed = true
	for c := range s.conns {
		c.Close()
	}
}

// enter waits for the turn, or for the end of Run.
func (s *session) enter() error {
	select {
	case s.turn <- struct{}{}:
	case <-s.all.Done():
		return s.all.Err()
	}
	if err := s.all.Err(); err != nil {
		s.leave()
		return err
	}
	return nil
}

func (s *session) leave() { <-s.turn }

// frame handles one frame and returns the answer to it, or none. It fails when
// emit does, and Run ends.
func (s *session) frame(frame []byte) ([]byte, error) {
	body, err := openFrame(frame)
	if err != nil {
		s.count(func(n *Stats) { n.Broken++ })
		return nil, nil
	}
	h, rest, err := parseHeader(body)
	if err != nil {
		s.count(func(n *Stats) { n.Broken++ })
		return nil, nil
	}
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	now, sure := s.cfg.Now()
	p := s.panels[h.account]
	if p == nil {
		s.stranger = h.account
		return s.refuse(now, sure), nil
	}
	c, err := p.open(h, rest)
	if err == nil {
		err = s.timely(c, now, sure)
	}
	if err != nil && (p.Key != nil || h.encrypted || !errors.Is(err, errContent)) {
		p.refused = err.Error()
		return s.refuse(now, sure), nil
	}
	p.silent, p.refused = false, ""
	// Now, and not when it came: meanwhile the panel could not say more.
	defer func() { p.heard = time.Now() }()
	if err == nil {
		err = s.take(p, h, c)
	}
	switch {
	case errors.Is(err, errContent):
		p.puzzle = "a message was not understood: " + err.Error()
		s.count(func(n *Stats) { n.Puzzling++ })
		return appendFrame(nil, h.answer("DUH")), s.store(p.present())
	case err != nil:
		return nil, err
	}
	s.count(func(n *Stats) { n.Accepted++ })
	if !h.encrypted {
		return appendFrame(nil, h.answer("ACK")), nil
	}
	if !sure {
		now = c.time // better the panel's time than a wrong one
	}
	answer, err := h.seal("ACK", p.Key, now)
	return appendFrame(nil, answer), err
}

// refuse returns a NAK, where the board knows the time that a NAK tells.
func (s *session) refuse(now time.Time, sure bool) []byte {
	s.count(func(n *Stats) { n.Refused++ })
	if !sure {
		return nil
	}
	return appendFrame(nil, nak(now))
}

// open returns the content of a message, decrypted. What can't be decrypted is
// an error, as is what should have been encrypted.
func (p *panel) open(h header, rest []byte) (content, error) {
	switch {
	case h.encrypted && p.Key == nil:
		return content{}, errors.New("it is encrypted, and the site file has no key")
	case !h.encrypted && p.Key != nil:
		return content{}, errors.New("it is not encrypted, and the site file has a key")
	case !h.encrypted:
		return parseContent(rest)
	}
	text, err := decrypt(p.Key, rest)
	if err != nil {
		return content{}, err
	}
	c, err := parseContent(text)
	switch {
	case err != nil:
		return c, errKey
	case !c.timed:
		return c, errors.New("it is encrypted and has no time")
	}
	return c, nil
}

// timely returns an error when a message's time is too far from ours.
func (s *session) timely(c content, now time.Time, sure bool) error {
	if !c.timed || !sure {
		return nil
	}
	switch ahead := c.time.Sub(now).Round(time.Second); {
	case ahead > s.cfg.Future:
		return fmt.Errorf("its clock is %v ahead", ahead)
	case ahead < -s.cfg.Past:
		return fmt.Errorf("its clock is %v behind", -ahead)
	}
	return nil
}

// take emits what a message says, and then all that its coming renews. It
// returns nil once that is on disk. Its errors are errContent and those of emit.
func (s *session) take(p *panel, h header, c content) error {
	switch h.token {
	case "NULL":
		return s.store(p.present())
	case "SIA-DCS", "ADM-CID":
	default:
		return fmt.Errorf("%w: token %s", errContent, h.token)
	}
	account, events, err := parseEvents(h.token, c.data)
	if err != nil {
		return err
	}
	p.puzzle = ""
	known := p.remember(h, c, time.Now())
	if known.all {
		s.count(func(n *Stats) { n.Repeated++ })
		return s.store(p.present())
	}
	done := 0
	var told []string
	for _, e := range events {
		for _, r := range p.readings(account, e) {
			told = append(told, r.Point)
			if done++; done <= known.done {
				continue // on disk since the message came before
			}
			if err := s.store([]drivers.Reading{r}); err != nil {
				return err
			}
			known.done = done
		}
	}
	known.all = true
	return s.store(p.present(told...))
}

// store emits readings. Its first failure ends Run.
func (s *session) store(readings []drivers.Reading) error {
	for _, r := range readings {
		if err := s.emit(s.ctx, r); err != nil {
			s.unstored = err
			s.cancel(err)
			return err
		}
	}
	return nil
}

// watch looks for panels that have fallen silent until Run ends.
func (s *session) watch() {
	for {
		wait, err := s.look()
		if err != nil {
			s.cancel(err)
			return
		}
		timer := time.NewTimer(wait)
		select {
		case <-s.all.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// look emits the points of silent panels as Unknown and returns when to look
// again. It fails when all are silent, and when emit does.
func (s *session) look() (time.Duration, error) {
	begin := time.Now()
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.leave()
	now := time.Now()
	if now.Sub(begin) > time.Second {
		return stallTime, nil // the disk was slow: let those speak who had to wait as well
	}
	wait := time.Hour
	var silent []*panel
	for _, p := range s.order {
		if p.Silence < 0 {
			continue
		}
		if left := p.heard.Add(p.Silence).Sub(now); left > 0 {
			wait = min(wait, left)
			continue
		}
		silent = append(silent, p)
		wait = min(wait, watchEvery)
	}
	if len(silent) == len(s.order) {
		return 0, s.silence(silent[0], now)
	}
	for _, p := range silent {
		if p.silent && now.Sub(p.told) < watchEvery {
			continue
		}
		p.silent, p.told = true, now
		if err := s.store(p.unknown(s.silence(p, now).Error())); err != nil {
			return 0, err
		}
	}
	return wait, nil
}

// silence says for how long a panel has been silent, and why that may be.
func (s *session) silence(p *panel, now time.Time) error {
	why := ""
	switch {
	case p.refused != "":
		why = "; what it sent was refused: " + p.refused
	case s.stranger != "":
		why = "; account " + s.stranger + " reports, which the site file does not have"
	}
	return fmt.Errorf("no message of account %s for %v: %w%s", p.number, now.Sub(p.heard).Round(time.Second), drivers.ErrSilent, why)
}
