package longan

import (
	"encoding/base64"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
	"time"
)

// What a line of an export begins with, and its bounds.
const (
	exportHead  = "longan-export"
	exportBatch = "batch"
	exportEnd   = "end"
	// exportVersion is what follows exportHead.
	exportVersion = 1
	// maxExportLine bounds a line: the largest message in base64, and around it
	// the kind, the number and the checksum.
	maxExportLine = (MaxPayload+2)/3*4 + 64
)

// ExportHead says where the events of an export come from.
type ExportHead struct {
	Device  DeviceID
	Time    time.Time // when it was written, by the clock at hand; zero when unknown
	Version string    // of the program that wrote it
	Extra   Extra
}

// ExportWriter writes an export.
//
// An export is a file in which somebody carries events to the city when no
// network does: batches, as a board would have published them, a line each. It
// is text, so that it survives any stick and any mail, and what is whole of a
// damaged one is found again at the next line:
//
//	longan-export 1 {"device":"621202107-01","time":"2026-11-23T08:15:30.123Z","version":"v0.1.0"} 5d0a6a55
//	batch 1 AWyOwQrC… 0d4f5e77
//	batch 2 AU3LQQrD… 91c7b3aa
//	end {"batches":2,"events":417} 3e5f7f20
//
// A batch line carries its number in the file and the message in base64 (RFC
// 4648). Each line ends with the CRC-32C, in eight hex digits, of what stands
// before its last space. A reader passes over lines of a kind that it does not
// know. Events of an export may be in the city's store already, or come over the
// network later: their numbers tell.
type ExportWriter struct {
	w               io.Writer
	device          DeviceID
	batches, events uint64
}

// NewExportWriter begins an export on w. Errors are those of w, or wrap
// ErrMalformed or ErrTooLarge when the head breaks the contract.
func NewExportWriter(w io.Writer, head ExportHead) (*ExportWriter, error) {
	if _, err := ParseDeviceID(string(head.Device)); err != nil {
		return nil, err
	}
	if err := checkTime("time", head.Time); err != nil {
		return nil, err
	}
	if len(head.Version) > MaxLabel {
		return nil, tooLarge("version", len(head.Version), MaxLabel)
	}
	o := newObject(nil)
	o.str("device", string(head.Device))
	o.time("time", head.Time)
	o.str("version", head.Version)
	x := &ExportWriter{w: w, device: head.Device}
	return x, x.line(fmt.Appendf(nil, "%s %d %s", exportHead, exportVersion, o.end(head.Extra)))
}

// Batch writes a batch whose events are JSON already; see [Batch.EncodeRaw].
func (x *ExportWriter) Batch(b *Batch, events [][]byte) error {
	if b.Device != x.device {
		return malformed("batch of %s in an export of %s", clip(string(b.Device)), x.device)
	}
	msg, err := b.EncodeRaw(events)
	if err != nil {
		return err
	}
	x.batches++
	x.events += uint64(len(events))
	line := strconv.AppendUint([]byte(exportBatch+" "), x.batches, 10)
	return x.line(base64.StdEncoding.AppendEncode(append(line, ' '), msg))
}

// Events returns the number of events written so far.
func (x *ExportWriter) Events() uint64 { return x.events }

// Close writes the last line, without which an export counts as cut off. It does
// not close the writer below.
func (x *ExportWriter) Close() error {
	return x.line(fmt.Appendf(nil, `%s {"batches":%d,"events":%d}`, exportEnd, x.batches, x.events))
}

func (x *ExportWriter) line(text []byte) error {
	sum := exportSum(text)
	_, err := x.w.Write(fmt.Appendf(text, " %08x\n", sum))
	return err
}

func exportSum(text []byte) uint32 {
	return crc32.Checksum(text, crc32.MakeTable(crc32.Castagnoli)) // the table is made once by the library
}
