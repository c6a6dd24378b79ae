package porttest

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/longan-edge/longan/drivers"
)

func TestScriptAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ports Ports
		script := ports.Script(uart,
			Reply('h', 'i'),
			Expect(1, 2, 3), Delay(time.Second), Reply(4, 5),
			Expect(6), Silence(time.Minute),
			Unplug())
		s := open(t, &ports, drivers.SerialMode{})
		want := func(what string, n int) {
			t.Helper()
			b := make([]byte, n)
			if _, err := io.ReadFull(s, b); err != nil || string(b) != what {
				t.Errorf("got %q, %v, want %q", b, err, what)
			}
		}
		want("hi", 2)
		start := time.Now()
		s.Write([]byte{1})
		s.Write([]byte{2, 3})
		want("\x04\x05", 2)
		if d := time.Since(start); d != time.Second {
			t.Errorf("the answer came after %v, want 1s", d)
		}
		s.Write([]byte{6})
		s.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := s.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("silence: got %v", err)
		}
		s.SetReadDeadline(time.Time{})
		if _, err := s.Read(make([]byte, 1)); !errors.Is(err, drivers.ErrUnplugged) {
			t.Errorf("unplug: got %v", err)
		}
		if err := script.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestScriptCloseFails(t *testing.T) {
	for _, test := range []struct {
		name  string
		steps []Step
		write string
		want  string
	}{
		{"steps left", []Step{Expect('a'), Expect('b')}, "a", "1 steps left"},
		{"other bytes", []Step{Expect('a')}, "b", "got 62, want 61"},
		{"half a frame", []Step{Expect('a', 'b')}, "a", "got only 61"},
		{"bytes in a silence", []Step{Silence(time.Second)}, "a", "want nothing"},
		{"closed in a delay", []Step{Delay(time.Hour)}, "", "1 steps left"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var ports Ports
				script := ports.Script(uart, test.steps...)
				s := open(t, &ports, drivers.SerialMode{})
				s.Write([]byte(test.write))
				synctest.Wait()
				if err := script.Close(); err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("got %v, want %q", err, test.want)
				}
			})
		})
	}
}

func TestRecordingPlaysBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		talk := func(ports drivers.Ports) {
			s := open(t, ports, drivers.SerialMode{})
			defer s.Close()
			for range 2 {
				s.Write([]byte{1})
				s.Write([]byte{3})
				b := make([]byte, 2)
				if _, err := io.ReadFull(s, b); err != nil || string(b) != "\x01\x83" {
					t.Errorf("got % x, %v", b, err)
				}
			}
		}
		var ports Ports
		script := ports.Script(uart, Expect(1, 3), Reply(1, 0x83), Expect(1, 3), Reply(1, 0x83))
		record := &Record{Ports: &ports}
		talk(record)
		if err := script.Close(); err != nil {
			t.Fatal(err)
		}
		text := record.Transcript(uart)
		if want := "> 01 03\n< 01 83\n> 01 03\n< 01 83\n"; text != want {
			t.Errorf("transcript: got %q, want %q", text, want)
		}
		steps, err := ParseTranscript(text)
		if err != nil {
			t.Fatal(err)
		}
		script = ports.Script(uart, steps...)
		talk(&ports)
		if err := script.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestParseTranscript(t *testing.T) {
	text := "# comment\n\n> 0103 ff # request\n< 83\ndelay 50ms\nsilence 1s\nunplug\n"
	steps, err := ParseTranscript(text)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, s := range steps {
		b.WriteString(s.String() + "\n")
	}
	if want := "> 01 03 ff\n< 83\ndelay 50ms\nsilence 1s\nunplug\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
	for _, bad := range []string{"> 0", "< xx", "delay soon", "shout"} {
		if _, err := ParseTranscript(bad); err == nil {
			t.Errorf("%q: want an error", bad)
		}
	}
}

func FuzzParseTranscript(f *testing.F) {
	f.Add("> 01 03\n< 83 # x\ndelay 1s\nsilence 1s\nunplug")
	f.Fuzz(func(t *testing.T, text string) {
		steps, err := ParseTranscript(text)
		if err != nil {
			return
		}
		var b strings.Builder
		for _, s := range steps {
			b.WriteString(s.String() + "\n")
		}
		again, err := ParseTranscript(b.String())
		if err != nil || len(again) != len(steps) {
			t.Errorf("written out again: %q: %d steps, %v, want %d", b.String(), len(again), err, len(steps))
		}
	})
}
