package desk

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// SocketName is the name of the socket in the data folder.
const SocketName = "spool.sock"

// maxPath is how long the path of a Unix socket may be: unix(7).
const maxPath = 107

// Bounds of a connection.
const (
	idleMost  = time.Minute      // between two requests
	writeMost = 10 * time.Second // for a line to be taken
	connsMost = 4
)

// Listen opens the socket in dir, for the owner alone. Only who has the spool
// open may call it: a socket that is there was left behind by a process that was
// killed, and is replaced. Closing the listener removes it.
func Listen(dir string) (net.Listener, error) {
	path := filepath.Join(dir, SocketName)
	if len(path) > maxPath {
		return nil, fmt.Errorf("open local socket: %s has %d bytes, the kernel takes %d: use a shorter folder", path, len(path), maxPath)
	}
	info, err := os.Lstat(path)
	switch {
	case err == nil && info.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("open local socket: %s is no socket: move it away", path)
	case err == nil:
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("remove old local socket: %w", err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("open local socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("open local socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("open local socket: %w", err), l.Close())
	}
	return l, nil
}

// Serve answers on the listener until ctx ends, or until the listener fails,
// which is the error. It closes the listener, and no connection outlives it.
func Serve(ctx context.Context, l net.Listener, book Book, log *slog.Logger) error {
	var conns sync.WaitGroup
	defer conns.Wait()
	defer context.AfterFunc(ctx, func() { l.Close() })()
	defer l.Close()
	slots := make(chan struct{}, connsMost)
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			if err == nil {
				conn.Close()
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept on local socket: %w", err)
		}
		select {
		case slots <- struct{}{}:
		default:
			refuse(conn)
			continue
		}
		conns.Go(func() {
			defer func() { <-slots }()
			if err := serveConn(ctx, conn, book); err != nil && ctx.Err() == nil {
				log.Debug("local connection ended", "err", err)
			}
		})
	}
}

// refuse tells that there are connections enough.
func refuse(conn net.Conn) {
	s := &session{conn: conn, w: bufio.NewWriter(conn)}
	err := s.reply(reply{End: true, Error: "the agent is busy with other questions; try again"})
	_ = errors.Join(err, conn.Close()) // it was told, or is gone
}

// session is one connection at the server.
type session struct {
	conn net.Conn
	w    *bufio.Writer
	book Book
}

// serveConn answers the requests of a connection until it ends.
func serveConn(ctx context.Context, conn net.Conn, book Book) (err error) {
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	defer conn.Close()
	s := &session{conn: conn, w: bufio.NewWriterSize(conn, 16<<10), book: book}
	lines := bufio.NewScanner(conn)
	lines.Buffer(make([]byte, 0, maxRequest+1), maxRequest+1)
	for {
		if err := conn.SetReadDeadline(time.Now().Add(idleMost)); err != nil {
			return err
		}
		if !lines.Scan() {
			if errors.Is(lines.Err(), bufio.ErrTooLong) {
				return s.reply(reply{End: true, Error: "the request is too long"})
			}
			return lines.Err()
		}
		last := reply{End: true}
		r, err := parseRequest(lines.Bytes())
		if err == nil {
			err = s.answer(ctx, r)
		}
		if err != nil {
			last.Error = err.Error()
		}
		if err := s.reply(last); err != nil {
			return err
		}
	}
}

// answer writes the lines before the end of an answer.
func (s *session) answer(ctx context.Context, r request) error {
	switch r.Do {
	case doStat:
		st, err := s.book.Stat(ctx)
		if err != nil {
			return err
		}
		return s.line(reply{Stat: st})
	case doRead:
		records, err := s.book.Read(ctx, r.Epoch, r.Lane, r.From, r.Events)
		for _, rec := range records {
			if err := s.line(reply{Event: string(rec.JSON)}); err != nil {
				return err
			}
		}
		return err
	}
	f, err := s.book.Check(ctx, func(blocks uint64) error { return s.reply(reply{Blocks: blocks}) })
	if err != nil {
		return err
	}
	return s.line(reply{Finding: f})
}

// line writes a line, maybe to the buffer only.
func (s *session) line(r reply) error {
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	if err := s.conn.SetWriteDeadline(time.Now().Add(writeMost)); err != nil {
		return err
	}
	_, err = s.w.Write(append(text, '\n'))
	return err
}

// reply writes a line, and all before it, to the socket.
func (s *session) reply(r reply) error {
	if err := s.line(r); err != nil {
		return err
	}
	return s.w.Flush()
}
