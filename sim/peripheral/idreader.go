package peripheral

import (
	"context"
	"encoding/binary"
	"io"
	"sync"
)

// IDReader is a module for identity cards after the serial protocol of SDT/SAM
// readers, without anybody's identity: it answers status and card searches, and
// counts the requests that would choose or read a card, which nobody may make.
type IDReader struct {
	faults

	mu     sync.Mutex
	card   bool
	broken bool
	reads  int
}

// NewIDReader returns a module that is well, with no card on it.
func NewIDReader() *IDReader { return &IDReader{} }

// SetCard lays a card on the reader, or takes it away.
func (r *IDReader) SetCard(present bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.card = present
}

// SetBroken makes its self test fail, or succeed again.
func (r *IDReader) SetBroken(broken bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.broken = broken
}

// Reads returns how many requests would have chosen or read a card.
func (r *IDReader) Reads() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reads
}

// Serve answers requests on port until ctx ends, when it returns nil and leaves
// the port open, or the port fails. It may be called again.
func (r *IDReader) Serve(ctx context.Context, port Port) error {
	var pending []byte
	return r.serve(ctx, port, func(ctx context.Context, w io.Writer, b []byte) error {
		pending = append(pending, b...)
		for {
			request, rest, ok := cutSAM(pending)
			if pending = rest; !ok {
				return nil
			}
			if err := r.reply(ctx, w, samFrame(r.answer(request))); err != nil {
				return err
			}
		}
	})
}

// answer returns the payload of the answer to a request's.
func (r *IDReader) answer(request []byte) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case len(request) != 2:
		return []byte{0, 0, 0x21}
	case request[0] == 0x11 && request[1] == 0xFF && r.broken:
		return []byte{0, 0, 0x60}
	case request[0] == 0x11 && request[1] == 0xFF:
		return []byte{0, 0, 0x90}
	case request[0] == 0x20 && request[1] == 0x01 && r.card:
		return []byte{0, 0, 0x9F, 0, 0, 0, 0}
	case request[0] == 0x20 && request[1] == 0x01:
		return []byte{0, 0, 0x80}
	}
	r.reads++
	return []byte{0, 0, 0x66} // not licensed
}

const samPreamble = "\xAA\xAA\xAA\x96\x69"

// samFrame returns the frame of a payload.
func samFrame(payload []byte) []byte {
	b := binary.BigEndian.AppendUint16([]byte(samPreamble), uint16(len(payload)+1))
	b = append(b, payload...)
	check := byte(0)
	for _, c := range b[len(samPreamble):] {
		check ^= c
	}
	return append(b, check)
}

// cutSAM returns the payload of the first sound frame in b, and what follows it.
func cutSAM(b []byte) (payload, rest []byte, ok bool) {
	for i := 0; i+len(samPreamble)+3 <= len(b); i++ {
		if string(b[i:i+len(samPreamble)]) != samPreamble {
			continue
		}
		body := b[i+len(samPreamble):]
		n := int(binary.BigEndian.Uint16(body))
		if n < 1 || n > 64 || len(body) < 2+n {
			continue
		}
		check := byte(0)
		for _, c := range body[:2+n] {
			check ^= c
		}
		if check == 0 {
			return body[2 : 1+n], body[2+n:], true
		}
	}
	return nil, b[max(0, len(b)-128):], false
}
