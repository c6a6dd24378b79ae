package peripheral

import (
	"context"
	"errors"
	"io"
	"sync"
)

// Scanner is a bar code and QR code reader with a serial port. It hears nothing.
type Scanner struct {
	faults

	mu   sync.Mutex
	line io.Writer
}

// NewScanner returns a reader to which nobody holds anything.
func NewScanner() *Scanner { return &Scanner{} }

// errUnserved: the device is not connected to anything.
var errUnserved = errors.New("the device is not plugged in")

// Scan reads a code and sends it, with CR LF behind it. It fails while Serve does
// not run, or when the port does.
func (s *Scanner) Scan(ctx context.Context, code string) error {
	s.mu.Lock()
	w := s.line
	s.mu.Unlock()
	if w == nil {
		return errUnserved
	}
	return s.reply(ctx, w, []byte(code+"\r\n"))
}

// Serve connects the reader to port until ctx ends, when it returns nil and
// leaves the port open, or the port fails. It may be called again.
func (s *Scanner) Serve(ctx context.Context, port Port) error {
	own := &lockedWriter{w: port}
	s.mu.Lock()
	s.line = own
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.line == own { // it may be plugged in elsewhere by now
			s.line = nil
		}
	}()
	return s.serve(ctx, port, func(context.Context, io.Writer, []byte) error { return nil })
}
