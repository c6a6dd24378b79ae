package cloud

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"time"

	"github.com/longan-edge/longan/cloud/internal/broker"
)

// Config is what a city takes from outside. One of MQTT, Broker and Dial must be
// given: where the boards' messages come from.
type Config struct {
	// StorePath is the file of the store; its folder must exist.
	StorePath string

	// MQTT is where boards reach the embedded broker. Run closes it.
	MQTT net.Listener
	// MQTTS is where they reach it with TLS 1.2 or later, beside MQTT or instead of
	// it: a plain listener. Run closes it.
	MQTTS net.Listener
	// TLSCert and TLSKey are the PEM files of the certificate, with what stands
	// between it and the CA behind it, and of its key. New ones are taken at the next
	// connection.
	TLSCert, TLSKey string
	// PasswordFile knows the boards of the embedded broker; see SetPassword.
	PasswordFile string
	// InsecureDemo lets everybody in to the embedded broker without a password.
	InsecureDemo bool

	// Broker is the URL of a broker to use in place of the embedded one:
	// tcp://host:1883 or tls://host:8883, with user:password@ where it asks for
	// them.
	Broker string
	// Dial opens connections to a broker in place of the embedded one. It also
	// overrides how Broker is reached.
	Dial func(ctx context.Context) (net.Conn, error)

	// HTTP is where the pages and the API are; nil is nowhere. Run closes it.
	HTTP net.Listener
	// Counties are the 6-digit codes of the counties to take in; none is all.
	Counties []string

	Now func() time.Time // nil is time.Now
	Log *slog.Logger     // nil is silent
}

// Errors of a Config, for a caller that says what to do about them.
var (
	ErrNoPasswords = errors.New("the embedded broker needs a password file, or the insecure demo")
	ErrNoBroker    = errors.New("no MQTT listener and no broker")
	ErrTwoBrokers  = errors.New("an MQTT listener is of the embedded broker: give either it or an external broker")
	ErrCertificate = errors.New("the TLS listener needs a certificate and its key")
)

func (c *Config) check() error {
	embedded := c.Broker == "" && c.Dial == nil
	switch {
	case c.StorePath == "":
		return errors.New("no store path")
	case embedded && c.MQTT == nil && c.MQTTS == nil:
		return ErrNoBroker
	case !embedded && (c.MQTT != nil || c.MQTTS != nil):
		return ErrTwoBrokers
	case c.MQTTS != nil && (c.TLSCert == "" || c.TLSKey == ""):
		return ErrCertificate
	case embedded && c.PasswordFile == "" && !c.InsecureDemo:
		return ErrNoPasswords
	}
	for _, county := range c.Counties {
		if len(county) != 6 || !digits(county) {
			return fmt.Errorf("county %q: want the 6 digits of its code, like 621202", county)
		}
	}
	return nil
}

func digits(s string) bool {
	for _, r := range s {
		if r < '0' || r > '9' {
			return false
		}
	}
	return true
}

// source is where the messages come from.
type source struct {
	dial               func(ctx context.Context) (net.Conn, error)
	username, password string
	broker             *broker.Broker // the embedded one, or nil
}

// openSource starts the embedded broker, or finds out how to reach the external
// one. refused is told of what the embedded one refuses.
func (c *Config) openSource(refused func(client, what, why string)) (*source, error) {
	if c.Broker == "" && c.Dial == nil {
		return c.embed(refused)
	}
	s := &source{dial: c.Dial}
	if c.Broker == "" {
		return s, nil
	}
	u, dial, err := brokerDialer(c.Broker)
	if err != nil {
		return nil, err
	}
	if s.dial == nil {
		s.dial = dial
	}
	s.username = u.User.Username()
	s.password, _ = u.User.Password()
	return s, nil
}

func (c *Config) embed(refused func(client, what, why string)) (*source, error) {
	cfg := broker.Config{Log: c.Log.With("part", "broker"), Anonymous: c.InsecureDemo, Refused: refused}
	if c.PasswordFile != "" {
		passwords, err := broker.OpenPasswords(c.PasswordFile, cfg.Log)
		if err != nil {
			return nil, err
		}
		cfg.Auth = passwords
	}
	b, err := broker.New(cfg)
	if err != nil {
		return nil, err
	}
	return &source{dial: b.Dial, broker: b}, nil
}

// brokerDialer returns the parts of a broker's URL and how to connect to it.
func brokerDialer(raw string) (*url.URL, func(context.Context) (net.Conn, error), error) {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" {
		return nil, nil, errors.New("broker: want tcp://host:1883 or tls://host:8883")
	}
	port := u.Port()
	switch u.Scheme {
	case "tcp", "mqtt":
		addr := net.JoinHostPort(u.Hostname(), cmp.Or(port, "1883"))
		return u, func(ctx context.Context) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		}, nil
	case "tls", "ssl", "mqtts":
		addr := net.JoinHostPort(u.Hostname(), cmp.Or(port, "8883"))
		d := &tls.Dialer{Config: &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12}}
		return u, func(ctx context.Context) (net.Conn, error) {
			return d.DialContext(ctx, "tcp", addr)
		}, nil
	}
	return nil, nil, fmt.Errorf("broker %s: scheme %q: want tcp or tls", u.Redacted(), u.Scheme)
}
