package brokers

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"periph.io/x/conn/v3/gpio"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/agent"
	"github.com/longan-edge/longan/cloud"
	"github.com/longan-edge/longan/drivers/porttest"
	firmwareconfig "github.com/longan-edge/longan/firmware-config"
)

// system is a broker, a city behind it and boards before it, all real but for
// the boards' ports.
type system struct {
	t          *testing.T
	dir        string
	broker     *Broker
	bridge     *Process // nil where the broker is the city's own
	bridgePath string
	store      string
	reader     *cloud.Store // of the store, once it is needed
	boards     []*board
	watchers   int
}

func newSystem(t *testing.T, kind Kind, path, bridge string) *system {
	t.Helper()
	dir, err := os.MkdirTemp("", "longan") // t.TempDir can be too deep for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &system{t: t, dir: dir, bridgePath: bridge}
	if s.broker, err = New(kind, Options{Dir: dir, Program: path}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.broker.Kill)
	s.startBroker()
	if kind == Embedded {
		s.store = filepath.Join(s.broker.Dir, cloud.StoreName)
		return s
	}
	data := filepath.Join(dir, "city")
	s.store = filepath.Join(data, cloud.StoreName)
	s.bridge = s.newBridge("bridge", data)
	s.startBridge(s.bridge)
	return s
}

func (s *system) startBroker() {
	s.t.Helper()
	if err := s.broker.Start(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// newBridge returns a city that uses the broker and keeps its store in data.
func (s *system) newBridge(name, data string) *Process {
	p := NewProcess(name, s.bridgePath, "run", "-broker", "tcp://"+s.broker.Addr, "-http", "", "-data", data, "-log-level", "info")
	s.t.Cleanup(p.Kill)
	return p
}

func (s *system) startBridge(p *Process) {
	s.t.Helper()
	err := p.Start(s.t.Context(), func(context.Context) error {
		if !strings.Contains(p.LastWords(), "link to the broker is up") {
			return fmt.Errorf("no link yet")
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// stored returns how many events the city has.
func (s *system) stored() uint64 {
	s.t.Helper()
	if s.reader == nil {
		var err error
		if s.reader, err = cloud.OpenStore(s.t.Context(), s.store); err != nil {
			s.t.Fatal(err)
		}
		s.t.Cleanup(func() { s.reader.Close() })
	}
	counts, err := s.reader.Counts(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return counts.Events
}

// waitStored waits until the city has n events.
func (s *system) waitStored(n uint64) {
	s.t.Helper()
	s.poll(fmt.Sprintf("%d events are stored", n), func() bool { return s.stored() >= n })
}

func (s *system) poll(what string, done func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !done(); <-time.After(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("in two minutes not yet: %s; the broker's last words: %s", what, s.broker.LastWords())
		}
	}
}

// settle waits until the boards have nothing left to send, ends them, and holds
// the city's store against their spools. Where inOrder, every stream must also
// have come in the order of its numbers. That can't be asked where a bridge missed
// a batch: it stores the next one all the same, and an alarm does not wait for what
// a broker lost.
func (s *system) settle(inOrder bool) {
	s.t.Helper()
	for _, b := range s.boards {
		b.still()
	}
	for _, b := range s.boards {
		for !s.empty(b) {
			b.start() // an input was still being read
		}
	}
	streams, err := cloud.Audit(s.t.Context(), s.store)
	if err != nil {
		s.t.Fatal(err)
	}
	total := uint64(0)
	for _, b := range s.boards {
		for l, last := range b.lasts {
			total += last
			s.checkStream(streams, b, longan.Lane(l), inOrder)
		}
	}
	if n := s.stored(); n != total {
		s.t.Errorf("%d events stored, boards accepted %d", n, total)
	}
	s.t.Logf("%d events", total)
}

// empty waits until a board has nothing left to send, ends it, and reports whether
// that is so of the spool that it leaves.
func (s *system) empty(b *board) bool {
	s.t.Helper()
	s.poll(fmt.Sprintf("%s has freed everything", b.device), func() bool {
		_, waiting, err := b.stat(s.t.Context()) // fails before it listens
		return err == nil && waiting == 0
	})
	b.stop()
	spool, err := agent.OpenSpool(b.dir, agent.SpoolOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	b.epoch = spool.Epoch()
	empty := true
	for l := range b.lasts {
		stats := spool.Lane(longan.Lane(l))
		b.lasts[l] = stats.Last
		empty = empty && stats.Acked == stats.Last
	}
	if err := spool.Close(); err != nil {
		s.t.Error(err)
	}
	return empty
}

// checkStream fails the test unless the city has exactly the numbers of a lane
// that the board accepted, and no holes.
func (s *system) checkStream(streams []cloud.StreamAudit, b *board, l longan.Lane, inOrder bool) {
	s.t.Helper()
	last := b.lasts[l]
	i := slices.IndexFunc(streams, func(a cloud.StreamAudit) bool { return a.Device == b.device && a.Lane == l })
	if i < 0 && last == 0 {
		return
	}
	if i < 0 {
		s.t.Errorf("%s %s: store has nothing, board accepted 1 to %d", b.device, l, last)
		return
	}
	a := streams[i]
	if a.Epoch != b.epoch || a.Count != last || a.Max != last || a.Acked != last || a.Lost != 0 || !a.Contiguous {
		s.t.Errorf("%s %s: store has %+v, board accepted 1 to %d in epoch %s", b.device, l, a, last, b.epoch)
	}
	if inOrder && !a.InOrder {
		s.t.Errorf("%s %s: not stored in order: %+v", b.device, l, a)
	}
}

// board is an agent in this process, whose inputs are moved all the time.
type board struct {
	t      *testing.T
	broker *Broker
	device longan.DeviceID
	dir    string
	ports  *porttest.Ports
	lines  []*porttest.Line
	down   atomic.Bool // the link
	dials  atomic.Int32

	epoch string // of the spool, and the last number in each lane: known at the end
	lasts [len(longan.Lanes)]uint64

	mu   sync.Mutex
	conn net.Conn

	cancel  context.CancelFunc
	running sync.WaitGroup
	moving  context.CancelFunc
	moves   sync.WaitGroup
}

// addBoards starts n boards, each with a backlog of events in every lane.
func (s *system) addBoards(n, backlog int) {
	s.t.Helper()
	for i := range n {
		b := &board{t: s.t, broker: s.broker, ports: &porttest.Ports{},
			device: longan.DeviceID(longan.Townships()[20+50*i].Code + "-01")}
		b.dir = filepath.Join(s.dir, string(b.device))
		for _, line := range []string{"chip:1", "chip:2"} {
			b.lines = append(b.lines, b.ports.AddLine(line))
		}
		b.fill(backlog)
		b.start()
		b.move()
		s.boards = append(s.boards, b)
		s.t.Cleanup(func() { b.still(); b.stop() })
	}
}

// fill accepts n events in every lane.
func (b *board) fill(n int) {
	b.t.Helper()
	spool, err := agent.OpenSpool(b.dir, agent.SpoolOptions{})
	if err != nil {
		b.t.Fatal(err)
	}
	defer spool.Close()
	types := map[longan.Lane]string{longan.Alarm: longan.AlarmRaised, longan.State: longan.DoorOpened, longan.Sample: "point.sampled"}
	for _, l := range longan.Lanes {
		entries := make([]agent.SpoolEntry, n)
		for i := range entries {
			entries[i].Event = &longan.Event{Device: b.device, Lane: l, Type: types[l], Point: fmt.Sprintf("p%d", i%7),
				Time: time.Now().UTC(), Clock: longan.ClockNTP, Boot: "earlier", Mono: time.Duration(i) * time.Second,
				Data: fmt.Appendf(nil, `{"note":"%0200x"}`, i*i*7919)}
		}
		if err := spool.Append(b.t.Context(), entries...); err != nil {
			b.t.Fatal(err)
		}
	}
}

func (b *board) start() {
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel = cancel
	site := &firmwareconfig.Site{
		Device: b.device, Name: "综治中心",
		Uplink: firmwareconfig.Uplink{Brokers: []string{"mqtt://broker"}, Username: string(b.device), Heartbeat: time.Second},
		Peripherals: []firmwareconfig.Peripheral{{
			Name: "board-inputs", Driver: "contact", Poll: 50 * time.Millisecond,
			Points: []firmwareconfig.Point{
				{Name: "front-door", Kind: firmwareconfig.KindDoor, Signal: "chip:1", Pull: "up", Debounce: time.Millisecond},
				{Name: "panic-button", Kind: firmwareconfig.KindPanic, Signal: "chip:2", Pull: "up", Debounce: time.Millisecond},
			},
		}},
	}
	b.running.Go(func() {
		err := agent.Run(ctx, agent.Config{
			Site: site, Dir: b.dir, Ports: b.ports, Version: "test", Log: slog.New(slog.DiscardHandler), Dial: b.dial,
			Local: func() (net.Listener, error) { return agent.ListenLocal(b.dir) },
		})
		if err != nil {
			b.t.Errorf("agent: %v", err)
		}
	})
}

func (b *board) stop() {
	b.cancel()
	b.running.Wait()
}

func (b *board) dial(ctx context.Context, _ *url.URL) (net.Conn, error) {
	b.dials.Add(1)
	if b.down.Load() {
		return nil, net.ErrClosed
	}
	conn, err := b.broker.Dial(ctx)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.conn = conn
	return conn, err
}

// cut ends the board's connection as a dead link does, and lets none be made.
func (b *board) cut() {
	b.down.Store(true)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conn != nil {
		b.conn.Close()
	}
}

// move opens and closes the door, and presses the button, until still.
func (b *board) move() {
	ctx, cancel := context.WithCancel(context.Background())
	b.moving = cancel
	b.moves.Go(func() {
		tick := time.NewTicker(15 * time.Millisecond)
		defer tick.Stop()
		for level := gpio.Low; ; level = !level {
			select {
			case <-tick.C:
				for _, l := range b.lines {
					l.Set(level)
				}
			case <-ctx.Done():
				return
			}
		}
	})
}

func (b *board) still() {
	b.moving()
	b.moves.Wait()
}

// stat asks the agent how many events it has accepted, and how many of them the
// city has not acknowledged.
func (b *board) stat(ctx context.Context) (accepted, backlog uint64, err error) {
	var out, said bytes.Buffer
	if code := agent.SpoolCommand(ctx, []string{"stat", "-data", b.dir, "-json"}, &out, &said, os.Getenv); code != 0 {
		return 0, 0, fmt.Errorf("spool stat: %s", said.String())
	}
	var stat struct {
		Running bool
		Epochs  []struct {
			Lanes map[string]struct{ Last, Backlog uint64 }
		}
	}
	if err := json.Unmarshal(out.Bytes(), &stat); err != nil {
		return 0, 0, err
	}
	if !stat.Running {
		return 0, 0, fmt.Errorf("no agent answers")
	}
	for _, e := range stat.Epochs {
		for _, l := range e.Lanes {
			accepted += l.Last
			backlog += l.Backlog
		}
	}
	return accepted, backlog, nil
}
