package desk

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/agent/internal/spool"
)

// Client is the book of an agent that runs. It is for one goroutine.
type Client struct {
	conn  net.Conn
	lines *bufio.Scanner
}

const (
	dialMost  = 5 * time.Second
	replyMost = 30 * time.Second // for the next line of an answer
	maxReply  = 1 << 20          // bytes of a line
)

// Dial connects to the agent that runs in dir. The caller must Close the client.
func Dial(ctx context.Context, dir string) (*Client, error) {
	d := net.Dialer{Timeout: dialMost}
	conn, err := d.DialContext(ctx, "unix", filepath.Join(dir, SocketName))
	if err != nil {
		return nil, fmt.Errorf("ask agent: %w", err)
	}
	return newClient(conn), nil
}

func newClient(conn net.Conn) *Client {
	c := &Client{conn: conn, lines: bufio.NewScanner(conn)}
	c.lines.Buffer(make([]byte, 0, 16<<10), maxReply)
	return c
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

// ask sends a request and hands each line of the answer to take.
func (c *Client) ask(ctx context.Context, r request, take func(reply) error) (err error) {
	defer context.AfterFunc(ctx, func() { c.conn.Close() })()
	defer func() {
		if err != nil {
			err = fmt.Errorf("ask agent: %w", errors.Join(err, ctx.Err()))
		}
	}()
	if err := c.conn.SetDeadline(time.Now().Add(replyMost)); err != nil {
		return err
	}
	if _, err := c.conn.Write(r.line()); err != nil {
		return err
	}
	for c.lines.Scan() {
		var answer reply
		if err := json.Unmarshal(c.lines.Bytes(), &answer); err != nil {
			return fmt.Errorf("answer: %w", err)
		}
		if answer.Error != "" {
			return errors.New(answer.Error)
		}
		if answer.End {
			return nil
		}
		if err := take(answer); err != nil {
			return err
		}
		if err := c.conn.SetDeadline(time.Now().Add(replyMost)); err != nil {
			return err
		}
	}
	if err := c.lines.Err(); err != nil {
		return err
	}
	return errors.New("it ended in the middle of the answer")
}

// Stat implements Book.
func (c *Client) Stat(ctx context.Context) (*Stat, error) {
	var st *Stat
	err := c.ask(ctx, request{Do: doStat}, func(r reply) error {
		st = r.Stat
		return nil
	})
	if err == nil && st == nil {
		err = errors.New("ask agent: no answer to stat")
	}
	return st, err
}

// Read implements Book.
func (c *Client) Read(ctx context.Context, epoch string, lane longan.Lane, from uint64, events int) (out []spool.Record, err error) {
	r := request{Do: doRead, Epoch: epoch, Lane: lane, From: from, Events: min(events, maxRead)}
	err = c.ask(ctx, r, func(r reply) error {
		e, err := longan.ParseEvent([]byte(r.Event))
		if err != nil {
			return err
		}
		out = append(out, spool.Record{Seq: e.Seq, JSON: []byte(r.Event)})
		return nil
	})
	return out, err
}

// Check implements Book.
func (c *Client) Check(ctx context.Context, step func(uint64) error) (*Finding, error) {
	var f *Finding
	err := c.ask(ctx, request{Do: doCheck}, func(r reply) error {
		if r.Finding != nil {
			f = r.Finding
			return nil
		}
		return step(r.Blocks)
	})
	if err == nil && f == nil {
		err = errors.New("ask agent: no answer to check")
	}
	return f, err
}
