package dial

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/longan-edge/longan/agent/internal/clock"
)

// authority signs certificates for a test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// newAuthority returns an authority of its own, valid for a century.
func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.cert, a.key = a.sign(template, nil)
	return a
}

// sign returns a certificate, signed by the authority or, when that has none, by
// itself.
func (a *authority) sign(template *x509.Certificate, parent *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	signer := a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

// file writes the authority's certificate and returns where.
func (a *authority) file() string {
	a.t.Helper()
	path := filepath.Join(a.t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
	if err := os.WriteFile(path, text, 0o600); err != nil {
		a.t.Fatal(err)
	}
	return path
}

// broker serves TLS with a certificate for 127.0.0.1 that is valid in that time,
// greets every client with a byte, and returns its URL.
func (a *authority) broker(from, to time.Time) *url.URL {
	a.t.Helper()
	cert, key := a.sign(&x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "broker"}, NotBefore: from, NotAfter: to,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, a.cert)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}},
	})
	if err != nil {
		a.t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				conn.Write([]byte{1}) // with it goes the handshake; some clients refuse
				conn.Close()
			})
		}
	})
	a.t.Cleanup(func() {
		l.Close()
		serving.Wait()
	})
	return &url.URL{Scheme: "mqtts", Host: l.Addr().String()}
}

// board returns the clock of a board whose wall clock says wall.
func board(wall time.Time, synced bool) *clock.Clock {
	return &clock.Clock{
		Boot: "b1", Wall: func() time.Time { return wall }, Mono: func() time.Duration { return time.Second },
		Synced: func() bool { return synced },
	}
}

// TestComingBackIsCheap: a second connection resumes the session, and is verified
// all the same.
func TestComingBackIsCheap(t *testing.T) {
	ca := newAuthority(t)
	today := time.Date(2027, 3, 1, 8, 0, 0, 0, time.UTC)
	broker := ca.broker(today.AddDate(0, 0, -1), today.AddDate(1, 0, 0))
	clk := board(today, false)
	d := &Dialer{CA: ca.file(), Now: clk.Now, Sessions: tls.NewLRUClientSessionCache(1)}
	for i := range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		conn, err := d.Dial(ctx, broker)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil { // the ticket comes before it
			t.Error(err)
		}
		if got := conn.(*tls.Conn).ConnectionState().DidResume; got != (i > 0) {
			t.Errorf("connection %d resumed a session: %v", i, got)
		}
		conn.Close()
	}
	clk.Observe(today.AddDate(2, 0, 0)) // it has ended meanwhile
	if err := greeted(t, d, broker); err == nil {
		t.Error("a session outlived its certificate")
	}
	clk = board(today, false)
	d.CA, d.Now = newAuthority(t).file(), clk.Now
	if err := greeted(t, d, broker); err == nil {
		t.Error("a session outlived the trust in its CA")
	}
}

// greeted connects and reads the broker's greeting.
func greeted(t *testing.T, d *Dialer, broker *url.URL) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn, err := d.Dial(ctx, broker)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	_, err = io.ReadFull(conn, make([]byte, 1))
	return err
}

// TestC2TLSWithAClockAt1970: a certificate that is valid from yesterday to next
// year lets every board in that has no reason to think it has ended.
func TestC2TLSWithAClockAt1970(t *testing.T) {
	ca := newAuthority(t)
	today := time.Date(2027, 3, 1, 8, 0, 0, 0, time.UTC)
	broker := ca.broker(today.AddDate(0, 0, -1), today.AddDate(1, 0, 0))
	for _, c := range []struct {
		name        string
		wall        time.Time
		synced      bool
		floor, city time.Time // zero is none
		want        string    // in the error; "" connects
	}{
		{"1970, nothing known but the program", time.Unix(17, 0), false, time.Time{}, time.Time{}, ""},
		{"1970, the files are from today", time.Unix(17, 0), false, today, time.Time{}, ""},
		{"two weeks behind", today.AddDate(0, 0, -14), false, time.Time{}, time.Time{}, ""},
		{"fifty years ahead", today.AddDate(50, 0, 0), false, time.Time{}, time.Time{}, ""},
		{"right", today, false, time.Time{}, time.Time{}, ""},
		{"kept right", today, true, time.Time{}, time.Time{}, ""},
		{"1970, but the city was heard", time.Unix(17, 0), false, time.Time{}, today, ""},
		{"ended by the floor", time.Unix(17, 0), false, today.AddDate(2, 0, 0), time.Time{}, "ended on 2028-03-01T08:00:00Z, and the board's clock says 2029-03-01T08:00:00Z (floor)"},
		{"ended by the city", today, false, time.Time{}, today.AddDate(2, 0, 0), "(city): renew it"},
		{"not yet begun, by a clock that is kept right", today.AddDate(0, 0, -14), true, time.Time{}, time.Time{}, "begins on 2027-02-28T08:00:00Z"},
		{"not yet begun, by the city", time.Unix(17, 0), false, time.Time{}, today.AddDate(0, 0, -14), "(city)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			clk := board(c.wall, c.synced)
			clk.Raise(c.floor)
			clk.Observe(c.city)
			err := greeted(t, &Dialer{CA: ca.file(), Now: clk.Now}, broker)
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

// TestC2NobodyGetsInByTheDate: a certificate from a stranger, or for another
// name, is refused however little the board knows of the time.
func TestC2NobodyGetsInByTheDate(t *testing.T) {
	ca, stranger := newAuthority(t), newAuthority(t)
	day := time.Date(2028, 1, 1, 0, 0, 0, 0, time.UTC)
	d := &Dialer{CA: ca.file(), Now: board(time.Unix(17, 0), false).Now}
	err := greeted(t, d, stranger.broker(day, day.AddDate(1, 0, 0)))
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); !ok || !strings.Contains(err.Error(), "ca file of [uplink]") {
		t.Errorf("a stranger's certificate: %v", err)
	}
	elsewhere := ca.broker(day, day.AddDate(1, 0, 0))
	elsewhere.Host = "localhost:" + elsewhere.Port()
	if err := greeted(t, d, elsewhere); err == nil || !strings.Contains(err.Error(), "match localhost") {
		t.Errorf("a certificate for another name: %v", err)
	}
}

func TestDialSaysWhatItCannotUse(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.pem")
	if err := os.WriteFile(empty, []byte("no certificate\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ url, ca, want string }{
		{"mqtts://127.0.0.1:1", filepath.Join(dir, "none.pem"), "none.pem: no such file"},
		{"mqtts://127.0.0.1:1", empty, "empty.pem holds no certificate"},
		{"ws://127.0.0.1", "", "unsupported"},
	} {
		u, err := url.Parse(c.url)
		if err != nil {
			t.Fatal(err)
		}
		d := &Dialer{CA: c.ca, Now: board(time.Now(), false).Now}
		if _, err := d.Dial(t.Context(), u); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s with %q: got %v, want %q", c.url, c.ca, err, c.want)
		}
	}
}

// TestTCPNoticesADeadLink: the kernel is told to give up in seconds.
func TestTCPNoticesADeadLink(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := (&Dialer{}).Dial(t.Context(), &url.URL{Scheme: "mqtt", Host: l.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.(*quickConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []struct {
		name                string
		level, option, want int
	}{
		{"TCP_USER_TIMEOUT", unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 20_000},
		{"TCP_THIN_LINEAR_TIMEOUTS", unix.IPPROTO_TCP, unix.TCP_THIN_LINEAR_TIMEOUTS, 1},
		{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{"TCP_KEEPIDLE", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 15},
		{"TCP_KEEPINTVL", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 5},
	} {
		var got int
		var failed error
		if err := raw.Control(func(fd uintptr) { got, failed = unix.GetsockoptInt(int(fd), o.level, o.option) }); err != nil {
			t.Fatal(err)
		}
		if failed != nil || got != o.want {
			t.Errorf("%s is %d, %v; want %d", o.name, got, failed, o.want)
		}
	}
}
