package cloud

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

// certificate is a certificate and its key in two PEM files. They are looked at
// before every handshake and read again when they were replaced, so that renewing
// them needs no restart. As long as new ones can't be used the old ones are.
type certificate struct {
	certFile, keyFile string
	now               func() time.Time
	log               *slog.Logger

	mu     sync.Mutex
	read   [2]os.FileInfo // of the files, when they were last read
	loaded *tls.Certificate
}

// openCertificate reads the files.
func openCertificate(certFile, keyFile string, now func() time.Time, log *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, now: now, log: log}
	if err := c.refresh(); err != nil {
		return nil, err
	}
	return c, nil
}

// config returns what a TLS listener needs.
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			if err := c.refresh(); err != nil {
				c.log.Error("new TLS certificate can't be used; the old one is", "err", err)
			}
			return c.loaded, nil
		},
	}
}

// refresh reads the files if they are not those that were read last. c.mu is held.
func (c *certificate) refresh() error {
	var found [2]os.FileInfo
	for i, name := range [...]string{c.certFile, c.keyFile} {
		var err error
		if found[i], err = os.Stat(name); err != nil {
			if c.loaded != nil {
				return nil // it is being replaced
			}
			return fmt.Errorf("%w: %w", ErrCertificate, err)
		}
	}
	if sameFile(found[0], c.read[0]) && sameFile(found[1], c.read[1]) {
		return nil
	}
	c.read = found // also if they are of no use: that is said once
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("%w: %s with %s: %w", ErrCertificate, c.certFile, c.keyFile, err)
	}
	c.loaded = &pair
	leaf, now := pair.Leaf, c.now()
	names := leaf.DNSNames
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	log := c.log.Info
	if now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
		log = c.log.Error
	}
	log("TLS certificate", "file", c.certFile, "names", strings.Join(names, " "), "from", leaf.NotBefore, "until", leaf.NotAfter)
	return nil
}

func sameFile(a, b os.FileInfo) bool {
	return a != nil && b != nil && os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// tlsListener makes the connections of a listener TLS connections. The handshake
// is made by the first Read: Accept waits for nobody.
type tlsListener struct {
	net.Listener
	config *tls.Config
	log    *slog.Logger

	mu     sync.Mutex
	said   time.Time // when a failed handshake was last logged
	silent int       // failed ones since
}

// Accept implements net.Listener.
func (l *tlsListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &tlsConn{Conn: tls.Server(conn, l.config), listener: l}, nil
}

// failedEvery is how often a failed handshake is logged at most: anybody can make
// one.
const failedEvery = time.Minute

// failed says that a client could not be understood.
func (l *tlsListener) failed(conn net.Conn, err error) {
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
		return // it only knocked, as a health check does
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if !l.said.IsZero() && now.Sub(l.said) < failedEvery {
		l.silent++
		return
	}
	l.log.Warn("TLS handshake failed", "from", conn.RemoteAddr().String(), "err", err, "others", l.silent)
	l.said, l.silent = now, 0
}

// tlsConn is a connection that may not have shaken hands. Only one goroutine
// reads from it.
type tlsConn struct {
	*tls.Conn
	listener *tlsListener
	shaken   bool
}

// Read implements net.Conn.
func (c *tlsConn) Read(b []byte) (int, error) {
	if !c.shaken {
		if err := c.Handshake(); err != nil {
			c.listener.failed(c, err)
			return 0, err
		}
		c.shaken = true
	}
	return c.Conn.Read(b)
}

// Close implements net.Conn. It does not say goodbye, for which a dead link could
// make it wait for seconds: MQTT has said what there was to say.
func (c *tlsConn) Close() error { return c.NetConn().Close() }
