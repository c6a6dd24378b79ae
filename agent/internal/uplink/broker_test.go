package uplink

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/url"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/longan-edge/longan"
)

// serve is a broker's side of a connection, which ends when it returns; gone is
// closed when the board's side has ended.
type serve func(conn net.Conn, gone <-chan struct{})

// badBroker accepts connections and counts those that are open.
type badBroker struct {
	serve serve

	mu          sync.Mutex
	dials, open int
	most        int // open ones at any time
	goroutines  []int
}

func (b *badBroker) dial(context.Context, *url.URL) (net.Conn, error) {
	pipe, far := net.Pipe()
	near := &watched{Conn: pipe, gone: make(chan struct{})}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.goroutines = append(b.goroutines, runtime.NumGoroutine())
	b.dials++
	b.open++
	b.most = max(b.most, b.open)
	go func() {
		defer far.Close()
		b.serve(far, near.gone)
		b.mu.Lock()
		defer b.mu.Unlock()
		b.open--
	}()
	return near, nil
}

func (b *badBroker) get() (dials, open, most int, goroutines []int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dials, b.open, b.most, b.goroutines
}

// connack answers CONNECT with a code.
func connack(conn net.Conn, code byte) {
	if _, err := packets.ReadPacket(conn); err != nil {
		return
	}
	answer := packets.NewControlPacket(packets.Connack).(*packets.ConnackPacket)
	answer.ReturnCode = code
	answer.Write(conn)
}

var badBrokers = map[string]serve{
	"says nothing":     func(conn net.Conn, _ <-chan struct{}) { io.Copy(io.Discard, conn) },
	"reads nothing":    func(_ net.Conn, gone <-chan struct{}) { <-gone },
	"hangs up":         func(net.Conn, <-chan struct{}) {},
	"refuses":          func(conn net.Conn, _ <-chan struct{}) { connack(conn, packets.ErrRefusedBadUsernameOrPassword) },
	"drops after ack":  func(conn net.Conn, _ <-chan struct{}) { connack(conn, packets.Accepted) },
	"silent after ack": func(conn net.Conn, _ <-chan struct{}) { connack(conn, packets.Accepted); io.Copy(io.Discard, conn) },
	"no broker": func(conn net.Conn, gone <-chan struct{}) {
		conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
		<-gone
	},
	"garbage after ack": func(conn net.Conn, gone <-chan struct{}) {
		connack(conn, packets.Accepted)
		conn.Write([]byte{0xff, 0xff, 0xff, 0xff, 0xff})
		<-gone
	},
}

// watched tells when the board has closed its end, which a broker that does not
// read never sees.
type watched struct {
	net.Conn
	once sync.Once
	gone chan struct{}
}

// Close implements net.Conn.
func (c *watched) Close() error {
	c.once.Do(func() { close(c.gone) })
	return c.Conn.Close()
}

// TestABadBrokerCostsNothing tries for hours, and then stops in the middle: no
// connection and no goroutine may stay behind.
func TestABadBrokerCostsNothing(t *testing.T) {
	for name, serve := range badBrokers {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				before := runtime.NumGoroutine()
				b, q := &badBroker{serve: serve}, newMemQueue()
				q.add(longan.State, 5)
				u, err := New(Config{
					Device: testDevice, Brokers: []string{"mqtt://city"}, Dial: b.dial, Queue: q,
					Status: func() *longan.Status { return &longan.Status{Device: testDevice} },
					Log:    slog.New(slog.DiscardHandler),
				})
				if err != nil {
					t.Fatal(err)
				}
				ctx, stop := context.WithCancel(t.Context())
				ended := make(chan error)
				go func() { ended <- u.Run(ctx) }()
				time.Sleep(3 * time.Hour)
				// In the middle of a connection, where one lasts at all.
				for range 120 {
					if _, open, _, _ := b.get(); open > 0 {
						break
					}
					time.Sleep(time.Second)
				}
				stopped := time.Now()
				stop()
				<-ended
				synctest.Wait()
				dials, open, most, goroutines := b.get()
				// paho does not give up handing a packet to a writer that hangs.
				if took := time.Since(stopped); took > sendTimeout+5*time.Second {
					t.Errorf("Run returned after %v", took)
				}
				if open != 0 || most != 1 {
					t.Errorf("%d connections are open after the end, %d at a time before; want 0, 1", open, most)
				}
				if dials < 100 {
					t.Errorf("%d tries in three hours", dials)
				}
				if first, last := goroutines[1], goroutines[len(goroutines)-1]; last > first+5 {
					t.Errorf("%d goroutines at the second try, %d at the last", first, last)
				}
				for range 100 { // what ends by itself has its time; the count is of the whole process
					if runtime.NumGoroutine() <= before {
						break
					}
					time.Sleep(time.Second)
				}
				// The runtime's own come and go; the bubble waits for all of ours.
				if after := runtime.NumGoroutine(); after > before+5 {
					t.Errorf("%d goroutines before, %d after the end", before, after)
				}
			})
		})
	}
}
