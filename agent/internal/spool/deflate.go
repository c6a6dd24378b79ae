package spool

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
)

// dictionary is the preset dictionary of the blocks: what events are made of,
// the most frequent last. It is part of the file format and never changes; a
// better one gets another flag.
const dictionary = `"data":{"lane":"sample","from":1,"to":1,"count":1,"reason":"full"}}` + "\x1e" +
	`,"type":"peripheral.restored","point":"printer","data":{"error":"no answer"}}` + "\x1e" +
	`,"type":"kiosk.fault","point":"printer","data":{"cause":"paper-out"}}` + "\x1e" +
	`,"type":"alarm.restored","point":"panic-button","clock":"rtc","data":{"cause":"panic"}}` + "\x1e" +
	`{"seq":1,"type":"alarm.raised","point":"panic-button","time":"2026-11-23T08:15:30.123Z","clock":"ntp",` +
	`"boot":"0123456789abcdef","mono":123456,"data":{"cause":"panic"}}` + "\x1e" +
	`{"seq":1,"type":"door.opened","point":"front-door","time":"2026-11-23T08:15:30.123Z","clock":"ntp",` +
	`"boot":"0123456789abcdef","mono":123456}` + "\x1e" +
	`{"seq":2,"type":"door.closed","point":"back-door","time":"2026-11-23T08:15:30.123Z","clock":"ntp",` +
	`"boot":"0123456789abcdef","mono":123456}` + "\x1e"

// deflateAbove is the size from which compressing pays. One event or two go as
// they are: making the compressor ready takes some 75 µs on a desktop processor,
// a sixth of what a lone event takes, and a page is written either way.
const deflateAbove = 600

// deflater compresses blocks. It keeps its compressor, some 0.8 MB, for a board
// can't make it anew with every commit.
type deflater struct {
	w   *flate.Writer
	out bytes.Buffer
}

// deflate returns data compressed, valid until the next call, or data itself
// when that is no longer.
func (d *deflater) deflate(data []byte) (out []byte, deflated bool) {
	if len(data) <= deflateAbove {
		return data, false
	}
	d.out.Reset()
	if d.w == nil {
		var err error
		if d.w, err = flate.NewWriterDict(&d.out, flate.DefaultCompression, []byte(dictionary)); err != nil {
			return data, false // not reached: the level is in range
		}
	} else {
		d.w.Reset(&d.out) // keeps the dictionary
	}
	if _, err := d.w.Write(data); err != nil {
		return data, false // not reached: a buffer takes everything
	}
	if err := d.w.Close(); err != nil || d.out.Len() >= len(data) {
		return data, false
	}
	return d.out.Bytes(), true
}

// inflater decompresses blocks, one after another. It keeps its decompressor and
// its buffer, some 100 KB together: made anew for every block of a long backlog
// they would be most of an agent's garbage. The zero value is ready to use.
type inflater struct {
	src bytes.Reader
	r   io.Reader // a flate.Resetter
	buf bytes.Buffer
}

// inflate is the opposite of deflate, bounded. The caller owns the result.
func (i *inflater) inflate(data []byte) ([]byte, error) {
	i.src.Reset(data)
	if i.r == nil {
		i.r = flate.NewReaderDict(&i.src, []byte(dictionary))
	} else if err := i.r.(flate.Resetter).Reset(&i.src, []byte(dictionary)); err != nil {
		return nil, fmt.Errorf("inflate block: %w", err)
	}
	i.buf.Reset()
	if _, err := i.buf.ReadFrom(io.LimitReader(i.r, maxInflated+1)); err != nil {
		return nil, fmt.Errorf("inflate block: %v: %w", err, errCorrupt)
	}
	if i.buf.Len() > maxInflated {
		return nil, fmt.Errorf("block of more than %d bytes: %w", maxInflated, errCorrupt)
	}
	return bytes.Clone(i.buf.Bytes()), nil
}
