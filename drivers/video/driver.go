package video

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/drivers"
)

// Config is what a Camera needs to know. Zero values take the defaults.
type Config struct {
	// Dial connects to the camera; net.Dialer.DialContext is one.
	Dial    func(ctx context.Context, network, address string) (net.Conn, error)
	Address string // host and port; the port is 554 by default
	// ConnectOnly is for what has no RTSP: an accepted connection is enough.
	ConnectOnly bool
	Poll        time.Duration // between two polls, 10 s by default
	Timeout     time.Duration // for connection and answer together, 3 s by default
	Point       string        // Normal while it is alive; there must be one
}

const (
	defaultPort    = "554"
	defaultPoll    = 10 * time.Second
	defaultTimeout = 3 * time.Second
	// tries is how often it is asked before it is given up, pause between them.
	tries = 3
	pause = time.Second
)

// Camera is a camera or terminal on the network.
type Camera struct {
	cfg Config
	bad error // of the configuration
}

var _ drivers.Driver = (*Camera)(nil)

// New returns the driver of the camera at cfg.Address. It connects to nothing; a
// configuration that can't work is reported by Run.
func New(cfg Config) *Camera {
	if cfg.Poll <= 0 {
		cfg.Poll = defaultPoll
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	c := &Camera{cfg: cfg}
	c.cfg.Address, c.bad = address(cfg.Address)
	if cfg.Dial == nil {
		c.bad = errors.Join(c.bad, errors.New("want a way to dial"))
	}
	if cfg.Point == "" {
		c.bad = errors.Join(c.bad, errors.New("want a point that tells whether it is alive"))
	}
	return c
}

// address completes and checks an address. What stands in it goes into a request.
func address(s string) (string, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		host, port = strings.Trim(s, "[]"), defaultPort
	}
	bad := strings.ContainsFunc(host+port, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("/@[]?#", r) })
	if host == "" || port == "" || bad {
		return s, fmt.Errorf("address %q: want a host and a port, as 192.168.1.64:554, without rtsp:// and password", s)
	}
	return net.JoinHostPort(host, port), nil
}

// Run implements drivers.Driver. It emits the point at each poll. When three tries
// fail, the point is emitted as Unknown and the error wraps drivers.ErrSilent if
// nothing answered.
func (c *Camera) Run(ctx context.Context, emit drivers.Emit) error {
	if c.bad != nil {
		return c.fail(ctx, emit, c.bad)
	}
	ticker := time.NewTicker(c.cfg.Poll)
	defer ticker.Stop()
	for {
		detail, err := c.poll(ctx)
		if err != nil {
			return c.fail(ctx, emit, err)
		}
		if err := c.emit(ctx, emit, longan.Normal, detail); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// poll asks until there is an answer, or too often.
func (c *Camera) poll(ctx context.Context) (detail string, err error) {
	for n := range tries {
		if n > 0 {
			timer := time.NewTimer(pause)
			select {
			case <-ctx.Done():
				timer.Stop()
				return "", ctx.Err()
			case <-timer.C:
			}
		}
		if detail, err = c.ask(ctx); err == nil || ctx.Err() != nil {
			return detail, err
		}
	}
	return "", err
}

// ask connects and asks once. All of it takes the timeout at most.
func (c *Camera) ask(ctx context.Context) (detail string, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	conn, err := c.cfg.Dial(ctx, "tcp", c.cfg.Address)
	if err != nil {
		return "", fmt.Errorf("connect: %v: %w", err, drivers.ErrSilent)
	}
	defer conn.Close()
	if c.cfg.ConnectOnly {
		return "accepts connections", nil
	}
	// Closing unblocks what is under way when ctx ends, at the deadline as well.
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return "", fmt.Errorf("set a deadline: %w", err)
		}
	}
	if _, err := conn.Write(request(c.cfg.Address)); err != nil {
		return "", c.silent(ctx, fmt.Errorf("send the request: %w", err))
	}
	status, err := readAnswer(conn)
	if err != nil {
		return "", c.silent(ctx, err)
	}
	if !serves(status) {
		return "", fmt.Errorf("its RTSP server answers %d", status)
	}
	return fmt.Sprintf("RTSP %d", status), nil
}

// silent says that the time was up, where that is what err comes of.
func (c *Camera) silent(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("connected, but no answer within %v: %w", c.cfg.Timeout, drivers.ErrSilent)
	}
	return err
}

func (c *Camera) emit(ctx context.Context, emit drivers.Emit, state longan.PointState, detail string) error {
	detail = strings.ToValidUTF8(detail[:min(len(detail), longan.MaxLabel)], "")
	return emit(ctx, drivers.Reading{Point: c.cfg.Point, State: state, Detail: detail})
}

// fail emits the point as Unknown and returns err, unless ctx has ended.
func (c *Camera) fail(ctx context.Context, emit drivers.Emit, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	err = fmt.Errorf("camera at %s: %w", c.cfg.Address, err)
	if err := c.emit(ctx, emit, longan.Unknown, err.Error()); err != nil {
		return err
	}
	return err
}
