package peripheral

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// device is a simulated device at the far end of a pipe.
type device interface {
	Serve(context.Context, Port) error
}

// plug serves d on a pipe until the test ends, and returns the near end.
func plug(t *testing.T, d device) net.Conn {
	near, far := net.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Serve(ctx, far) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve ended: %v", err)
		}
		near.Close()
	})
	return near
}

// talk sends request and returns what comes back within a while.
func talk(t *testing.T, conn net.Conn, request []byte, wait time.Duration) []byte {
	t.Helper()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { // while reading, for a pipe holds nothing
		if _, err := conn.Write(request); err != nil {
			t.Error(err)
		}
	})
	conn.SetReadDeadline(time.Now().Add(wait))
	var got []byte
	buf := make([]byte, 256)
	for {
		n, err := conn.Read(buf)
		got = append(got, buf[:n]...)
		if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// frame adds the checksum to a frame in hex; its correctness is what the
// recorded frames among the tests show.
func frame(t testing.TB, s string) []byte {
	b := unhex(t, s)
	return binary.LittleEndian.AppendUint16(b, rtuChecksum(b))
}

func TestModuleAnswers(t *testing.T) {
	whole := func(s string) []byte { return unhex(t, s) }
	for _, test := range []struct {
		name    string
		request []byte
		want    []byte
	}{
		// Recorded from a slave made with libmodbus, with inputs 1 and 4 on.
		{"inputs", whole("01 02 00 00 00 08 79 cc"), whole("01 02 01 09 61 8e")},
		{"coil on", whole("01 05 00 00 ff 00 8c 3a"), whole("01 05 00 00 ff 00 8c 3a")},
		{"another slave", whole("02 02 00 00 00 08 79 ff"), nil},

		{"coils read", frame(t, "01 01 00 00 00 03"), frame(t, "01 01 01 00")},
		{"some inputs", frame(t, "01 02 00 03 00 02"), frame(t, "01 02 01 01")},
		{"coils written", frame(t, "01 0f 00 01 00 02 01 03"), frame(t, "01 0f 00 01 00 02")},
		// Recorded from a slave made with libmodbus, which has no such register.
		{"no such register", whole("01 03 00 63 00 01 74 14"), whole("01 83 02 c0 f1")},
		{"input registers", frame(t, "01 04 00 01 00 02"), frame(t, "01 04 04 01 02 00 00")},
		{"126 registers", frame(t, "01 04 00 00 00 7e"), frame(t, "01 84 03")},
		{"register written", frame(t, "01 06 00 01 12 34"), frame(t, "01 06 00 01 12 34")},
		{"no such register to write", frame(t, "01 06 00 02 12 34"), frame(t, "01 86 02")},
		{"registers written", frame(t, "01 10 00 00 00 02 04 00 01 00 02"), frame(t, "01 10 00 00 00 02")},
		{"registers past the end", frame(t, "01 10 00 01 00 02 04 00 01 00 02"), frame(t, "01 90 02")},
		{"registers' byte count lies", frame(t, "01 10 00 00 00 02 02 00 01"), frame(t, "01 90 03")},
		{"function 43", frame(t, "01 2b 0e 01 00"), frame(t, "01 ab 01")},
		{"too many inputs", frame(t, "01 02 00 00 00 09"), frame(t, "01 82 02")},
		{"no inputs", frame(t, "01 02 00 00 00 00"), frame(t, "01 82 03")},
		{"2001 inputs", frame(t, "01 02 00 00 07 d1"), frame(t, "01 82 03")},
		{"no such coil", frame(t, "01 05 00 04 ff 00"), frame(t, "01 85 02")},
		{"neither on nor off", frame(t, "01 05 00 00 12 34"), frame(t, "01 85 03")},
		{"coils past the end", frame(t, "01 0f 00 03 00 02 01 03"), frame(t, "01 8f 02")},
		{"byte count lies", frame(t, "01 0f 00 00 00 02 02 03 00"), frame(t, "01 8f 03")},
		{"wrong checksum", whole("01 02 00 00 00 08 79 cd"), nil},
		{"half a request", whole("01 02 00 00"), nil},
		{"noise before the request", whole("00 ff 55 01 02 00 00 00 08 79 cc"), whole("01 02 01 09 61 8e")},
		{"broken request before a sound one", whole("01 02 00 00 01 02 00 00 00 08 79 cc"), whole("01 02 01 09 61 8e")},
		{"broadcast", frame(t, "00 05 00 01 ff 00"), nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := NewModule(ModuleConfig{Address: 1, Inputs: 8, Coils: 4, Registers: 3, Holding: 2})
				m.SetRegister(2, 0x102)
				m.SetRegister(99, 1)
				m.SetInput(1, true)
				m.SetInput(4, true)
				m.SetInput(99, true) // it has none: ignored
				if got := talk(t, plug(t, m), test.request, time.Second); !bytes.Equal(got, test.want) {
					t.Errorf("got % x, want % x", got, test.want)
				}
			})
		})
	}
}

func TestModuleCoils(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewModule(ModuleConfig{Address: 1, Inputs: 1, Coils: 4})
		conn := plug(t, m)
		for _, step := range []struct {
			request string
			want    string
		}{
			{"01 05 00 00 ff 00", "1000"},
			{"01 0f 00 01 00 03 01 05", "1101"},
			{"00 05 00 02 ff 00", "1111"}, // a broadcast
			{"01 05 00 00 00 00", "0111"},
			{"02 05 00 01 00 00", "0111"},
		} {
			talk(t, conn, frame(t, step.request), time.Second)
			got := []byte("0000")
			for i := range got {
				if m.Coil(i + 1) {
					got[i] = '1'
				}
			}
			if string(got) != step.want {
				t.Errorf("after %s: got %s, want %s", step.request, got, step.want)
			}
		}
		if m.Coil(0) || m.Coil(5) {
			t.Error("a coil it does not have is on")
		}
	})
}

func TestModuleFaults(t *testing.T) {
	request, sound := "01 02 00 00 00 08 79 cc", "01 02 01 00 a1 88"
	synctest.Test(t, func(t *testing.T) {
		m := NewModule(ModuleConfig{Address: 1, Inputs: 8})
		conn := plug(t, m)
		for _, step := range []struct {
			name string
			do   func()
			want string
		}{
			{"sound", func() {}, sound},
			{"silent", func() { m.SetFault(Silent) }, ""},
			{"half frame", func() { m.SetFault(HalfFrame) }, "01 02 01"},
			{"wrong checksum", func() { m.SetFault(WrongCRC) }, "01 02 01 01 a1 88"},
			{"late", func() { m.SetFault(Late) }, ""},
			{"the late one, then silence", func() { m.SetFault(Silent) }, sound},
			{"next two silent: first", func() { m.FailNext(2, Silent) }, ""},
			{"next two silent: second", func() {}, ""},
			{"next two silent: third", func() {}, sound},
			{"in time after all", func() { m.SetFault(Late); m.SetDelay(time.Millisecond) }, sound},
		} {
			step.do()
			if got := talk(t, conn, unhex(t, request), 900*time.Millisecond); !bytes.Equal(got, unhex(t, step.want)) {
				t.Errorf("%s: got % x, want %s", step.name, got, step.want)
			}
		}
		m.SetFault(Babbling)
		if got := talk(t, conn, unhex(t, request), time.Second); len(got) < 1000 {
			t.Errorf("babbling: got %d bytes", len(got))
		}
	})
}

func FuzzModule(f *testing.F) {
	for _, seed := range []string{
		"010200000008 79cc", "01050000ff008c3a", "00ff55010200000008 79cc", "010f0001000201035687", "012b0e0100", "",
	} {
		f.Add(unhex(f, seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m := NewModule(ModuleConfig{Address: 1, Inputs: 8, Coils: 4})
		for {
			request, rest, ok := cutRequest(data)
			if !ok {
				if len(rest) > maxRTU {
					t.Errorf("%d bytes are kept", len(rest))
				}
				return
			}
			var answer bytes.Buffer
			if err := m.handle(t.Context(), &answer, request); err != nil {
				t.Fatal(err)
			}
			if b := answer.Bytes(); len(b) > 0 && (rtuChecksum(b) != 0 || b[0] != 1 || b[1]&^0x80 != request[1]) {
				t.Errorf("% x: answered % x", request, b)
			}
			data = rest
		}
	})
}
