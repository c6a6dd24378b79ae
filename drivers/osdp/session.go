package osdp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// phase is how far a session with a reader has come.
type phase byte

const (
	phaseChallenge phase = iota // secure channel, first half
	phaseProve                  // second half
	phaseID
	phaseCap
	phasePoll
)

// session is the talk with one reader since its sequence numbers began at 0.
type session struct {
	cfg  Reader
	rand io.Reader

	phase   phase
	seq     byte     // of the command that is out or comes next
	pending *command // out, and not answered
	hs      *handshake
	channel *channel // nil until the handshake is done, and in plain sessions
	late    bool     // an answer may still come to a command before this one
}

// command is a command on its way.
type command struct {
	code  byte
	bytes []byte // the same at every repeat, so that the MACs stay in step
	act   *act   // who waits for the answer; nil is nobody
}

// Errors that end a session: the reader is asked from the start again.
var (
	errRestart = errors.New("the reader lost its session")
	errPlain   = errors.New("the reader wants a secure channel: give it a key")
	errNone    = errors.New("the reader refuses the secure channel: it has another key, or knows none and must be marked plain")
)

// restart forgets the session.
func (s *session) restart() {
	s.phase, s.seq, s.pending, s.hs, s.channel = phaseChallenge, 0, nil, nil, nil
	if s.cfg.Plain {
		s.phase = phaseID
	}
}

// connect returns the next command of the phases before polling.
func (s *session) connect() (*command, error) {
	switch s.phase {
	case phaseChallenge:
		key, keyType := s.cfg.Key, byte(keyOwn)
		if s.cfg.Installation {
			key, keyType = defaultKey(), keyDefault
		}
		random := make([]byte, randomSize)
		if _, err := io.ReadFull(s.rand, random); err != nil {
			return nil, fmt.Errorf("make a random number: %w", err)
		}
		var err error
		if s.hs, err = newHandshake(key, keyType, random); err != nil {
			return nil, err
		}
		return s.raw(s.hs.challenge()), nil
	case phaseProve:
		return s.raw(s.hs.prove()), nil
	case phaseID:
		return s.command(cmdID, []byte{0}), nil
	}
	return s.command(cmdCap, []byte{0}), nil
}

// command returns a command, which goes through the secure channel if there is
// one.
func (s *session) command(code byte, data []byte) *command {
	f := s.address(&frame{code: code, data: data})
	if s.channel != nil {
		s.channel.seal(f)
	}
	return &command{code: code, bytes: f.bytes()}
}

// raw returns a command that never goes through the channel.
func (s *session) raw(f *frame) *command {
	return &command{code: f.code, bytes: s.address(f).bytes()}
}

func (s *session) address(f *frame) *frame {
	f.address, f.seq, f.crc = byte(s.cfg.Address), s.seq, !s.cfg.Checksum
	return f
}

// wants reports whether f can be the answer to the command that is out. A reader
// that is busy doesn't count; 7.18.
func (s *session) wants(f *frame) bool {
	return f.seq == s.seq || f.code == replyBusy
}

// send sends the command that is out, again if need be, and returns its answer
// decrypted. The error is a Nak where the reader refuses the command and could
// not refuse more.
func (s *session) send(ctx context.Context, k link) (*frame, error) {
	f, err := k.exchange(ctx, s.pending.bytes, byte(s.cfg.Address), s.cfg.Timeout, s.wants)
	if err != nil {
		s.late = true
		if s.phase == phaseChallenge {
			s.pending = nil // a late answer must not fit the next challenge
		}
		return nil, err
	}
	if f.code == replyBusy {
		return f, nil
	}
	if err := s.admit(f); err != nil {
		return nil, err
	}
	s.pending, s.seq = nil, s.seq%3+1
	if f.code == replyNAK {
		return nil, Nak(f.data[0])
	}
	return f, nil
}

// admit checks that an answer may be believed, and decrypts it. Errors that wrap
// errRestart end the session.
func (s *session) admit(f *frame) error {
	if f.code == replyNAK && len(f.data) == 0 {
		return errShort
	}
	if f.code == replyNAK && f.block == nil {
		return s.refused(Nak(f.data[0]))
	}
	if s.channel != nil {
		if err := s.channel.open(f); err != nil {
			return fmt.Errorf("%w: %w", errRestart, err)
		}
		if f.code == replyNAK && len(f.data) == 0 {
			return fmt.Errorf("%w: %w", errRestart, errShort)
		}
		return nil
	}
	if t := f.blockType(); t != 0 && t != scs12 && t != scs14 {
		return fmt.Errorf("%w: it answers in one that is over", errRestart)
	}
	return nil
}

// refused looks at a NAK that nothing protects. Nil is a NAK of the command
// alone.
func (s *session) refused(n Nak) error {
	switch {
	case n == NakCheck:
		return n // the command is out still, and will be repeated
	case n == NakSequence:
		return fmt.Errorf("%w: %w", errRestart, n)
	case s.channel != nil:
		return fmt.Errorf("%w: %w: %w", errRestart, errUnprotected, n)
	case s.phase < phaseID:
		return fmt.Errorf("%w: %w: %w", errRestart, errNone, n)
	case n == NakBlock, n == NakSecurity:
		return fmt.Errorf("%w: %w: %w", errRestart, errPlain, n)
	}
	return nil
}

// connected takes the answer to a command of connect and moves on. It reports
// what it learnt through id and caps.
func (s *session) connected(f *frame, id *identity, caps *map[byte]capability) error {
	var err error
	switch s.phase {
	case phaseChallenge:
		if err = s.hs.challenged(f); err == nil {
			s.phase, s.late = phaseProve, false
		} else if errors.Is(err, errKey) && s.late {
			err, s.late = fmt.Errorf("%w, or it answers too late", err), false
		}
	case phaseProve:
		if s.channel, err = s.hs.proved(f); err == nil {
			s.hs, s.phase = nil, phaseID
		}
	case phaseID:
		if f.code == replyPDID {
			*id, err = parseIdentity(f.data)
		}
		s.phase = phaseCap
	case phaseCap:
		*caps = nil
		if f.code == replyPDCap {
			*caps = parseCapabilities(f.data)
		}
		s.phase = phasePoll
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errRestart, err)
	}
	return nil
}

// busyLimit is how long a reader may say that it is busy.
const busyLimit = 3 * time.Second
