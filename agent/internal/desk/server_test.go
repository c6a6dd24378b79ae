package desk

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/agent/internal/spool"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

const testEpoch = "9f86d081884c7d65"

// fakeBook is a book with events 17 to 20 in the state lane.
type fakeBook struct{ hold chan struct{} }

func (b fakeBook) Stat(ctx context.Context) (*Stat, error) {
	if b.hold != nil {
		select {
		case <-b.hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	at := time.Date(2026, 11, 23, 8, 15, 30, 0, time.UTC)
	return &Stat{
		Running: true, Device: "621202107-01", Version: "v0.1.0", Time: at, File: 4096, Live: 1200, Budget: 48 << 20,
		WrittenToday: 12, Written: 345, WrittenSince: at.Add(-time.Hour), LifeHours: 438000, OK: true,
		Epochs: []Epoch{{testEpoch, map[longan.Lane]*Lane{
			longan.Alarm: {}, longan.State: {Last: 20, Acked: 16, Backlog: 4, Oldest: at.Add(-time.Minute)}, longan.Sample: {},
		}}},
	}, nil
}

func (fakeBook) Read(_ context.Context, epoch string, l longan.Lane, from uint64, events int) (out []spool.Record, err error) {
	if epoch != testEpoch {
		return nil, errors.New("read spool: corrupt")
	}
	for seq := max(from, 17); seq <= 20 && len(out) < events && l == longan.State; seq++ {
		e := longan.Event{Seq: seq, Type: longan.DoorOpened, Point: "front-door", Data: []byte("{\"a\":\"<\u2028&\",\n\"b\":1}")}
		out = append(out, spool.Record{Seq: seq, JSON: e.AppendJSON(nil)})
	}
	return out, nil
}

func (fakeBook) Check(_ context.Context, step func(uint64) error) (*Finding, error) {
	if err := step(128); err != nil {
		return nil, err
	}
	return &Finding{Running: true, Blocks: 130, Events: 300, Bad: []string{"state 7: corrupt"}}, nil
}

// TestProtocol: what stands on the socket. A command and an agent of different
// versions meet when one of them is being replaced.
func TestProtocol(t *testing.T) {
	var got bytes.Buffer
	ours, theirs := net.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- serveConn(t.Context(), theirs, fakeBook{}) }()
	answer := bufio.NewReader(ours)
	for _, ask := range []string{
		string(request{Do: doStat}.line()),
		string(request{Do: doRead, Epoch: testEpoch, Lane: longan.State, From: 18, Events: 2}.line()),
		string(request{Do: doRead, Epoch: testEpoch, Lane: longan.Alarm, From: 1, Events: 400}.line()),
		string(request{Do: doRead, Epoch: "0000", Lane: longan.Alarm, From: 1, Events: 400}.line()),
		string(request{Do: doCheck}.line()),
		"{\"v\":2,\"do\":\"stat\"}\n",
		"{\"v\":1,\"do\":\"delete\"}\n",
		"GET / HTTP/1.1\n",
		strings.Repeat("x", 2*maxRequest) + "\n",
	} {
		fmt.Fprintf(&got, "> %.100s\n", strings.TrimSpace(ask))
		go ours.Write([]byte(ask)) // the end of the last one is never read
		for {
			line, err := answer.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			got.WriteString(line)
			if strings.Contains(line, `"end":true`) {
				break
			}
		}
	}
	if err := <-ended; err != nil {
		t.Errorf("server: %v", err)
	}
	ours.Close()
	const name = "testdata/protocol.txt"
	if *update {
		if err := os.WriteFile(name, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("protocol is\n%s\nwant\n%s", got.String(), want)
	}
}

// TestClient: what the client returns is what the book says, to the byte.
func TestClient(t *testing.T) {
	dir := t.TempDir()
	stop := serve(t, dir, fakeBook{})
	defer stop()
	c, err := Dial(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	book, ctx := fakeBook{}, t.Context()
	st, err := c.Stat(ctx)
	want, _ := book.Stat(ctx)
	if err != nil || !reflect.DeepEqual(st, want) {
		t.Errorf("stat %+v, %v; want %+v", st, err, want)
	}
	records, err := c.Read(ctx, testEpoch, longan.State, 1, 1000)
	wantRecords, _ := book.Read(ctx, testEpoch, longan.State, 1, 1000)
	if err != nil || !reflect.DeepEqual(records, wantRecords) {
		t.Errorf("read %v, %v; want %v", records, err, wantRecords)
	}
	if _, err := c.Read(ctx, "0000", longan.State, 1, 1); err == nil || !strings.Contains(err.Error(), "corrupt") {
		t.Errorf("read that fails: %v", err)
	}
	steps := uint64(0)
	f, err := c.Check(ctx, func(n uint64) error { steps = n; return nil })
	if err != nil || f.Events != 300 || len(f.Bad) != 1 || f.Sound() || steps != 128 {
		t.Errorf("check %+v after %d, %v", f, steps, err)
	}
}

// serve runs a server on the socket in dir until stop is called.
func serve(t *testing.T, dir string, book Book) (stop func()) {
	t.Helper()
	l, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := Serve(ctx, l, book, slog.New(slog.DiscardHandler)); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return func() {
		cancel()
		running.Wait()
	}
}

func TestSocket(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, SocketName)
	dead, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	dead.(*net.UnixListener).SetUnlinkOnClose(false) // as SIGKILL leaves it
	dead.Close()
	if _, err := Dial(t.Context(), dir); err == nil {
		t.Error("dialled a dead socket")
	}
	stop := serve(t, dir, fakeBook{})
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket %v, %v; want mode 0600", info, err)
	}
	c, err := Dial(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	stop() // with a connection open
	if _, err := c.Stat(t.Context()); err == nil {
		t.Error("an answer of a server that has ended")
	}
	c.Close()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket stays: %v", err)
	}
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(dir); err == nil {
		t.Error("a file that is no socket was replaced")
	}
	if _, err := Listen(filepath.Join(dir, "nothing")); err == nil {
		t.Error("listens in a folder that is not there")
	}
}

func TestTooManyConnections(t *testing.T) {
	dir := t.TempDir()
	book := fakeBook{hold: make(chan struct{})}
	stop := serve(t, dir, book)
	defer stop()
	var asking sync.WaitGroup
	for range connsMost {
		c, err := Dial(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		asking.Go(func() {
			if _, err := c.Stat(t.Context()); err != nil {
				t.Errorf("stat: %v", err)
			}
			c.Close()
		})
	}
	c, err := Dial(t.Context(), dir) // accepted after those before it
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(c.conn).ReadString('\n')
	if err != nil || !strings.Contains(line, "busy") {
		t.Errorf("one more is told %q, %v", line, err)
	}
	c.Close()
	close(book.hold)
	asking.Wait()
}

// TestIdle: who asks nothing, or takes no answer, does not hold a connection.
func TestIdle(t *testing.T) {
	for name, ask := range map[string]string{
		"asks nothing":    "",
		"asks by halves":  `{"v":1,`,
		"takes no answer": string(request{Do: doStat}.line()),
	} {
		synctest.Test(t, func(t *testing.T) {
			ours, theirs := net.Pipe()
			ended := make(chan error, 1)
			begin := time.Now()
			go func() { ended <- serveConn(t.Context(), theirs, fakeBook{}) }()
			if _, err := ours.Write([]byte(ask)); err != nil {
				t.Fatal(err)
			}
			if err := <-ended; err == nil || time.Since(begin) > idleMost+writeMost {
				t.Errorf("%s: ended with %v after %v", name, err, time.Since(begin))
			}
			ours.Close()
		})
	}
}

// TestClientOfSomethingElse: an answer that is none is an error in time.
func TestClientOfSomethingElse(t *testing.T) {
	for name, answer := range map[string]string{
		"garbage":     "hello\n",
		"cut off":     `{"end":tr`,
		"no answer":   `{"end":true}` + "\n",
		"endless":     strings.Repeat("x", 2*maxReply),
		"silent":      "-",
		"other event": `{"event":"{}"}` + "\n",
	} {
		synctest.Test(t, func(t *testing.T) {
			ours, theirs := net.Pipe()
			go func() {
				bufio.NewReader(theirs).ReadString('\n')
				if answer != "-" {
					theirs.Write([]byte(answer))
					theirs.Close()
				}
			}()
			begin := time.Now()
			c := newClient(ours)
			st, err := c.Stat(t.Context())
			if err == nil || st != nil || time.Since(begin) > 2*replyMost {
				t.Errorf("%s: %+v, %v after %v", name, st, err, time.Since(begin))
			}
			c.Close()
			theirs.Close()
		})
	}
}

func FuzzParseRequest(f *testing.F) {
	f.Add(request{Do: doStat}.line())
	f.Add(request{Do: doRead, Epoch: testEpoch, Lane: longan.Sample, From: 1, Events: 400}.line())
	f.Add([]byte(`{"v":1,"do":"read","epoch":"a","lane":"state","from":18446744073709551615,"events":-1}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := parseRequest(line)
		if err != nil {
			if len(err.Error()) > 500 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		again, err := parseRequest(bytes.TrimSpace(r.line()))
		if r.Do != doRead {
			r = request{Do: r.Do, From: 1}
		}
		if err != nil || again != r {
			t.Errorf("%+v came back as %+v, %v", r, again, err)
		}
	})
}
