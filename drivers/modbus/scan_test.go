package modbus

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/longan-edge/longan/drivers"
)

// received are the ways in which the bytes after a request are no plain answer,
// shared by the tests and as seeds of the fuzz targets. The request is
// "01 02 00 00 00 08", its answer "01 02 01 09 61 8e".
var received = []struct {
	name  string
	bytes string
	pdu   string // of the answer that is in it
	says  string // the diagnosis where there is none
}{
	{"plain answer", "01 02 01 09 61 8e", "02 01 09", ""},
	{"silence", "", "", "silent"},
	{"echo of the own request", "01 02 00 00 00 08 79 cc 01 02 01 09 61 8e", "02 01 09", ""},
	{"echo and silence", "01 02 00 00 00 08 79 cc", "", "only the echo"},
	{"leading 00 noise", "00 00 01 02 01 09 61 8e", "02 01 09", ""},
	{"trailing noise", "01 02 01 09 61 8e 00 ff", "02 01 09", ""},
	{"noise that looks like a start", "01 02 ff 01 02 01 09 61 8e", "02 01 09", ""},
	{"only noise", "ff 00 13 37", "", "4 bytes of noise"},
	{"short frame", "01 02 01 09", "", "cut short: 4 of 6 bytes"},
	{"nothing but the head", "01 02", "", "cut short: 2 of 6 bytes"},
	{"wrong checksum", "01 02 01 09 61 8f", "", "checksum"},
	{"long frame", "01 02 02 09 00 bf e8", "", "7 bytes instead of 6"},
	{"byte count lies up", "01 02 07 09 61 8e", "", "announces 7 bytes instead of 1"},
	{"byte count lies down", "01 02 00 09 61 8e", "", "announces 0 bytes instead of 1"},
	{"wrong address", "02 02 01 09 61 ca", "", "slave 2 answered instead of 1"},
	{"wrong address, then the answer", "02 02 01 09 61 ca 01 02 01 09 61 8e", "02 01 09", ""},
	{"wrong function", "01 01 01 09 91 8e", "", "function 1 instead of 2"},
	{"late answer of an earlier request", "01 05 00 00 ff 00 8c 3a 01 02 01 09 61 8e", "02 01 09", ""},
	{"only the late answer", "01 05 00 00 ff 00 8c 3a", "", "function 5 instead of 2"},
	{"exception", "01 82 02 c1 61", "", "exception 2 (illegal data address)"},
	{"exception with a wrong checksum", "01 82 02 c1 62", "", "checksum"},
	{"exception cut short", "01 82 02", "", "cut short: 3 of 5 bytes"},
}

func inputs8(t testing.TB) request { return must(t)(readBits(1, ReadDiscreteInputs, 0, 8)) }

// chunks is a port with bytes to read, in pieces of at most size; after them it
// runs into every deadline.
type chunks struct {
	data []byte
	size int
}

func (c *chunks) Read(b []byte) (int, error) {
	if len(c.data) == 0 {
		return 0, os.ErrDeadlineExceeded
	}
	n := copy(b, c.data[:min(c.size, len(c.data))])
	c.data = c.data[n:]
	return n, nil
}
func (c *chunks) Write(b []byte) (int, error)      { return len(b), nil }
func (c *chunks) Close() error                     { return nil }
func (c *chunks) SetReadDeadline(time.Time) error  { return nil }
func (c *chunks) SetWriteDeadline(time.Time) error { return nil }

func receiveAll(r request, data []byte, size int) ([]byte, error) {
	b := newBus(&chunks{data, size}, drivers.SerialMode{Baud: 9600})
	return b.receive(r, time.Now(), time.Second)
}

func TestReceived(t *testing.T) {
	for _, test := range received {
		for _, size := range []int{1, 3, MaxFrame} { // however the bytes are handed over
			pdu, err := receiveAll(inputs8(t), unhex(t, test.bytes), size)
			if !bytes.Equal(pdu, unhex(t, test.pdu)) {
				t.Errorf("%s, by %d: got % x, want %s", test.name, size, pdu, test.pdu)
			}
			if (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("%s, by %d: got %v, want %q", test.name, size, err, test.says)
			}
			if got := errors.Is(err, drivers.ErrSilent); got != (strings.Contains(test.says, "silent") || strings.Contains(test.says, "echo")) {
				t.Errorf("%s: got ErrSilent %v", test.name, got)
			}
		}
	}
}

// The answer to a write repeats the request, so on a line that echoes the first
// copy proves nothing.
func TestEchoOfAWriteIsNoAnswer(t *testing.T) {
	const frame = "01 05 00 00 ff 00 8c 3a"
	r := must(t)(writeCoil(1, 0, true))
	for _, test := range []struct {
		name     string
		echo     bool
		received string
		answered bool
	}{
		{"no echo", false, frame, true},
		{"echo alone", true, frame, false},
		{"echo and answer", true, frame + frame, true},
		{"other coil", false, "01 05 00 01 ff 00 dd fa", false},
		{"switched off", false, "01 05 00 00 00 00 cd ca", false},
	} {
		_, _, err := r.scan(unhex(t, test.received), MaxFrame, test.echo)
		if (err == nil) != test.answered {
			t.Errorf("%s: got %v", test.name, err)
		}
	}
}

func TestEchoIsLearned(t *testing.T) {
	echo := unhex(t, "01 02 00 00 00 08 79 cc 01 02 01 09 61 8e")
	plain := echo[8:]
	b := newBus(nil, drivers.SerialMode{Baud: 9600})
	for i, step := range []struct {
		data []byte
		want bool
	}{{plain, false}, {echo, true}, {echo, true}, {plain, false}} {
		b.port = &chunks{step.data, MaxFrame}
		if _, err := b.receive(inputs8(t), time.Now(), time.Second); err != nil || b.echo != step.want {
			t.Errorf("step %d: got echo %v, %v, want %v", i, b.echo, err, step.want)
		}
	}
}

func TestBabbleIsBounded(t *testing.T) {
	babble := bytes.Repeat([]byte{0x55}, 1<<16)
	if _, err := receiveAll(inputs8(t), babble, 100); err == nil || !strings.Contains(err.Error(), "noise") {
		t.Errorf("got %v", err)
	}
	pdu, err := receiveAll(inputs8(t), append(babble, unhex(t, "01 02 01 09 61 8e")...), 7)
	if err != nil || len(pdu) != 3 {
		t.Errorf("answer after it: got % x, %v", pdu, err)
	}
}

func FuzzDecodeResponse(f *testing.F) {
	for _, seed := range received {
		f.Add(unhex(f, seed.bytes), false)
		f.Add(unhex(f, seed.bytes), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, write bool) {
		r := inputs8(t)
		if write {
			r = must(t)(writeCoil(1, 0, true))
		}
		pdu, err := r.match(data)
		if err == nil && (len(pdu) != r.answer || !bytes.Equal(appendFrame(nil, r.slave, pdu), data)) {
			t.Errorf("% x: got % x, which is not its answer", data, pdu)
		}
		if err != nil && (pdu != nil || err.Error() == "") {
			t.Errorf("% x: got % x and %q", data, pdu, err)
		}
		if n := answerLength(data); n < -1 || n > 5+255 {
			t.Errorf("% x: length %d", data, n)
		}
	})
}

func FuzzReadFrame(f *testing.F) {
	for _, seed := range received {
		f.Add(unhex(f, seed.bytes), byte(1))
		f.Add(unhex(f, seed.bytes), byte(200))
	}
	f.Fuzz(func(t *testing.T, data []byte, size byte) {
		r := inputs8(t)
		pdu, err := receiveAll(r, data, 1+int(size))
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errMore) || errors.Is(err, errLost) {
			t.Fatalf("% x: got %v, want a diagnosis", data, err)
		}
		var refused Exception
		switch {
		case err == nil && !bytes.Contains(data, appendFrame(nil, 1, pdu)):
			t.Errorf("% x: got % x, which is not in it", data, pdu)
		case errors.As(err, &refused) && !bytes.Contains(data, appendFrame(nil, 1, []byte{0x82, byte(refused)})):
			t.Errorf("% x: got %v, which is not in it", data, err)
		case len(pdu) == 3:
			bits(pdu, 8)
		}
	})
}
