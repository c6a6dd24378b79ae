package ingest

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// linkWatcher is a View that remembers what it is told of the link.
type linkWatcher struct {
	watcher
	mu  sync.Mutex
	ups []bool
	at  []time.Time
}

func (w *linkWatcher) ApplyBroker(up bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ups, w.at = append(w.ups, up), append(w.at, time.Now())
}

func (w *linkWatcher) last() (up bool, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.ups) == 0 {
		return false, time.Time{}
	}
	return w.ups[len(w.ups)-1], w.at[len(w.at)-1]
}

// TestTheViewKnowsOfTheLink: when it is up, when it fails, and when it is dead
// but looks well; the last before a center is shown as offline.
func TestTheViewKnowsOfTheLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &linkWatcher{watcher: watcher{&history{}}}
		link := &cuttable{}
		x := newBench(t, func(c *Config) {
			dial := c.Dial
			c.View, c.Dial = w, link.dialer(dial)
		})
		<-x.Ready()
		if up, _ := w.last(); !up {
			t.Error("ready, but the view was not told that the link is up")
		}
		link.close()
		time.Sleep(time.Minute)
		synctest.Wait()
		if want := []bool{true, false, true}; !slices.Equal(w.ups, want) {
			t.Errorf("a connection was closed: told %v, want %v", w.ups, want)
		}
		link.set(true)
		cut := time.Now()
		time.Sleep(15 * time.Second)
		synctest.Wait()
		if up, at := w.last(); up || at.Sub(cut) > 15*time.Second {
			t.Errorf("a connection was dead for 15 s: told %v %v after", up, at.Sub(cut))
		}
		link.set(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		if up, _ := w.last(); !up {
			t.Error("the link is well again, but the view was not told")
		}
	})
}

// cuttable is a link whose connections can be closed, or become half-open:
// what comes in is lost then, and so is what goes out.
type cuttable struct {
	mu   sync.Mutex
	deaf bool
	conn net.Conn // the latest
}

type dialFunc = func(context.Context) (net.Conn, error)

func (l *cuttable) dialer(dial dialFunc) dialFunc {
	return func(ctx context.Context) (net.Conn, error) {
		if l.isDeaf() {
			return nil, errors.New("no route to host")
		}
		conn, err := dial(ctx)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.conn = conn
		return &deafConn{conn, l}, err
	}
}

func (l *cuttable) isDeaf() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.deaf
}

func (l *cuttable) set(deaf bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deaf = deaf
}

func (l *cuttable) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn.Close()
}

type deafConn struct {
	net.Conn
	link *cuttable
}

func (c *deafConn) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if err != nil || !c.link.isDeaf() {
			return n, err
		}
	}
}

func (c *deafConn) Write(p []byte) (int, error) {
	if c.link.isDeaf() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}
