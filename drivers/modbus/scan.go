package modbus

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/longan-edge/longan/drivers"
)

// scan looks for the answer to r in everything that was received since the
// request was sent, of which the last fresh bytes were not scanned before. It
// returns the answer's PDU, or an Exception, or errMore while neither is there.
//
// echo says that the line returns what is sent; sawEcho that it just did. An
// answer that equals its request, as that of writeCoil, is an answer only on a
// line known not to echo, or after the echo.
func (r request) scan(received []byte, fresh int, echo bool) (pdu []byte, sawEcho bool, err error) {
	// What began earlier is complete, and was found to be no answer.
	start := max(0, len(received)-fresh-max(r.frameLength(), exceptionLength))
	if echo || !r.echoLike() {
		sent := r.frame()
		if i := bytes.Index(received, sent); i >= 0 {
			start, sawEcho = max(start, i+len(sent)), true
		}
	}
	for i := start; i < len(received); i++ {
		rest := received[i:]
		n := answerLength(rest)
		if n <= 0 || n > len(rest) || !r.starts(rest) {
			continue // cheaper than a checksum at every byte
		}
		pdu, err := r.match(rest[:n])
		var refused Exception
		if err == nil || errors.As(err, &refused) {
			return pdu, sawEcho, err
		}
	}
	return nil, sawEcho, errMore
}

// starts reports whether b starts like the answer to r, or like its exception.
func (r request) starts(b []byte) bool {
	return b[0] == r.slave && (bytes.HasPrefix(b[1:], r.prefix) || b[1] == r.function()|exceptionBit)
}

// echoLike reports whether the answer looks like the echo of the request.
func (r request) echoLike() bool {
	_, err := r.match(r.frame())
	return err == nil
}

// errMore: the answer has not arrived yet.
var errMore = errors.New("no answer yet")

// diagnose says in words why what was received until the timeout is no answer.
func (r request) diagnose(received []byte) error {
	sent := r.frame()
	echoed := bytes.Contains(received, sent)
	if echoed {
		received = bytes.Replace(received, sent, nil, 1)
	}
	if len(received) == 0 {
		if echoed {
			return fmt.Errorf("%w: only the echo of the request came back", drivers.ErrSilent)
		}
		return drivers.ErrSilent
	}
	for i := range received { // a sound frame, but not the one
		rest := received[i:]
		if n := answerLength(rest); n > 0 && n <= len(rest) {
			if _, err := r.match(rest[:n]); !errors.Is(err, errChecksum) {
				return err
			}
		}
	}
	for i := range received { // the beginning of the one
		if rest := received[i:]; len(rest) >= 2 && rest[0] == r.slave && rest[1]&^exceptionBit == r.function() {
			return r.diagnoseStart(rest)
		}
	}
	return fmt.Errorf("no answer in %d bytes of noise; check baud rate, parity and wiring", len(received))
}

// diagnoseStart is diagnose for bytes that start with the right slave and
// function.
func (r request) diagnoseStart(b []byte) error {
	want := r.frameLength()
	if b[1]&exceptionBit != 0 {
		want = 5
	} else if f := r.function(); len(b) > 2 && f <= 4 && b[2] != r.prefix[1] {
		return fmt.Errorf("the answer announces %d bytes instead of %d", b[2], r.prefix[1])
	}
	if len(b) < want {
		return fmt.Errorf("the answer is cut short: %d of %d bytes", len(b), want)
	}
	return errChecksum
}
