package cloud

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/longan-edge/longan"
)

// writePair writes a certificate for 127.0.0.1 that has signed itself, and its
// key, and returns what trusts it.
func writePair(t *testing.T, certFile, keyFile string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "city"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	replace(t, certFile, cert)
	replace(t, keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	return pool
}

// replace puts a new file in the place of another.
func replace(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// secureCity is a city with a TLS listener on this machine.
type secureCity struct {
	*city
	addr      string
	cert, key string // files
	pool      *x509.CertPool
	log       *lockedBuffer
}

func startSecureCity(t *testing.T, change func(*Config)) *secureCity {
	t.Helper()
	dir := t.TempDir()
	s := &secureCity{cert: filepath.Join(dir, "city.pem"), key: filepath.Join(dir, "city.key"), log: new(lockedBuffer)}
	s.pool = writePair(t, s.cert, s.key)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	s.city = startCity(t, storePath(t), func(c *Config) {
		c.MQTTS, c.TLSCert, c.TLSKey = l, s.cert, s.key
		c.Log = slog.New(slog.NewTextHandler(s.log, nil))
		if change != nil {
			change(c)
		}
	})
	return s
}

// dial connects with TLS and trusts pool.
func (s *secureCity) dial(ctx context.Context, pool *x509.CertPool, most uint16) (*tls.Conn, error) {
	d := tls.Dialer{Config: &tls.Config{RootCAs: pool, MaxVersion: most}}
	conn, err := d.DialContext(ctx, "tcp", s.addr)
	if err != nil {
		return nil, err
	}
	return conn.(*tls.Conn), nil
}

func (s *secureCity) board(device longan.DeviceID, pool *x509.CertPool) *board {
	return dialBoard(s.t, device, func(ctx context.Context) (net.Conn, error) { return s.dial(ctx, pool, 0) })
}

// lockedBuffer takes a log.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) count(s string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Count(b.buf.String(), s)
}

// TestTLS: events come over TLS alone and beside plain MQTT, and a new certificate
// is taken while the boards that are there stay.
func TestTLS(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"alone":  func(c *Config) { c.MQTT = nil },
		"beside": nil,
	} {
		t.Run(name, func(t *testing.T) {
			c := startSecureCity(t, change)
			first := c.board("621202104-01", c.pool)
			first.send("e1", longan.State, 1, 1, 10)
			first.acked("e1", longan.State, 10)
			if change == nil {
				plain := dialBoard(t, "621202104-02", c.mqtt.Dial)
				plain.send("e2", longan.State, 1, 1, 10)
				plain.acked("e2", longan.State, 10)
			}

			old := c.pool
			c.pool = writePair(t, c.cert, c.key)
			second := c.board("621202104-03", c.pool)
			second.send("e3", longan.Alarm, 1, 1, 1)
			second.acked("e3", longan.Alarm, 1)
			first.send("e1", longan.State, 1, 11, 20)
			first.acked("e1", longan.State, 20)
			if _, err := c.dial(t.Context(), old, 0); err == nil {
				t.Error("the old certificate is still shown")
			}
			c.stop()
		})
	}
}

// TestTLSOfABadCertificate: files that can't be used are told of once, and the
// certificate from before stays.
func TestTLSOfABadCertificate(t *testing.T) {
	c := startSecureCity(t, nil)
	good, err := os.ReadFile(c.cert)
	if err != nil {
		t.Fatal(err)
	}
	const said = "new TLS certificate can't be used"
	for i, spoil := range []func(){
		func() { replace(t, c.cert, good[:len(good)/2]) },
		func() { replace(t, c.cert, good); replace(t, c.key, []byte("no key\n")) },
	} {
		spoil()
		for range 3 {
			conn, err := c.dial(t.Context(), c.pool, 0)
			if err != nil {
				t.Fatalf("with bad files: %v", err)
			}
			conn.Close()
		}
		if got := c.log.count(said); got != i+1 {
			t.Errorf("the log says %d times that the files are bad, want %d", got, i+1)
		}
	}
	if err := os.Remove(c.key); err != nil {
		t.Fatal(err)
	}
	if conn, err := c.dial(t.Context(), c.pool, 0); err != nil {
		t.Errorf("without a file: %v", err)
	} else {
		conn.Close()
	}
	c.pool = writePair(t, c.cert, c.key)
	b := c.board("621202104-01", c.pool)
	b.send("e1", longan.Alarm, 1, 1, 1)
	b.acked("e1", longan.Alarm, 1)
}

// TestTLSRefuses: neither old TLS nor plain MQTT, and who keeps trying does not
// fill the log.
func TestTLSRefuses(t *testing.T) {
	c := startSecureCity(t, nil)
	for range 3 {
		if conn, err := c.dial(t.Context(), c.pool, tls.VersionTLS11); err == nil {
			t.Errorf("TLS %x was taken", conn.ConnectionState().Version)
		}
	}
	conn, err := net.Dial("tcp", c.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("\x10\x0c\x00\x04MQTT\x04\x02\x00\x0a\x00\x00")); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 64)
	for {
		n, err := conn.Read(answer)
		if n > 0 && answer[0] == 0x20 {
			t.Error("plain MQTT was answered")
		}
		if err != nil {
			break
		}
	}
	poll(t, "the log tells of it", func() bool { return c.log.count("TLS handshake failed") > 0 })
	if got := c.log.count("TLS handshake failed"); got != 1 {
		t.Errorf("the log tells %d times of failed handshakes, want once a minute", got)
	}
}
