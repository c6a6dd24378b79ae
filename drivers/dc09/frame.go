package dc09

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// A frame is <LF> CRC(4 hex) "0"LLL(4 hex) body <CR>. CRC and length are of the
// body, which begins with a quote.
const (
	lf, cr = '\n', '\r'

	headLength = 8
	maxBody    = 0xfff // what three hex digits can say
	maxFrame   = 1 + headLength + maxBody + 1
)

// Why a frame is not answered at all: nobody knows who sent what.
var (
	errShort    = errors.New("frame is cut short")
	errHead     = errors.New("frame does not begin with CRC and length")
	errLength   = errors.New("length is wrong")
	errChecksum = errors.New("CRC is wrong")
	errHeader   = errors.New("header is malformed")
)

// checksum is CRC-16/ARC: polynomial 8005, reflected, from 0.
func checksum(body []byte) uint16 {
	var crc uint16
	for _, b := range body {
		crc ^= uint16(b)
		for range 8 {
			low := crc & 1
			crc >>= 1
			if low == 1 {
				crc ^= 0xa001
			}
		}
	}
	return crc
}

// appendFrame appends the frame of body.
func appendFrame(dst []byte, body string) []byte {
	dst = append(dst, lf)
	dst = fmt.Appendf(dst, "%04X%04X", checksum([]byte(body)), len(body))
	dst = append(dst, body...)
	return append(dst, cr)
}

// openFrame returns the body of a frame without LF and CR.
func openFrame(frame []byte) (body []byte, err error) {
	if len(frame) <= headLength {
		return nil, errShort
	}
	crc, err := strconv.ParseUint(string(frame[:4]), 16, 16)
	if err != nil {
		return nil, errHead
	}
	length, err := strconv.ParseUint(string(frame[4:headLength]), 16, 16)
	if err != nil {
		return nil, errHead
	}
	body = frame[headLength:]
	if int(length) != len(body) || length > maxBody {
		return nil, errLength
	}
	if uint16(crc) != checksum(body) {
		return nil, errChecksum
	}
	return body, nil
}

// splitter finds the frames in a stream, whatever pieces it comes in.
type splitter struct {
	buf  []byte
	lost int // runs of bytes that were no frame
}

// push takes what was read.
func (s *splitter) push(b []byte) { s.buf = append(s.buf, b...) }

// next returns the next frame without LF and CR; it is valid until push. A line
// feed begins a frame anew, so one that was broken off costs only itself.
func (s *splitter) next() (frame []byte, ok bool) {
	for {
		end := bytes.IndexByte(s.buf, cr)
		if end < 0 {
			s.drop()
			return nil, false
		}
		frame, s.buf = s.buf[:end], s.buf[end+1:]
		start := bytes.LastIndexByte(frame, lf)
		if start > 0 {
			s.lost++
		}
		if frame = frame[start+1:]; len(frame) > 0 {
			return frame, true
		}
	}
}

// drop forgets what can't become a frame any more.
func (s *splitter) drop() {
	if start := bytes.LastIndexByte(s.buf, lf); start > 0 {
		s.lost++
		s.buf = s.buf[start:]
	}
	if len(s.buf) > maxFrame {
		s.lost++
		s.buf = nil
	}
}

// begun reports whether a frame has begun and not ended.
func (s *splitter) begun() bool { return len(s.buf) > 0 }
