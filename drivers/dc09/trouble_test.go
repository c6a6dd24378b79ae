package dc09

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/drivers"
)

func TestSilence(t *testing.T) {
	defer one()()
	synctest.Test(t, func(t *testing.T) {
		b := start(t, func(c *Config) { c.Accounts[0].Silence = 3 * time.Minute })
		conn := b.dial()
		for range 5 { // longer than the silence
			if got := ask(t, conn, frame("NULL", "0000", "")); got != "ACK 0000" {
				t.Fatalf("got %s", got)
			}
			time.Sleep(2 * time.Minute)
		}
		b.told()
		time.Sleep(2 * time.Minute)
		<-b.done
		if !errors.Is(b.err, drivers.ErrSilent) || !strings.Contains(b.err.Error(), "no message of account 1234 for 3m0s") {
			t.Errorf("got %v", b.err)
		}
		if got, want := b.told(), "panel=unknown, panic=unknown, window=unknown"; got != want {
			t.Errorf("silent: got %s, want %s", got, want)
		}
		b.run()
		if got := ask(t, b.dial(), frame("SIA-DCS", "0001", "#1234|NPA3")); got != "ACK 0001" {
			t.Errorf("back: got %s", got)
		}
		if got, want := b.told(), "panic=active, panel=normal, window=normal"; got != want {
			t.Errorf("back: got %s, want %s", got, want)
		}
	})
}

func TestOneOfTwoPanelsIsSilent(t *testing.T) {
	defer one()()
	synctest.Test(t, func(t *testing.T) {
		b := start(t, func(c *Config) {
			c.Accounts = append(c.Accounts, Account{Number: "abcd", Silence: time.Minute, Point: "other"}, Account{Number: "FFF", Silence: -1, Point: "third"})
		})
		conn := b.dial()
		other := strings.NewReplacer("1234", "ABCD")
		body := other.Replace(`"NULL"0000L0#1234[]`)
		if got := ask(t, conn, string(appendFrame(nil, body))); got != "ACK 0000" {
			t.Fatalf("got %s", got)
		}
		for range 3 {
			ask(t, conn, frame("NULL", "0000", ""))
			time.Sleep(time.Minute)
		}
		if got, want := b.told(), "other=normal, panel=normal, window=normal, other=unknown"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if got := ask(t, conn, string(appendFrame(nil, body))); got != "ACK 0000" {
			t.Fatalf("got %s", got)
		}
		if got, want := b.told(), "other=normal"; got != want {
			t.Errorf("back: got %s, want %s", got, want)
		}
		time.Sleep(time.Hour)
		if got, want := b.told(), "other=unknown, panel=unknown, panic=unknown, window=unknown"; got != want {
			t.Errorf("all silent but the one that may be: got %s, want %s", got, want)
		}
		select {
		case <-b.done:
			t.Errorf("ended: %v", b.err)
		default:
		}
		b.mu.Lock()
		before := b.emits
		b.mu.Unlock()
		time.Sleep(10 * watchEvery)
		b.mu.Lock()
		defer b.mu.Unlock()
		if got := b.emits - before; got != 10*4 { // the agent makes an event of the second
			t.Errorf("%d readings while two panels of four points are silent, want 40", got)
		}
	})
}

// TestAnswerTellsNoWrongTime: while the board's clock is not sure, an encrypted
// answer has the time of the message.
func TestAnswerTellsNoWrongTime(t *testing.T) {
	message := time.Date(2026, 11, 23, 10, 29, 15, 0, time.UTC)
	ours := time.Date(2026, 11, 23, 10, 29, 20, 0, time.UTC)
	h := header{token: "NULL", encrypted: true, seq: "0001", line: "L0", account: "AAA"}
	body, err := h.seal("NULL", []byte(key128), message)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		sure bool
		want time.Time
	}{{true, ours}, {false, message}} {
		r := New(Config{
			Listen:   func(context.Context) (net.Listener, error) { return nil, nil },
			Now:      func() (time.Time, bool) { return ours, test.sure },
			Accounts: []Account{{Number: "AAA", Point: "panel", Key: []byte(key128)}},
		})
		s := &session{Receiver: r, ctx: t.Context(), all: t.Context(), emit: func(context.Context, drivers.Reading) error { return nil }}
		frame := appendFrame(nil, body)
		got, err := s.frame(frame[1 : len(frame)-1])
		if err != nil {
			t.Fatal(err)
		}
		want, err := h.seal("ACK", []byte(key128), test.want)
		if err != nil || string(got) != string(appendFrame(nil, want)) {
			t.Errorf("sure is %v: got %q, want the time %v", test.sure, got, test.want)
		}
	}
}

// TestSlowDiskIsNoSilence: while emit takes its time, messages wait and nobody is
// called silent for it.
func TestSlowDiskIsNoSilence(t *testing.T) {
	defer one()()
	synctest.Test(t, func(t *testing.T) {
		b := start(t, func(c *Config) {
			c.Accounts = append(c.Accounts, Account{Number: "ABCD", Point: "other"})
			c.Past = time.Hour
		})
		other := string(appendFrame(nil, `"NULL"0000L0#ABCD[]`))
		first, second := b.dial(), b.dial()
		ask(t, first, frame("NULL", "0000", ""))
		ask(t, second, other)
		b.told()
		slow := true
		b.onEmit(func(drivers.Reading) error {
			if slow {
				slow = false
				time.Sleep(2 * defaultSilence)
			}
			return nil
		})
		answers := make(chan string, 2)
		go func() {
			_, _ = first.Write([]byte(frame("SIA-DCS", "0001", "#1234|NPA3")))
			answers <- hear(t, first, 3*defaultSilence)
		}()
		time.Sleep(defaultSilence - 1500*time.Millisecond) // just in time, and behind whoever looks for the silent
		go func() {
			_, _ = second.Write([]byte(other))
			answers <- hear(t, second, 3*defaultSilence)
		}()
		time.Sleep(defaultSilence + time.Minute)
		if got, want := b.told(), "panic=active"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		b.cancel()
		for range 2 {
			if got := <-answers; !strings.HasPrefix(got, "ACK") {
				t.Errorf("got %s", got)
			}
		}
	})
}

// TestRefused: what is refused is not believed, keeps no panel alive, and is
// named when the panel falls silent.
func TestRefused(t *testing.T) {
	at := func(d time.Duration) string {
		return string(appendFrame(nil, `"SIA-DCS"0001L0#1234[#1234|NPA3]_`+time.Now().UTC().Add(d).Format(timeLayout)))
	}
	encrypted := func(account, key, data string) string {
		h := header{seq: "0001", line: "L0", account: account}
		plain, err := h.seal("x", []byte(key), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return string(appendFrame(nil, strings.Replace(plain, `"*x"`, `"*`+data+`"`, 1)))
	}
	for _, test := range []struct {
		name string
		sure bool
		text func() string
		want string // answers
		why  string
	}{
		{"40 s behind", true, func() string { return at(-40 * time.Second) }, "ACK 0001", ""},
		{"41 s behind", true, func() string { return at(-41 * time.Second) }, "NAK 0000", "refused: its clock is 41s behind"},
		{"20 s ahead", true, func() string { return at(20 * time.Second) }, "ACK 0001", ""},
		{"21 s ahead", true, func() string { return at(21 * time.Second) }, "NAK 0000", "refused: its clock is 21s ahead"},
		{"years ahead of a floor", false, func() string { return at(9e4 * time.Hour) }, "ACK 0001", ""},
		{"no time", true, func() string { return string(appendFrame(nil, `"SIA-DCS"0001L0#1234[#1234|NPA3]`)) }, "ACK 0001", ""},
		{"another account", true, func() string { return string(appendFrame(nil, `"NULL"0001L0#9999[]`)) }, "NAK 0000", "account 9999 reports"},
		{"another account, time unsure", false, func() string { return string(appendFrame(nil, `"NULL"0001L0#9999[]`)) }, "", "account 9999 reports"},
		{"encrypted without a key", true, func() string { return encrypted("1234", key128, "NULL") }, "NAK 0000", "refused: it is encrypted"},
		{"in the clear with a key", true, func() string { return string(appendFrame(nil, `"NULL"0001L0#AAA[]`)) }, "NAK 0000", ""},
		{"wrong key", true, func() string { return encrypted("AAA", key192, "NULL") }, "NAK 0000", ""},
		{"right key", true, func() string { return encrypted("AAA", key128, "NULL") }, "*ACK 0001", ""},
		{"right key, time unsure", false, func() string { return encrypted("AAA", key128, "NULL") }, "*ACK 0001", ""},
		{"half a block", true, func() string { return string(appendFrame(nil, `"*NULL"0001L0#AAA[00112233445566778899`)) }, "NAK 0000", ""},
		{"odd digits", true, func() string { return string(appendFrame(nil, `"*NULL"0001L0#AAA[0`)) }, "NAK 0000", ""},
		{"no time in it", true, func() string { return string(appendFrame(nil, `"*NULL"0001L0#AAA[`+untimed)) }, "NAK 0000", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			defer one()()
			synctest.Test(t, func(t *testing.T) {
				b := start(t, func(c *Config) {
					c.Now = func() (time.Time, bool) { return time.Now(), test.sure }
					c.Accounts = append(c.Accounts, Account{Number: "AAA", Key: []byte(key128), Point: "other", Silence: -1})
					c.Accounts[1].Silence = time.Hour
				})
				if got := ask(t, b.dial(), test.text()); got != test.want {
					t.Errorf("got %s, want %s", got, test.want)
				}
				if got := b.told(); (got == "") != !strings.Contains(test.want, "ACK") {
					t.Errorf("got %s", got)
				}
				time.Sleep(10 * time.Minute)
				if got := b.told(); !strings.Contains(got, "panel=unknown") {
					t.Errorf("got %s", got)
				}
				time.Sleep(2 * time.Hour)
				b.cancel()
				<-b.done
				if test.why != "" && (b.err == nil || !strings.Contains(b.err.Error(), test.why)) {
					t.Errorf("got %v, want %s", b.err, test.why)
				}
			})
		})
	}
}

// TestNakTellsTheTime: panels set their clocks by it.
func TestNakTellsTheTime(t *testing.T) {
	if got, want := nak(time.Date(2026, 11, 23, 18, 29, 15, 0, time.FixedZone("", 8*3600))), `"NAK"0000R0L0A0[]_10:29:15,11-23-2026`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	defer one()()
	synctest.Test(t, func(t *testing.T) {
		b := start(t, func(c *Config) { c.MaxConns = 2; c.Accounts[0].Silence = -1; c.ListenPacket = nil })
		first, second := b.dial(), b.dial()
		time.Sleep(time.Second)
		ask(t, first, frame("NULL", "0000", ""))
		third := b.dial() // takes the place of the second, which has said nothing
		if got := hear(t, second, time.Second); got != "closed" {
			t.Errorf("second: got %s", got)
		}
		for name, c := range map[string]net.Conn{"first": first, "third": third} {
			if got := ask(t, c, frame("NULL", "0000", "")); got != "ACK 0000" {
				t.Errorf("%s: got %s", name, got)
			}
		}
		for range 3 * mostBroken { // a line with noise now and then is as good
			if got := ask(t, first, "\nx\r"+frame("NULL", "0000", "")); got != "ACK 0000" {
				t.Fatalf("first: got %s", got)
			}
		}
		for _, test := range []struct {
			name, text string
			after      time.Duration
		}{
			{"idle", "", defaultIdle},
			{"a frame that does not end", "\n1523003B\"SIA", frameTime},
			{"noise without end", strings.Repeat(strings.Repeat("x", maxFrame)+"\n", mostBroken+2), 0},
			{"broken frames without end", strings.Repeat("\nx\r", mostBroken+2), 0},
		} {
			c := b.dial()
			go func() { _, _ = c.Write([]byte(test.text)) }()
			begin := time.Now()
			if got := hear(t, c, time.Hour); got != "closed" || time.Since(begin).Round(time.Second) != test.after {
				t.Errorf("%s: got %s after %v, want closed after %v", test.name, got, time.Since(begin), test.after)
			}
		}
		for range 100 { // a flood of connections leaves none behind
			b.dial()
		}
		if got := ask(t, b.dial(), frame("NULL", "0000", "")); got != "ACK 0000" {
			t.Errorf("after a flood: got %s", got)
		}
	})
}

func TestEnds(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*Config)
		end    func(*bench)
		want   string
	}{
		{"stopped", nil, func(b *bench) { b.cancel() }, "context canceled"},
		{"listener fails", nil, func(b *bench) { b.tcp.Close() }, "accept a connection"},
		{"no TCP", func(c *Config) {
			c.Listen = func(context.Context) (net.Listener, error) { return nil, errors.New("port 9000: in use") }
		}, nil, "listen on TCP: port 9000: in use"},
		{"no UDP", func(c *Config) {
			c.ListenPacket = func(context.Context) (net.PacketConn, error) { return nil, errors.New("in use") }
		}, nil, "listen on UDP: in use"},
		{"nowhere to listen", func(c *Config) { c.Listen, c.ListenPacket = nil, nil }, nil, "want TCP or UDP"},
		{"no account", func(c *Config) { c.Accounts = nil }, nil, "want the account"},
		{"bad account", func(c *Config) { c.Accounts[0].Number = "12x4" }, nil, `account "12x4": want 3 to 16 digits`},
		{"twice", func(c *Config) { c.Accounts = append(c.Accounts, c.Accounts[0]) }, nil, "account 1234 stands there twice"},
		{"bad key", func(c *Config) { c.Accounts[0].Key = []byte("short") }, nil, "key of 5 bytes"},
		{"no point of its own", func(c *Config) { c.Accounts[0].Point = "" }, nil, "want a point of the panel's own"},
		{"bad signal", func(c *Config) { c.Accounts[0].Points[0].Signal = Signal{Code: "CL", Zone: 7} }, nil, "the number of CL is no zone"},
	} {
		t.Run(test.name, func(t *testing.T) {
			defer one()()
			synctest.Test(t, func(t *testing.T) {
				b := start(t, test.change)
				if test.end != nil {
					b.dial() // one that must not be left
					test.end(b)
				}
				<-b.done
				if b.err == nil || !strings.Contains(b.err.Error(), test.want) {
					t.Errorf("got %v, want %s", b.err, test.want)
				}
				if b.tcp != nil && b.tcp.closed != nil {
					select {
					case <-b.tcp.closed:
					default:
						t.Error("still listens")
					}
				}
			})
		})
	}
}

// TestLastIsThePresentOnceThePanelReports: what was on disk before a restart.
func TestLastIsThePresentOnceThePanelReports(t *testing.T) {
	defer one()()
	synctest.Test(t, func(t *testing.T) {
		b := start(t, func(c *Config) {
			for i, last := range []longan.PointState{longan.Active, longan.Unknown} {
				c.Accounts[0].Points[i].Last = last
			}
		})
		if got := b.told(); got != "" {
			t.Errorf("before: got %s", got)
		}
		ask(t, b.dial(), frame("NULL", "0000", ""))
		if got, want := b.told(), "panel=normal, panic=active"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

func TestManyAtOnce(t *testing.T) {
	defer one()()
	synctest.Test(t, func(t *testing.T) {
		b := start(t, nil)
		done := make(chan string)
		f := frame("SIA-DCS", "0007", "#1234|NFA9")
		for range 4 {
			conn := b.dial()
			go func() { done <- ask(t, conn, f) }()
		}
		for range 4 {
			if got := <-done; got != "ACK 0007" {
				t.Errorf("got %s", got)
			}
		}
		if got := strings.Count(b.told(), "panel.event"); got != 1 {
			t.Errorf("got %d events of one message on four ways, want 1", got)
		}
	})
}

func TestRepeatsAreForgotten(t *testing.T) {
	p := newPanel(Account{Number: "1234"})
	h, now := header{seq: "0001", token: "SIA-DCS"}, time.Unix(1e9, 0)
	p.remember(h, content{data: []byte("x")}, now).all = true
	for _, test := range []struct {
		seq, data string
		after     time.Duration
		want      bool
	}{
		{"0001", "x", repeatWithin - 1, true},
		{"0001", "x", repeatWithin, false},
		{"0002", "x", 0, false},
		{"0001", "y", 0, false},
	} {
		if got := p.remember(header{seq: test.seq, token: h.token}, content{data: []byte(test.data)}, now.Add(test.after)); got.all != test.want {
			t.Errorf("%+v: got %v", test, got.all)
		}
	}
	for i := range 10 * memory {
		p.remember(header{seq: fmt.Sprint(i)}, content{}, now)
	}
	if len(p.recent) != memory {
		t.Errorf("got %d", len(p.recent))
	}
}
