package peripheral

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

// Camera is an RTSP server as in a camera: it answers OPTIONS and refuses all
// else, for it has no picture. RFC 2326.
//
// Of the faults, Silent takes connections and does not answer, as a camera that
// hangs; Late answers one byte at a time, each after the delay.
type Camera struct {
	faults

	mu     sync.Mutex
	login  bool // wants one
	off    bool
	status int // instead of 200; 0 is none
	asked  int
}

// NewCamera returns a camera that answers everybody.
func NewCamera() *Camera { return &Camera{} }

// SetLogin makes the camera want a name and password, which it never accepts.
func (c *Camera) SetLogin(wanted bool) { c.change(func() { c.login = wanted }) }

// SetOff makes the camera close every connection at once, or work again.
func (c *Camera) SetOff(off bool) { c.change(func() { c.off = off }) }

// SetStatus makes it answer with this status; 0 is as usual.
func (c *Camera) SetStatus(status int) { c.change(func() { c.status = status }) }

// Asked returns how many requests came.
func (c *Camera) Asked() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked
}

func (c *Camera) change(do func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	do()
}

// Serve answers on a listener until ctx ends, when it closes the listener and
// returns nil, or the listener fails.
func (c *Camera) Serve(ctx context.Context, l net.Listener) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	serving, cancel := context.WithCancel(ctx)
	defer cancel()
	wg.Go(func() { <-serving.Done(); l.Close() })
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			if err == nil {
				conn.Close()
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("serve camera: %w", err)
		}
		wg.Go(func() { c.converse(serving, conn) })
	}
}

// maxRequest bounds a request, and most requests one connection.
const (
	maxRequest = 4 << 10
	most       = 64
)

// converse answers the requests of one connection. That it ends is no error.
func (c *Camera) converse(ctx context.Context, conn net.Conn) {
	talking, cancel := context.WithTimeout(ctx, time.Minute)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	w := &lockedWriter{w: conn}
	wg.Go(func() { <-talking.Done(); conn.Close() })
	c.mu.Lock()
	off := c.off
	c.mu.Unlock()
	if off {
		return
	}
	wg.Go(func() { c.babble(talking, w) })
	var text []byte
	buf := make([]byte, 512)
	for range most {
		n, err := conn.Read(buf)
		text = append(text, buf[:n]...)
		for {
			request, rest, ok := bytes.Cut(text, []byte("\r\n\r\n"))
			if !ok {
				break
			}
			text = rest
			if c.send(talking, w, c.answer(string(request))) != nil {
				return
			}
		}
		if err != nil || len(text) > maxRequest {
			return
		}
	}
}

// send sends an answer, as the fault has it.
func (c *Camera) send(ctx context.Context, w io.Writer, answer string) error {
	c.faults.mu.Lock()
	late := c.fault == Late
	c.faults.mu.Unlock()
	if !late {
		return c.reply(ctx, w, []byte(answer))
	}
	for i := range len(answer) {
		if err := c.reply(ctx, w, []byte(answer[i:i+1])); err != nil {
			return err
		}
	}
	return nil
}

// errRequest is a request without a first line.
var errRequest = errors.New("no RTSP request")

// answer returns the answer to a request, without the empty line that ends it.
func (c *Camera) answer(request string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	method, seq, err := takeRequest(request)
	status, more := "200 OK", ""
	switch {
	case err != nil:
		status = "400 Bad Request"
	case c.status != 0:
		status = fmt.Sprintf("%d Out Of Order", c.status)
	case c.login:
		status, more = "401 Unauthorized", "WWW-Authenticate: Digest realm=\"camera\", nonce=\"6f2a\"\r\n"
	case method == "OPTIONS":
		more = "Public: OPTIONS, DESCRIBE, SETUP, TEARDOWN, PLAY, PAUSE\r\n"
	case method == "DESCRIBE":
		status = "404 Not Found"
	default:
		status = "405 Method Not Allowed"
	}
	if seq != "" {
		more = "CSeq: " + seq + "\r\n" + more
	}
	return "RTSP/1.0 " + status + "\r\n" + more + "\r\n"
}

// takeRequest returns the method and number of a request.
func takeRequest(request string) (method, seq string, err error) {
	line, headers, _ := strings.Cut(request, "\r\n")
	fields := strings.Fields(line)
	if len(fields) != 3 || fields[2] != "RTSP/1.0" || (fields[1] != "*" && !strings.HasPrefix(fields[1], "rtsp://")) {
		return "", "", errRequest
	}
	for h := range strings.SplitSeq(headers, "\r\n") {
		if name, value, ok := strings.Cut(h, ":"); ok && strings.EqualFold(name, "CSeq") {
			seq = strings.TrimSpace(value)
		}
	}
	if seq == "" || strings.Trim(seq, "0123456789") != "" {
		return "", "", errRequest
	}
	return fields[0], seq, nil
}
