package osdp

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/longan-edge/longan/drivers"
	"github.com/longan-edge/longan/drivers/porttest"
)

func TestConfigIsRefused(t *testing.T) {
	own := bytes.Repeat([]byte{7}, KeySize)
	one := func(change func(*Reader)) []Reader {
		r := Reader{Address: 1, Online: "r", Key: own}
		change(&r)
		return []Reader{r}
	}
	same := func(*Reader) {}
	for _, test := range []struct {
		name string
		cfg  Config
		says string
	}{
		{"no card key", Config{Readers: one(same)}, "key for card numbers"},
		{"a short card key", Config{CardKey: cardKey[:15], Readers: one(same)}, "key for card numbers"},
		{"no readers", Config{CardKey: cardKey}, "no readers"},
		{"a baud rate OSDP has not", Config{CardKey: cardKey, Mode: drivers.SerialMode{Baud: 4800}, Readers: one(same)}, "baud 4800"},
		{"parity", Config{CardKey: cardKey, Mode: drivers.SerialMode{Parity: drivers.EvenParity}, Readers: one(same)}, "no parity"},
		{"two stop bits", Config{CardKey: cardKey, Mode: drivers.SerialMode{StopBits: 2}, Readers: one(same)}, "one stop bit"},
		{"the broadcast address", Config{CardKey: cardKey, Readers: one(func(r *Reader) { r.Address = 127 })}, "0 to 126"},
		{"no point", Config{CardKey: cardKey, Readers: one(func(r *Reader) { r.Online = "" })}, "no name"},
		{"no key", Config{CardKey: cardKey, Readers: one(func(r *Reader) { r.Key = nil })}, "want either a key"},
		{"a key and plain", Config{CardKey: cardKey, Readers: one(func(r *Reader) { r.Plain = true })}, "want either a key"},
		{"a key and installation", Config{CardKey: cardKey, Readers: one(func(r *Reader) { r.Installation = true })}, "want either a key"},
		{"a short key", Config{CardKey: cardKey, Readers: one(func(r *Reader) { r.Key = own[:8] })}, "a key of 8 bytes"},
		{"the default key as its own", Config{CardKey: cardKey, Readers: one(func(r *Reader) { r.Key = defaultKey() })}, "public"},
		{"input 0", Config{CardKey: cardKey, Readers: one(func(r *Reader) { r.Inputs = []Input{{Point: "i"}} })}, "input 0"},
		{"two with one address", Config{CardKey: cardKey, Readers: append(one(same), one(func(r *Reader) { r.Online = "s" })...)}, "two have this address"},
		{"two with one point", Config{CardKey: cardKey, Readers: append(one(same), one(func(r *Reader) { r.Address = 2 })...)}, `the name "r"`},
		{"one point twice", Config{CardKey: cardKey, Readers: one(func(r *Reader) { r.Tamper = "r" })}, `the name "r"`},
		{"one output twice", Config{CardKey: cardKey, Readers: one(func(r *Reader) { r.LED, r.Buzzer = "o", "o" })}, `the name "o"`},
	} {
		_, err := New(&porttest.Ports{}, port, test.cfg)
		if err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: got %v, want an error that says %q", test.name, err, test.says)
		}
		if err != nil && bytes.Contains([]byte(err.Error()), own) {
			t.Errorf("%s: the key is in %v", test.name, err)
		}
	}
	// An output may have the name of a point.
	if _, err := New(&porttest.Ports{}, port, Config{CardKey: cardKey, Readers: one(func(r *Reader) { r.LED = "r" })}); err != nil {
		t.Error(err)
	}
}

func TestPanelsOnOneLineHaveAddressesOfTheirOwn(t *testing.T) {
	line := NewLine(&porttest.Ports{}, port, drivers.SerialMode{})
	for _, test := range []struct {
		address int
		ok      bool
	}{{1, true}, {2, true}, {1, false}} {
		_, err := NewOn(line, Config{CardKey: cardKey, Readers: []Reader{{Address: test.address, Online: "r", Plain: true}}})
		if (err == nil) != test.ok {
			t.Errorf("address %d: got %v", test.address, err)
		}
	}
	if line.String() != port {
		t.Errorf("the line is %q", line)
	}
}

func TestNoPort(t *testing.T) {
	b := start(t, &porttest.Ports{}, Config{Readers: []Reader{{Address: 1, Online: "r", Plain: true, Tamper: "t"}}})
	<-b.done
	if got := b.changes(); got != "t=unknown r=unknown" || !errors.Is(b.err, drivers.ErrNoPort) {
		t.Errorf("got %q, %v", got, b.err)
	}
}

func TestEmitEndsRun(t *testing.T) {
	full := errors.New("spool is full")
	var ports porttest.Ports
	ports.Script(port, dialogue(t, hello(poll2, ack2)...)...)
	panel, err := New(&ports, port, Config{CardKey: cardKey, Readers: []Reader{{Address: 1, Online: "r", Plain: true}}})
	if err != nil {
		t.Fatal(err)
	}
	err = panel.Run(t.Context(), func(context.Context, drivers.Reading) error { return full })
	if !errors.Is(err, full) {
		t.Errorf("got %v, want %v", err, full)
	}
	if err := panel.Act(t.Context(), "led", true); err == nil {
		t.Error("an output that is not there was switched")
	}
}

func TestActWithoutRun(t *testing.T) {
	panel, err := New(&porttest.Ports{}, port, Config{CardKey: cardKey, Readers: []Reader{{Address: 1, Online: "r", Plain: true, LED: "led"}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := panel.Act(t.Context(), "led", true); !errors.Is(err, drivers.ErrNotRunning) {
		t.Errorf("got %v, want ErrNotRunning", err)
	}
}
