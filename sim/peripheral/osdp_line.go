package peripheral

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// OSDPLine is several readers on one RS-485 line. Each one fails by itself.
type OSDPLine struct {
	readers []*OSDPReader
}

// NewOSDPLine returns a line with these readers.
func NewOSDPLine(readers ...*OSDPReader) *OSDPLine {
	return &OSDPLine{readers: slices.Clone(readers)}
}

// Serve answers the panel on port until ctx ends, when it returns nil and leaves
// the port open, or the port fails. It may be called again, as after a replug.
func (l *OSDPLine) Serve(ctx context.Context, port Port) error {
	if err := errors.Join(port.SetReadDeadline(time.Time{}), port.SetWriteDeadline(time.Time{})); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	serving, cancel := context.WithCancel(ctx)
	w := &lockedWriter{w: port}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	var heard []chan []byte
	for _, r := range l.readers {
		frames := make(chan []byte, osdpBacklog)
		heard = append(heard, frames)
		wg.Go(func() { r.babble(serving, w) })
		wg.Go(func() {
			if err := r.listen(serving, w, frames); err != nil {
				cancel() // the port failed, which Read says as well
			}
		})
	}
	wg.Go(func() {
		<-serving.Done()
		past := time.Unix(1, 0) // unblocks reads and writes; a port that is gone has none
		_, _ = port.SetReadDeadline(past), port.SetWriteDeadline(past)
	})
	var pending []byte
	buf := make([]byte, 512)
	for {
		n, err := port.Read(buf)
		for pending = append(pending, buf[:n]...); ; {
			frame, rest, ok := cutOSDP(pending)
			if pending = rest; !ok {
				break
			}
			for _, frames := range heard {
				select {
				case frames <- bytes.Clone(frame):
				default: // a late reader that is asked and asked
				}
			}
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("serve: %w", err)
		}
	}
}

// osdpBacklog is how many frames a late reader has waiting.
const osdpBacklog = 16

// listen answers frames, one after the other, until ctx ends or w fails.
func (r *OSDPReader) listen(ctx context.Context, w io.Writer, frames <-chan []byte) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case frame := <-frames:
			if err := r.receive(ctx, w, frame); err != nil {
				return err
			}
		}
	}
}

// maxOSDP is the size of the largest frame that a panel sends here.
const maxOSDP = 256

// cutOSDP returns the first sound frame in b and what follows it.
func cutOSDP(b []byte) (frame, rest []byte, ok bool) {
	for i := range b {
		if n := osdpLength(b[i:]); n > 0 {
			return b[i : i+n], b[i+n:], true
		}
	}
	return nil, b[max(0, len(b)-maxOSDP):], false
}

// osdpLength is the length of the sound frame that b starts with, or 0.
func osdpLength(b []byte) int {
	if len(b) < 7 || b[0] != 0x53 {
		return 0
	}
	n := int(binary.LittleEndian.Uint16(b[2:]))
	if n > len(b) || n < 6+osdpCheckSize(b[4]) {
		return 0
	}
	if b[4]&4 != 0 {
		if osdpCRC(b[:n-2]) != binary.LittleEndian.Uint16(b[n-2:]) {
			return 0
		}
		return n
	}
	sum := byte(0)
	for _, c := range b[:n] {
		sum += c
	}
	if sum != 0 {
		return 0
	}
	return n
}
