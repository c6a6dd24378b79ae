package dc09

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/drivers"
)

// pipes is a TCP listener in memory.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return address("pipes") }

type address string

func (a address) Network() string { return "memory" }
func (a address) String() string  { return string(a) }

// datagrams is a UDP socket in memory.
type datagrams struct {
	net.PacketConn
	in, out chan string
	closed  chan struct{}
	once    sync.Once
}

func newDatagrams() *datagrams {
	return &datagrams{in: make(chan string), out: make(chan string, 100), closed: make(chan struct{})}
}

func (d *datagrams) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case s := <-d.in:
		return copy(b, s), address("panel"), nil
	case <-d.closed:
		return 0, nil, net.ErrClosed
	}
}

func (d *datagrams) WriteTo(b []byte, to net.Addr) (int, error) {
	if to != address("panel") {
		return 0, fmt.Errorf("answer to %v", to)
	}
	d.out <- string(b)
	return len(b), nil
}

func (d *datagrams) SetWriteDeadline(time.Time) error { return nil }
func (d *datagrams) Close() error                     { d.once.Do(func() { close(d.closed) }); return nil }

// bench is a receiver that runs in a bubble.
type bench struct {
	t      *testing.T
	r      *Receiver
	tcp    *pipes
	udp    *datagrams
	cancel context.CancelFunc
	done   chan struct{}
	err    error // after done

	mu      sync.Mutex
	events  []string          // occurrences and changes of state, "panic=active"
	states  map[string]string // last, by point
	details map[string]string
	emits   int
	fail    func(drivers.Reading) error
}

// start runs a receiver of account 1234 with two points; change may alter it.
func start(t *testing.T, change func(*Config)) *bench {
	b := &bench{t: t, states: make(map[string]string), details: make(map[string]string)}
	cfg := Config{
		Listen:       func(context.Context) (net.Listener, error) { b.tcp = newPipes(); return b.tcp, nil },
		ListenPacket: func(context.Context) (net.PacketConn, error) { b.udp = newDatagrams(); return b.udp, nil },
		Now:          func() (time.Time, bool) { return time.Now(), true },
		Accounts: []Account{{Number: "1234", Point: "panel", Points: []Point{
			{Point: "panic", Signal: Signal{Code: "PA", Zone: 3}},
			{Point: "window", Signal: Signal{Zone: 15}, Last: longan.Normal},
		}}},
	}
	if change != nil {
		change(&cfg)
	}
	b.r = New(cfg)
	b.run()
	t.Cleanup(func() { b.cancel(); <-b.done })
	return b
}

func (b *bench) run() {
	ctx, cancel := context.WithCancel(b.t.Context())
	b.cancel, b.done = cancel, make(chan struct{})
	go func() {
		defer close(b.done)
		b.err = b.r.Run(ctx, b.emit)
	}()
	synctest.Wait()
}

func (b *bench) emit(_ context.Context, r drivers.Reading) error {
	b.mu.Lock()
	fail := b.fail
	b.mu.Unlock()
	if fail != nil {
		if err := fail(r); err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.emits++
	b.details[r.Point] = r.Detail
	if state := r.State.String(); b.states[r.Point] != state {
		b.states[r.Point] = state
		b.events = append(b.events, r.Point+"="+state)
	}
	if r.Happened != nil {
		b.events = append(b.events, fmt.Sprintf("%s %s %s", r.Point, r.Happened.Type, r.Happened.Data))
	}
	return nil
}

// told returns what happened since the last call.
func (b *bench) told() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := strings.Join(b.events, ", ")
	b.events = nil
	return s
}

func (b *bench) onEmit(fail func(drivers.Reading) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fail = fail
}

// dial connects to the receiver as a panel does.
func (b *bench) dial() net.Conn {
	near, far := net.Pipe()
	b.tcp.conns <- far
	b.t.Cleanup(func() { near.Close() })
	return near
}

// frame returns the frame of a message from account 1234 with the present time.
func frame(token, seq, data string) string {
	return string(appendFrame(nil, fmt.Sprintf(`"%s"%sL0#1234[%s]_%s`, token, seq, data, time.Now().UTC().Format(timeLayout))))
}

// ask sends bytes and returns the token and number of each answer within a second, "ACK 0001".
func ask(t *testing.T, conn net.Conn, text string) string {
	t.Helper()
	go func() { _, _ = conn.Write([]byte(text)) }() // the answer, or none, is what counts
	return hear(t, conn, time.Second)
}

// hear returns the answers that come, each within a time.
func hear(t *testing.T, conn net.Conn, within time.Duration) string {
	t.Helper()
	var in splitter
	buf := make([]byte, 512)
	var got []string
	for {
		if err := conn.SetReadDeadline(time.Now().Add(within)); err != nil {
			got = append(got, "closed")
			return strings.Join(got, ", ")
		}
		n, err := conn.Read(buf)
		in.push(buf[:n])
		for f, ok := in.next(); ok; f, ok = in.next() {
			got = append(got, short(t, f))
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			got = append(got, "closed")
		}
		if err != nil {
			return strings.Join(got, ", ")
		}
	}
}

func short(t *testing.T, f []byte) string {
	t.Helper()
	body, err := openFrame(f)
	if err != nil {
		t.Errorf("answer %q: %v", f, err)
		return "?"
	}
	parts := strings.SplitN(string(body), `"`, 3)
	return parts[1] + " " + parts[2][:4]
}

// TestRecordedExchanges replays what panels sent to another receiver, at the
// time of the recording, and compares the answers.
func TestRecordedExchanges(t *testing.T) {
	// Where we answer otherwise, and why.
	others := map[string]string{
		"unknown_acct": "\n96EC0025\"NAK\"0000R0L0A0[]_10:29:15,11-23-2026\r", // theirs has no frame
		"unknown_code": "\nC7FB0014\"ACK\"0008R0L0#1234[]\r",                  // to us it is an event like others
		"enc_ok":       "\n96EC0025\"NAK\"0000R0L0A0[]_10:29:15,11-23-2026\r", // we do not have the key
		"bad_crc":      "",                                                    // theirs is LF CR
	}
	now := time.Date(2026, 11, 23, 10, 29, 15, 0, time.UTC)
	r := New(Config{
		Listen:   func(context.Context) (net.Listener, error) { return newPipes(), nil },
		Now:      func() (time.Time, bool) { return now, true },
		Accounts: []Account{{Number: "1234", Point: "panel"}, {Number: "AAA", Point: "other", Key: []byte(key128)}},
	})
	all, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	var data []string
	s := &session{Receiver: r, ctx: t.Context(), all: all, cancel: cancel, emit: func(_ context.Context, r drivers.Reading) error {
		if r.Happened != nil {
			data = append(data, string(r.Happened.Data))
		}
		return nil
	}}
	for _, e := range recorded(t, "recorded.txt") {
		var in splitter
		in.push([]byte(e.request))
		f, ok := in.next()
		if !ok {
			t.Fatalf("%s: no frame in %q", e.name, e.request)
		}
		got, err := s.frame(f)
		want, differs := others[e.name]
		if !differs {
			want = e.answer
		}
		if err != nil || string(got) != want {
			t.Errorf("%s: got %q, %v, want %q", e.name, got, err, want)
		}
	}
	want := []string{
		`{"code":"BA","zone":"01","area":"1","account":"1234"}`,
		`{"code":"E130","zone":"015","area":"01","account":"1234"}`,
		`{"code":"E120","zone":"003","area":"01","account":"1234"}`,
		`{"code":"R120","zone":"003","area":"01","account":"1234"}`,
		`{"code":"QQ","zone":"01","area":"1","account":"1234"}`,
		`{"code":"BA","zone":"01","area":"1","account":"1234"}`,
	}
	if strings.Join(data, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %s, want %s", data, want)
	}
	if got, want := r.Stats(), (Stats{Accepted: 7, Refused: 3, Broken: 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestRecordedSender answers what an independent sender made, encrypted and not.
func TestRecordedSender(t *testing.T) {
	now := time.Date(2026, 11, 23, 16, 18, 22, 0, time.UTC)
	const key = "0123456789ABCDEF"
	cfg := Config{
		Listen: func(context.Context) (net.Listener, error) { return newPipes(), nil },
		Now:    func() (time.Time, bool) { return now, true },
	}
	for number, key := range map[string]string{"0123": "", "1666": key, "3333": key + key} {
		a := Account{Number: number, Point: "panel-" + number}
		if key != "" {
			a.Key = []byte(key)
		}
		cfg.Accounts = append(cfg.Accounts, a)
	}
	all, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	var got []string
	s := &session{Receiver: New(cfg), ctx: t.Context(), all: all, cancel: cancel, emit: func(_ context.Context, r drivers.Reading) error {
		if r.Happened != nil {
			got = append(got, r.Detail)
		}
		return nil
	}}
	for _, e := range recorded(t, "sender.txt") {
		got = nil
		answer, err := s.frame([]byte(strings.Trim(e.request, "\r\n")))
		if err != nil {
			t.Fatal(err)
		}
		account, what, _ := strings.Cut(e.name, "_")
		token := "*ACK "
		if account == "0123" {
			token = "ACK "
		}
		if a := short(t, []byte(strings.Trim(string(answer), "\r\n"))); !strings.HasPrefix(a, token) {
			t.Errorf("%s: got %s", e.name, a)
		}
		want := map[string]string{
			"poll": "", "alarm": "BA zone 12 area 1", "restoral": "BR zone 12 area 1", "opening": "OP area 1", "contact_id": "E130 zone 012 area 01",
		}[what]
		if strings.Join(got, ", ") != want {
			t.Errorf("%s: got %s, want %s", e.name, got, want)
		}
	}
}

// one keeps the race detector of Go 1.26 from crashing on timers in a bubble.
func one() func() {
	n := runtime.GOMAXPROCS(1)
	return func() { runtime.GOMAXPROCS(n) }
}

func TestHistory(t *testing.T) {
	defer one()()
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		conn := b.dial()
		for _, step := range []struct {
			name, token, seq, data string
			answer, told           string
		}{
			{"supervision", "NULL", "0000", "", "ACK 0000", "panel=normal, window=normal"},
			{"alarm", "SIA-DCS", "0001", "#1234|Nri1/PA3", "ACK 0001", "panic=active"},
			{"the same again", "SIA-DCS", "0001", "#1234|Nri1/PA3", "ACK 0001", ""},
			{"same number, another event", "SIA-DCS", "0001", "#1234|Nri1/BA15", "ACK 0001", "window=active"},
			{"restoral", "SIA-DCS", "0002", "#1234|Nri1/PR3/BR15", "ACK 0002", "panic=normal, window=normal"},
			{"no point", "SIA-DCS", "0003", "#1234|Nid5/CL005", "ACK 0003", `panel panel.event {"code":"CL","account":"1234"}`},
			{"no point, again", "SIA-DCS", "0003", "#1234|Nid5/CL005", "ACK 0003", ""},
			{"no point, anew", "SIA-DCS", "0004", "#1234|Nid5/CL005", "ACK 0004", `panel panel.event {"code":"CL","account":"1234"}`},
			{"contact ID", "ADM-CID", "9999", "#1234|1131 01 015", "ACK 9999", "window=active"},
			{"wrapped", "ADM-CID", "0001", "#1234|3131 01 015", "ACK 0001", "window=normal"},
			{"an account within", "SIA-DCS", "0005", "#567a|NPA3", "ACK 0005", `panel panel.event {"code":"PA","zone":"3","account":"567A"}`},
			{"other token", "ADM-41", "0002", "#1234|1130 01 015", "DUH 0002", ""},
			{"not understood", "SIA-DCS", "0003", "#1234|what", "DUH 0003", ""},
		} {
			if got := ask(t, conn, frame(step.token, step.seq, step.data)); got != step.answer {
				t.Errorf("%s: got answer %s, want %s", step.name, got, step.answer)
			}
			if got := b.told(); got != step.told {
				t.Errorf("%s: got %s, want %s", step.name, got, step.told)
			}
		}
		b.mu.Lock()
		if got, want := b.details["panel"], "a message was not understood: content is malformed: want SIA events as Nri1/BA01"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		b.mu.Unlock()
		ask(t, conn, frame("SIA-DCS", "0004", "#1234|NPA3"))
		b.mu.Lock()
		if got := b.details["panel"]; got != "" {
			t.Errorf("after one that was understood: got %q", got)
		}
		b.mu.Unlock()
		if got, want := b.r.Stats(), (Stats{Accepted: 12, Repeated: 2, Puzzling: 2}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		time.Sleep(repeatWithin)
		<-b.done
		if err := b.err; err == nil || !errors.Is(err, drivers.ErrSilent) {
			t.Errorf("got %v", err)
		}
	})
}

func TestFramesHoweverTheyCome(t *testing.T) {
	defer one()()
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		conn := b.dial()
		f := frame("SIA-DCS", "0001", "#1234|NPA3")
		for i := range f[:len(f)-1] {
			if _, err := conn.Write([]byte{f[i]}); err != nil {
				t.Fatal(err)
			}
		}
		if got := b.told(); got != "" {
			t.Errorf("before the end: got %s", got)
		}
		if got := ask(t, conn, f[len(f)-1:]); got != "ACK 0001" {
			t.Errorf("split: got %s", got)
		}
		two := frame("SIA-DCS", "0002", "#1234|NPR3") + frame("NULL", "0003", "")
		if got := ask(t, conn, two); got != "ACK 0002, ACK 0003" {
			t.Errorf("two at once: got %s", got)
		}
		bad := strings.Replace(frame("SIA-DCS", "0004", "#1234|NPA3"), "PA3", "PA4", 1)
		if got := ask(t, conn, bad+"noise"+frame("SIA-DCS", "0004", "#1234|NPA3")); got != "ACK 0004" {
			t.Errorf("after a broken one: got %s", got)
		}
		if got, want := b.told(), "panic=active, panel=normal, window=normal, panic=normal, panic=active"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

// TestAckOnlyOnceStored: no answer before emit has returned nil, and none at all
// when it fails; the repeat is then stored, and only what was missing.
func TestAckOnlyOnceStored(t *testing.T) {
	defer one()()
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		b.onEmit(func(drivers.Reading) error { time.Sleep(10 * time.Second); return nil })
		conn := b.dial()
		f := frame("SIA-DCS", "0001", "#1234|NPA3/FA7")
		if got := ask(t, conn, f); got != "" {
			t.Errorf("before it is stored: got %s", got)
		}
		if got := hear(t, conn, time.Minute); got != "ACK 0001" {
			t.Errorf("after it is stored: got %s", got)
		}
		if got, want := b.told(), `panic=active, panel=normal, panel panel.event {"code":"FA","zone":"7","account":"1234"}, window=normal`; got != want {
			t.Errorf("got %s, want %s", got, want)
		}

		full := errors.New("disk is full")
		b.onEmit(func(r drivers.Reading) error {
			if strings.HasPrefix(r.Detail, "FR") {
				return full
			}
			return nil
		})
		f = frame("SIA-DCS", "0002", "#1234|NPR3/FJ7/FR7")
		if got := ask(t, conn, f); got != "closed" {
			t.Errorf("not stored: got %s", got)
		}
		<-b.done
		if !errors.Is(b.err, full) {
			t.Errorf("got %v", b.err)
		}
		if got, want := b.told(), `panic=normal, panel panel.event {"code":"FJ","zone":"7","account":"1234"}`; got != want { // nobody claims that the panel fails
			t.Errorf("got %s, want %s", got, want)
		}
		b.onEmit(nil)
		b.run()
		if got := ask(t, b.dial(), f); got != "ACK 0002" {
			t.Errorf("again: got %s", got)
		}
		if got, want := b.told(), `panel panel.event {"code":"FR","zone":"7","account":"1234"}`; got != want {
			t.Errorf("again: got %s, want %s", got, want)
		}
	})
}

func TestDatagrams(t *testing.T) {
	defer one()()
	synctest.Test(t, func(t *testing.T) {
		b := start(t, func(c *Config) { c.Listen = nil })
		for _, test := range []struct{ datagram, want string }{
			{frame("SIA-DCS", "0001", "#1234|NPA3"), "ACK 0001"},
			{frame("SIA-DCS", "0001", "#1234|NPA3"), "ACK 0001"},
			{strings.TrimSpace(frame("NULL", "0002", "")), "ACK 0002"},
			{"", ""},
			{"\r", ""},
			{"noise", ""},
			{strings.Repeat("x", 2*maxFrame), ""},
			{frame("NULL", "0003", "") + frame("NULL", "0004", ""), "ACK 0003"}, // a frame a datagram
		} {
			b.udp.in <- test.datagram
			synctest.Wait()
			got := ""
			select {
			case a := <-b.udp.out:
				got = short(t, []byte(strings.Trim(a, "\r\n")))
			default:
			}
			if got != test.want {
				t.Errorf("%.60q: got %s, want %s", test.datagram, got, test.want)
			}
		}
		if got, want := b.told(), "panic=active, panel=normal, window=normal"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		b.udp.Close()
		<-b.done
		if b.err == nil || !strings.Contains(b.err.Error(), "receive a datagram") {
			t.Errorf("got %v", b.err)
		}
	})
}

// TestRounds opens and ends a thousand times, with panels in the middle of a
// frame. What is left behind would keep the bubble from ending.
func TestRounds(t *testing.T) {
	defer one()()
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		for range 1000 {
			near, far := net.Pipe()
			b.tcp.conns <- far
			if _, err := near.Write([]byte("\n1523003B")); err != nil {
				t.Fatal(err)
			}
			b.udp.in <- "noise"
			b.cancel()
			<-b.done
			near.Close()
			b.run()
		}
	})
}
