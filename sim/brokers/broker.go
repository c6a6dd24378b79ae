package brokers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Broker is a broker on a port of this machine.
type Broker struct {
	*Process
	Kind Kind
	Addr string // host:port of its MQTT listener
	Dir  string // what it keeps, if it keeps anything

	options Options
	noAcks  bool
}

// Options of a broker.
type Options struct {
	// Dir is an empty folder for the broker's configuration and data.
	Dir string
	// Program of the kind, as [Find] returned it.
	Program string
}

// New returns a broker of a kind that does not run yet, on a port that is free
// now. Nobody but this machine reaches it, and everybody on it may do everything.
func New(kind Kind, o Options) (*Broker, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("find a free port: %w", err)
	}
	b := &Broker{Kind: kind, Addr: l.Addr().String(), Dir: filepath.Join(o.Dir, "data"), options: o}
	if err := l.Close(); err != nil {
		return nil, fmt.Errorf("find a free port: %w", err)
	}
	if err := os.MkdirAll(b.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make broker's folder: %w", err)
	}
	args, err := kind.configure(b)
	if err != nil {
		return nil, fmt.Errorf("configure %s: %w", kind, err)
	}
	b.Process = NewProcess(string(kind), o.Program, args...)
	return b, nil
}

// Start runs the broker and returns once it answers an MQTT CONNECT.
func (b *Broker) Start(ctx context.Context) error { return b.Process.Start(ctx, b.answers) }

// SetAcks sets whether acks are heard on this broker, from its next start on;
// they are at first. A broker with wrong rights is one that drops them. The
// embedded one can't be told so.
func (b *Broker) SetAcks(heard bool) error {
	b.noAcks = !heard
	_, err := b.Kind.configure(b)
	return err
}

// Wipe deletes what the broker keeps, which must not be running.
func (b *Broker) Wipe() error {
	if err := os.RemoveAll(b.Dir); err != nil {
		return fmt.Errorf("wipe broker: %w", err)
	}
	return os.Mkdir(b.Dir, 0o700)
}

// Dial connects to the broker.
func (b *Broker) Dial(ctx context.Context) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "tcp", b.Addr)
}

// answers returns nil when the broker answers CONNECT with CONNACK, whatever its
// code: a broker that listens may still be busy with its own files.
func (b *Broker) answers(ctx context.Context) error {
	conn, err := b.Dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(3 * time.Second)); err != nil {
		return err
	}
	// MQTT 3.1.1, section 3.1: clean session, keep-alive 60 s, client id "probe".
	if _, err := conn.Write([]byte("\x10\x11\x00\x04MQTT\x04\x02\x00\x3c\x00\x05probe")); err != nil {
		return err
	}
	answer := make([]byte, 4)
	if _, err := io.ReadFull(conn, answer); err != nil {
		return err
	}
	if !bytes.HasPrefix(answer, []byte{0x20, 0x02}) {
		return fmt.Errorf("answer to CONNECT: % x", answer)
	}
	return nil
}

// ErrMissing: the program of a broker is not on this machine.
var ErrMissing = errors.New("broker is missing")
