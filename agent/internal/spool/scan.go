package spool

import (
	"bytes"
	"errors"
	"io"
	"os"

	"github.com/longan-edge/longan"
)

// scan is what a search through the raw bytes of a file found. Blocks tell by
// themselves what they are, so neither bbolt's pages nor its tree are needed. Pages
// that are free hold blocks as well: of events that were acknowledged, and of
// commits that did not come through.
type scan struct {
	file   *os.File
	epochs map[epochID]*scannedEpoch
	left   map[string]leftBehind
	run    uint32 // the highest seen
}

type scannedEpoch struct {
	run   uint32 // the highest seen
	lanes [len(longan.Lanes)]scannedLane
}

type scannedLane struct {
	acked  uint64
	blocks []scannedBlock
	gaps   []scannedBlock
}

// scannedBlock is where a block is in the file.
type scannedBlock struct {
	at          int64
	size        int
	first, last uint64
	run, ord    uint32
	reason      string // of a gap
}

// scanFile searches a file, or finds nothing when file is nil. Parts that can't
// be read are passed over.
func scanFile(file *os.File) *scan {
	s := &scan{file: file, epochs: map[epochID]*scannedEpoch{}, left: map[string]leftBehind{}}
	if file == nil {
		return s
	}
	const window = 512 << 10 // a block that begins in its first half is whole in it
	buf := make([]byte, window)
	for at := int64(0); ; {
		n, err := io.ReadFull(io.NewSectionReader(file, at, window), buf)
		text := buf[:n]
		begin := len(text) // where a block must begin to be this window's
		if n == window {
			begin = window / 2
		}
		for i := 0; i < begin; {
			j := bytes.Index(text[i:], []byte(blockMagic))
			if j < 0 || i+j >= begin {
				break
			}
			i += j
			if b, err := parseBlock(text[i:]); err == nil {
				s.add(b, at+int64(i))
				i += b.size
			} else {
				i++
			}
		}
		switch {
		case n == window:
			at += window / 2
		case err == nil, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return s
		default: // a bad sector behind what was read: go on behind it
			at += int64(n) + pageSize
			at -= at % pageSize
			if info, err := file.Stat(); err != nil || at >= info.Size() {
				return s
			}
		}
	}
}

// add takes note of a block.
func (s *scan) add(b *block, at int64) {
	e := s.epochs[b.epoch]
	if e == nil {
		e = &scannedEpoch{}
		s.epochs[b.epoch] = e
	}
	e.run, s.run = max(e.run, b.run), max(s.run, b.run)
	lane := &e.lanes[b.lane]
	f := scannedBlock{at: at, size: b.size, first: b.first, last: b.last, run: b.run, ord: b.ord}
	switch b.kind {
	case kindAck:
		lane.acked = max(lane.acked, b.first)
		return
	case kindGap:
		if g, err := parseGap(b); err == nil {
			f.reason = g.reason
			lane.gaps = append(lane.gaps, f)
		}
	case kindEvents:
		lane.blocks = append(lane.blocks, f)
	}
	err := b.eachState(func(key string, state longan.PointState) error {
		l := leftBehind{state, b.run, b.ord}
		if old, ok := s.left[key]; !ok || !old.after(l) {
			s.left[key] = l
		}
		return nil
	})
	_ = err // the checksum held; a key cut short is left out
}

// read returns the bytes of a block.
func (s *scan) read(b scannedBlock) ([]byte, error) {
	buf := make([]byte, b.size)
	_, err := s.file.ReadAt(buf, b.at)
	return buf, err
}
