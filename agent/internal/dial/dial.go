// Package dial opens the connection to a broker: plain or TLS, over TCP that
// notices a dead link, and with a board's idea of the time.
package dial

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/agent/internal/clock"
)

// Dialer opens connections to brokers.
type Dialer struct {
	// CA is the path of a PEM file with the certificates that a broker's may be
	// signed by; "" takes the system's. It is read for every connection, so that
	// a new one needs no restart, and a missing one keeps no event from the spool.
	CA string
	// Now is what time it is, as far as the board knows.
	Now func() clock.Stamp
	// Sessions remembers TLS sessions: coming back to a broker then takes neither
	// its certificates over the link again nor the time to check a signature. They
	// are still held to CA and Now. Nil is none.
	Sessions tls.ClientSessionCache
}

// Dial connects to a broker: mqtt://host:1883 or mqtts://host:8883. Its errors say
// what to do where that is not plain.
func (d *Dialer) Dial(ctx context.Context, broker *url.URL) (net.Conn, error) {
	switch broker.Scheme {
	case "mqtt":
		conn, err := dialer().DialContext(ctx, "tcp", hostPort(broker, "1883"))
		if err != nil {
			return nil, err
		}
		return &quickConn{conn.(*net.TCPConn)}, nil
	case "mqtts":
		return d.dialTLS(ctx, broker)
	}
	return nil, fmt.Errorf("broker %s: %w", broker.Redacted(), errors.ErrUnsupported)
}

func hostPort(u *url.URL, port string) string {
	if u.Port() != "" {
		port = u.Port()
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// maxChain bounds how often dialTLS moves its time forward: once a certificate
// of the chain that is not valid yet.
const maxChain = 4

// dialTLS connects with TLS. The broker's certificate is verified at the board's
// time. Unless that comes from the city or a time daemon it is at best a time that
// has passed: then a certificate that seems not to be valid yet may well be, and
// is verified as of the moment from which it is. A certificate that has ended by
// the board's time has ended.
func (d *Dialer) dialTLS(ctx context.Context, broker *url.URL) (net.Conn, error) {
	cfg := &tls.Config{ServerName: broker.Hostname(), MinVersion: tls.VersionTLS12, ClientSessionCache: d.Sessions}
	if d.CA != "" {
		pool, err := readCA(d.CA)
		if err != nil {
			return nil, err
		}
		cfg.RootCAs = pool
	}
	now := d.Now()
	guess := clock.Better(longan.ClockCity, now.Quality)
	at := now.Time
	for tries := 1; ; tries++ {
		cfg.Time = func() time.Time { return at }
		conn, err := (&tls.Dialer{NetDialer: dialer(), Config: cfg}).DialContext(ctx, "tcp", hostPort(broker, "8883"))
		if err == nil {
			return conn, nil
		}
		early, ok := notYetValid(err, at)
		if !ok || !guess || tries == maxChain {
			return nil, explain(err, at, now.Quality)
		}
		at = early
	}
}

// notYetValid returns from when a certificate is valid that was refused because
// it is not valid at that time yet.
func notYetValid(err error, at time.Time) (from time.Time, ok bool) {
	invalid, ok := errors.AsType[x509.CertificateInvalidError](err)
	if !ok || invalid.Reason != x509.Expired || invalid.Cert == nil || !at.Before(invalid.Cert.NotBefore) {
		return time.Time{}, false
	}
	return invalid.Cert.NotBefore, true
}

// readCA returns the certificates of a PEM file.
func readCA(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the ca of [uplink]: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("read the ca of [uplink]: %s holds no certificate in PEM; longan-agent check tells more", path)
	}
	return pool, nil
}

// explain adds to a failed handshake what can be done about it.
func explain(err error, at time.Time, quality string) error {
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired && invalid.Cert != nil {
		by := fmt.Sprintf("the board's clock says %s (%s)", at.Format(time.RFC3339), quality)
		if at.Before(invalid.Cert.NotBefore) {
			return fmt.Errorf("the broker's certificate begins on %s, and %s: %w", invalid.Cert.NotBefore.Format(time.RFC3339), by, err)
		}
		return fmt.Errorf("the broker's certificate ended on %s, and %s: renew it, or set the clock: %w",
			invalid.Cert.NotAfter.Format(time.RFC3339), by, err)
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return fmt.Errorf("nobody the board trusts has signed the broker's certificate: put the CA's into the ca file of [uplink]: %w", err)
	}
	return err
}
