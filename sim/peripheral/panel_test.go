//go:build linux

package peripheral

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/longan-edge/longan/drivers/dc09"
)

// hub is a listener in memory, again and again.
type hub struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (h *hub) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}
func (h *hub) Close() error   { close(h.closed); return nil }
func (h *hub) Addr() net.Addr { return nil }

// lan is where hubs listen.
type lan struct{ conns chan net.Conn }

func (l lan) listen(context.Context) (net.Listener, error) {
	return &hub{conns: l.conns, closed: make(chan struct{})}, nil
}

func (l lan) dial(ctx context.Context) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case l.conns <- far:
		return near, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

const panelKey = "0123456789abcdef"

func receiverConfig() dc09.Config {
	return dc09.Config{
		Now: func() (time.Time, bool) { return time.Now(), true },
		Accounts: []dc09.Account{{
			Number: "1234", Key: []byte(panelKey), Silence: 1500 * time.Millisecond, Point: "panel",
			Points: []dc09.Point{
				{Point: "panic", Signal: dc09.Signal{Code: "PA", Zone: 3}},
				{Point: "window", Signal: dc09.Signal{Zone: 15}},
			},
		}},
	}
}

func panelConfig(dial func(context.Context) (net.Conn, error)) PanelConfig {
	return PanelConfig{
		Dial: dial, Account: "1234", Key: []byte(panelKey), Heartbeat: 100 * time.Millisecond, Timeout: 150 * time.Millisecond,
	}
}

// report runs a panel until the test ends.
func report(t *testing.T, p *Panel) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// panelHistory is what driver and panel go through together on any network.
func panelHistory(t *testing.T, p *Panel, d *dc09.Receiver) {
	w := run(t, d)
	report(t, p)
	w.await(t, "heartbeat", "panel=normal")
	for _, step := range []struct {
		name string
		do   func()
		want string
	}{
		{"pressed", func() { p.Report("PA", 3, 1) }, "panic=active"},
		{"released", func() { p.Report("PR", 3, 1) }, "panic=normal"},
		{"cut", func() { p.Report("BT", 15, 0) }, "window=fault"},
		{"mended", func() { p.Report("BJ", 15, 0) }, "window=normal"},
		{"contact ID", func() { p.ReportContactID(1, 130, 15) }, "window=active"},
		{"contact ID restored", func() { p.ReportContactID(3, 130, 15) }, "window=normal"},
		{"answer lost", func() { p.LoseAnswers(1); p.Report("BA", 15, 0) }, "window=active"},
		{"clock wrong", func() { p.SetClock(-time.Hour); p.Report("BR", 15, 0) }, "window=normal"},
		{"one broken message", func() { p.FailNext(1, WrongCRC); p.Report("PA", 3, 0) }, "panic=active"},
		{"half a message", func() { p.FailNext(1, HalfFrame); p.Report("PR", 3, 0) }, "panic=normal"},
		{"silent", func() { p.SetFault(Silent); p.Report("PA", 3, 0) }, "panel=unknown panic=unknown window=unknown"},
		{"back", func() { p.SetFault(NoFault) }, "panel=normal panic=active window=normal"},
		{"babbling", func() { p.SetFault(Babbling) }, "panel=unknown panic=unknown window=unknown"},
		{"back again", func() { p.SetFault(NoFault) }, "panel=normal panic=active window=normal"},
	} {
		step.do()
		w.await(t, step.name, step.want)
	}
	for deadline := time.Now().Add(10 * time.Second); p.Waiting() > 0 && time.Now().Before(deadline); {
		<-time.After(5 * time.Millisecond)
	}
	got := p.Stats()
	if p.Waiting() != 0 || got.Acked-got.Heartbeats != 11 || got.Naked < 1 || got.Duhed != 0 || got.Unanswered < 3 {
		t.Errorf("%d wait, %+v", p.Waiting(), got)
	}
	if s := d.Stats(); s.Repeated < 1 || s.Refused < 1 || s.Broken < 1 {
		t.Errorf("got %+v", s)
	}
}

func TestPanelAndDriverInMemory(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // the race detector and timers in a bubble
	synctest.Test(t, func(t *testing.T) {
		l := lan{make(chan net.Conn)}
		cfg := receiverConfig()
		cfg.Listen = l.listen
		panelHistory(t, NewPanel(panelConfig(l.dial)), dc09.New(cfg))
	})
}

func TestPanelAndDriverOverTCP(t *testing.T) {
	t.Parallel()
	cfg := receiverConfig()
	listener, err := net.Listen("tcp", "127.0.0.1:0") // for a port that is free
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	cfg.Listen = func(ctx context.Context) (net.Listener, error) {
		return new(net.ListenConfig).Listen(ctx, "tcp", address)
	}
	panelHistory(t, NewPanel(panelConfig(func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", address)
	})), dc09.New(cfg))
}

func TestPanelAndDriverOverUDP(t *testing.T) {
	t.Parallel()
	cfg := receiverConfig()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := socket.LocalAddr().String()
	socket.Close()
	cfg.ListenPacket = func(ctx context.Context) (net.PacketConn, error) {
		return new(net.ListenConfig).ListenPacket(ctx, "udp", address)
	}
	panelHistory(t, NewPanel(panelConfig(func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", address)
	})), dc09.New(cfg))
}

// TestPanelMessages holds the panel to recorded and published messages.
func TestPanelMessages(t *testing.T) {
	at := time.Date(2026, 11, 23, 10, 29, 15, 0, time.UTC)
	p := NewPanel(PanelConfig{Account: "1234", Now: func() time.Time { return at }})
	for _, test := range []struct{ token, seq, data, want string }{
		{"SIA-DCS", "0001", "#1234|Nri1/BA01", "\n1523003B\"SIA-DCS\"0001R0L0#1234[#1234|Nri1/BA01]_10:29:15,11-23-2026\r"},
		{"NULL", "0002", "", "\n9C990029\"NULL\"0002R0L0#1234[]_10:29:15,11-23-2026\r"},
		{"ADM-CID", "0004", "#1234|1120 01 003", "\nB942003D\"ADM-CID\"0004R0L0#1234[#1234|1120 01 003]_10:29:15,11-23-2026\r"},
	} {
		if got := string(p.message(test.token, test.seq, test.data)); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
	for _, test := range []struct{ frame, want string }{
		{`DBE70014"ACK"0001R0L0#1234[]`, "ACK 0001 00:00:00"},
		{`96EC0025"NAK"0000R0L0A0[]_10:29:15,11-23-2026`, "NAK 0000 10:29:15"},
		{`B7230014"DUH"0008R0L0#1234[]`, "DUH 0008 00:00:00"},
		{`DBE70014"ACK"0002R0L0#1234[]`, ""},
		{`"NAK"`, ""},
		{``, ""},
	} {
		token, seq, stamp, err := p.understand(test.frame)
		got := fmt.Sprint(token, " ", seq, " ", stamp.Format(time.TimeOnly))
		if (err == nil) != (test.want != "") || (err == nil && got != test.want) {
			t.Errorf("%s: got %s, %v, want %s", test.frame, got, err, test.want)
		}
	}
	p.Report("BA", 7, 0)
	p.Report("BA", 7, 2)
	p.ReportContactID(3, 130, 15)
	if got, want := strings.Join(p.queue, ", "), "SIA-DCS\x00#1234|NBA007, SIA-DCS\x00#1234|Nri2/BA007, ADM-CID\x00#1234|3130 01 015"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	p.seq = 9999
	p.settle("ACK", "SIA-DCS", time.Time{}, nil)
	if p.seq != 1 || p.Waiting() != 2 {
		t.Errorf("after 9999: got %d, and %d wait", p.seq, p.Waiting())
	}
}

func TestPanelWithABadKey(t *testing.T) {
	p := NewPanel(PanelConfig{Account: "1234", Key: []byte("short")})
	if err := p.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "panel 1234") {
		t.Errorf("got %v", err)
	}
}

// FuzzPanel takes any answer apart.
func FuzzPanel(f *testing.F) {
	for _, seed := range []string{
		`DBE70014"ACK"0001R0L0#1234[]`, `96EC0025"NAK"0000R0L0A0[]_10:29:15,11-23-2026`, `B7230014"DUH"0008R0L0#1234[]`,
		`E54C0053"*ACK"0009R0L0#AAA[CAFE8160C11ADB04FF9E52E4D24B1939B3FCB70273DED3B111B826E514C86C94`, `"NAK"`, "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, frame string) {
		for _, key := range []string{"", panelKey} {
			cfg := PanelConfig{Account: "1234"}
			if key != "" {
				cfg.Key = []byte(key)
			}
			token, seq, _, err := NewPanel(cfg).understand(frame)
			if err == nil && (len(seq) != 4 || (token != "ACK" && token != "NAK" && token != "DUH")) {
				t.Errorf("%q: got %q %q", frame, token, seq)
			}
		}
	})
}
