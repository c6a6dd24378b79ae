package longan

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// ExportReader reads an export, of which it trusts nothing.
type ExportReader struct {
	r    *bufio.Reader
	buf  []byte
	line int // number of the last line, from 1

	head            ExportHead
	begun, ended    bool // a good head was read; a good end was
	batches, events uint64
	done            error // what Next returns from now on
}

// NewExportReader returns a reader of an export. It reads ahead.
func NewExportReader(r io.Reader) *ExportReader {
	return &ExportReader{r: bufio.NewReaderSize(r, 64<<10)}
}

// Head returns what the export says of itself, and false before the first Next
// or when that line is damaged.
func (x *ExportReader) Head() (ExportHead, bool) { return x.head, x.begun }

// Next returns the next batch. After an error that wraps ErrMalformed or
// ErrTooLarge, which names the line, a part is lost and the next call goes on
// behind it. [io.EOF] is the end; that the file was cut off, or lacks batches, is
// an error before it. An export of a later version is an error that wraps
// ErrVersion, and then io.EOF. Other errors are those of the reader below.
func (x *ExportReader) Next() (*Batch, error) {
	for x.done == nil {
		line, err := x.readLine()
		if err == io.EOF {
			x.done = io.EOF
			if err := x.complete(); err != nil {
				return nil, err
			}
			break
		}
		if err != nil && !errors.Is(err, ErrTooLarge) {
			x.done = err
			break
		}
		var b *Batch
		if err == nil {
			b, err = x.take(line)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", x.line, err)
		}
		if b != nil {
			x.batches++
			x.events += uint64(len(b.Events))
			return b, nil
		}
	}
	return nil, x.done
}

// readLine returns the next line without its end. It is valid until the next
// call. A line that is too long is passed over.
func (x *ExportReader) readLine() ([]byte, error) {
	x.buf = x.buf[:0]
	size := 0
	for {
		part, err := x.r.ReadSlice('\n')
		size += len(part)
		if size <= maxExportLine {
			x.buf = append(x.buf, part...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil && (err != io.EOF || size == 0) {
			return nil, err
		}
		x.line++
		if size > maxExportLine {
			return nil, tooLarge("line", size, maxExportLine)
		}
		return bytes.TrimRight(x.buf, "\r\n"), nil
	}
}

// take reads a line, and returns its batch when it has one.
func (x *ExportReader) take(line []byte) (*Batch, error) {
	cut := bytes.LastIndexByte(line, ' ')
	if cut < 0 {
		return nil, malformed("not a line of an export")
	}
	sum, err := strconv.ParseUint(string(line[cut+1:]), 16, 32)
	if err != nil || len(line)-cut-1 != 8 || uint32(sum) != exportSum(line[:cut]) {
		return nil, malformed("checksum does not hold")
	}
	kind, rest, _ := bytes.Cut(line[:cut], []byte(" "))
	switch string(kind) {
	case exportHead:
		return nil, x.takeHead(rest)
	case exportBatch:
		return x.takeBatch(rest)
	case exportEnd:
		return nil, x.takeEnd(rest)
	}
	return nil, nil
}

func (x *ExportReader) takeHead(rest []byte) error {
	version, data, _ := bytes.Cut(rest, []byte(" "))
	if v, err := strconv.ParseUint(string(version), 10, 32); err != nil {
		return malformed("version of export")
	} else if v != exportVersion {
		x.done = io.EOF
		return fmt.Errorf("%w: export of version %d, this program knows %d (%w)", ErrVersion, v, exportVersion, ErrMalformed)
	}
	if x.begun || x.batches > 0 {
		return malformed("a second export begins; import the files one by one")
	}
	if !validJSON(data) {
		return malformed("head: not JSON in UTF-8")
	}
	var head ExportHead
	err := eachField(data, func(key string, val []byte) (err error) {
		switch key {
		case "device":
			head.Device, err = parseDevice(val)
		case "time":
			head.Time, err = parseTime(val)
		case "version":
			head.Version, err = parseString(val)
		default:
			err = head.Extra.keep(key, val)
		}
		return err
	})
	if err != nil {
		return err
	}
	if _, err := ParseDeviceID(string(head.Device)); err != nil {
		return err
	}
	if len(head.Version) > MaxLabel {
		return tooLarge("version", len(head.Version), MaxLabel)
	}
	x.head, x.begun = head, true
	return nil
}

func (x *ExportReader) takeBatch(rest []byte) (*Batch, error) {
	_, text, _ := bytes.Cut(rest, []byte(" "))
	msg, err := base64.StdEncoding.AppendDecode(nil, text)
	if err != nil {
		return nil, malformed("batch: %v", err)
	}
	b, err := DecodeBatch(msg)
	if err != nil {
		return nil, err
	}
	if x.begun && b.Device != x.head.Device {
		return nil, malformed("batch of %s in an export of %s", b.Device, x.head.Device)
	}
	return b, nil
}

func (x *ExportReader) takeEnd(rest []byte) error {
	if !validJSON(rest) {
		return malformed("end: not JSON in UTF-8")
	}
	var batches, events uint64
	err := eachField(rest, func(key string, val []byte) (err error) {
		switch key {
		case "batches":
			batches, err = parseUint(val)
		case "events":
			events, err = parseUint(val)
		}
		return err
	})
	if err != nil {
		return err
	}
	x.ended = true
	if x.batches < batches || x.events < events {
		return malformed("%d of %d batches are whole, with %d of %d events", x.batches, batches, x.events, events)
	}
	return nil
}

// complete returns an error when the file can't be all of an export.
func (x *ExportReader) complete() error {
	switch {
	case x.line == 0:
		return malformed("the file is empty")
	case !x.begun && x.batches == 0:
		return malformed("not an export: no line begins with %s", exportHead)
	case !x.ended:
		return malformed("cut off: the last line is missing")
	}
	return nil
}
