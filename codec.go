package longan

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"sync"
)

// The first byte of a message tells its encoding: '{' begins plain JSON,
// encodingDeflate1 is followed by DEFLATE of the JSON with dictionary1. No
// other value is in use.
const encodingDeflate1 = 0x01

// flateWriters reuses compressors: each holds about 0.8 MB, too much for a
// board to make anew for every batch.
var flateWriters = sync.Pool{New: func() any {
	w, err := flate.NewWriterDict(io.Discard, 6, []byte(dictionary1))
	if err != nil { // only a level out of range is an error
		panic("longan: " + err.Error())
	}
	return w
}}

// flateReaders reuses decompressors, of some 40 KB each.
var flateReaders = sync.Pool{New: func() any { return flate.NewReader(nil) }}

// pack returns the message for JSON: compressed when it is longer than
// DeflateAbove and that makes it smaller, as it is otherwise.
func pack(data []byte) ([]byte, error) {
	if len(data) > MaxPayload {
		return nil, tooLarge("message", len(data), MaxPayload)
	}
	if len(data) <= DeflateAbove {
		return data, nil
	}
	var out bytes.Buffer
	out.Grow(len(data)/4 + 64)
	out.WriteByte(encodingDeflate1)
	w := flateWriters.Get().(*flate.Writer)
	defer flateWriters.Put(w)
	w.Reset(&out) // keeps the dictionary
	if _, err := w.Write(data); err != nil {
		return nil, fmt.Errorf("compress message: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compress message: %w", err)
	}
	if out.Len() >= len(data) {
		return data, nil
	}
	return out.Bytes(), nil
}

// unpack returns the JSON of a message, never more than MaxPayload of it.
func unpack(payload []byte) ([]byte, error) {
	if len(payload) > MaxPayload {
		return nil, tooLarge("message", len(payload), MaxPayload)
	}
	if len(payload) == 0 {
		return nil, malformed("empty message")
	}
	switch payload[0] {
	case '{':
		return payload, nil
	case encodingDeflate1:
		deflated := bytes.NewReader(payload[1:]) // an io.ByteReader: flate reads no further than it must
		r := flateReaders.Get().(io.Reader)
		defer flateReaders.Put(r)
		if err := r.(flate.Resetter).Reset(deflated, []byte(dictionary1)); err != nil {
			return nil, fmt.Errorf("inflate message: %w", err)
		}
		data, err := io.ReadAll(io.LimitReader(r, MaxPayload+1))
		if len(data) > MaxPayload {
			return nil, tooLarge("inflated message", len(data), MaxPayload)
		}
		if err != nil {
			return nil, malformed("inflate: %v", err)
		}
		if n := deflated.Len(); n > 0 {
			return nil, malformed("inflate: %d bytes behind the end", n)
		}
		return data, nil
	}
	return nil, malformed("first byte %#02x: want '{' or %#02x", payload[0], encodingDeflate1)
}

// JSON returns the JSON of a message, inflated where it is compressed, for
// people and tools to read.
func JSON(payload []byte) ([]byte, error) { return open(payload) }

// open returns the JSON of a message: inflated where needed, bounded, valid, in
// UTF-8 and of this version.
func open(payload []byte) ([]byte, error) {
	data, err := unpack(payload)
	if err != nil {
		return nil, err
	}
	if !validJSON(data) {
		return nil, malformed("not JSON in UTF-8")
	}
	return data, checkVersion(data)
}

// checkVersion looks at v before anything else is read: in another version the
// other fields may mean something else.
func checkVersion(data []byte) error {
	var version uint64
	errFound := errors.New("found")
	err := eachField(data, func(key string, val []byte) (err error) {
		if key == "v" {
			if version, err = parseUint(val); err == nil {
				err = errFound
			}
		}
		return err
	})
	if err != nil && err != errFound {
		return err
	}
	if version != Version {
		return fmt.Errorf("%w: v %d, this program knows %d (%w)", ErrVersion, version, Version, ErrMalformed)
	}
	return nil
}
