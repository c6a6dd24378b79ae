package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"periph.io/x/conn/v3/gpio"

	"github.com/longan-edge/longan/agent"
	"github.com/longan-edge/longan/cloud"
	"github.com/longan-edge/longan/drivers/porttest"
	firmwareconfig "github.com/longan-edge/longan/firmware-config"
	"github.com/longan-edge/longan/sim/link"
)

const (
	exportDevice = "621202107-01"
	exportMoves  = 8
)

// TestExportReachesTheCityOnce: events that were carried to the city and events
// that the network brought are one history, in whatever order they come.
func TestExportReachesTheCityOnce(t *testing.T) {
	type step func(*carried)
	export := func(c *carried) { c.export() }
	take := func(c *carried) { c.take(true) }
	again := func(c *carried) { c.take(false) }
	network := func(c *carried) { c.drain() }
	stop := func(c *carried) { c.stopAgent() }
	start := func(c *carried) { c.startAgent() }
	move := func(c *carried) { c.move(exportMoves) }
	for _, test := range []struct {
		name  string
		steps []step
	}{
		{"import then network", []step{move, export, take, network, again}},
		{"import twice", []step{move, export, take, again, again, network}},
		{"network then import", []step{move, export, network, again}},
		{"stopped", []step{move, stop, export, take, start, network, again}},
		{"two exports", []step{move, export, move, take, export, take, move, network, again}},
		{"never a network", []step{move, export, take, stop}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCarried(t)
			for _, s := range test.steps {
				s(c)
			}
			c.stopAgent()
			c.audit()
		})
	}
}

// carried is a city and a board between which somebody carries a file.
type carried struct {
	t          *testing.T
	data, city string
	ports      *porttest.Ports
	door       *porttest.Line
	broker     string
	link       atomic.Bool
	agent      context.CancelFunc
	running    sync.WaitGroup
	open       bool
}

func newCarried(t *testing.T) *carried {
	dir := t.TempDir()
	c := &carried{t: t, data: filepath.Join(dir, "data"), city: filepath.Join(dir, cloud.StoreName), ports: &porttest.Ports{}}
	c.door = c.ports.AddLine("chip:1")
	c.door.Set(gpio.Low) // normally closed, at rest
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.broker = l.Addr().String()
	city, err := cloud.New(cloud.Config{StorePath: c.city, MQTT: l, InsecureDemo: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := city.Run(ctx); err != nil {
			t.Errorf("city: %v", err)
		}
	})
	t.Cleanup(func() {
		c.stopAgent()
		cancel()
		running.Wait()
	})
	select {
	case <-city.Ready():
	case <-time.After(30 * time.Second):
		t.Fatal("the city does not start")
	}
	c.startAgent()
	return c
}

func (c *carried) startAgent() {
	ctx, cancel := context.WithCancel(context.Background())
	c.agent = cancel
	site := &firmwareconfig.Site{
		Device: exportDevice, Name: "马街镇综治中心",
		Uplink: firmwareconfig.Uplink{Brokers: []string{"mqtt://city"}, Username: exportDevice, Heartbeat: time.Second},
		Peripherals: []firmwareconfig.Peripheral{{
			Name: "board-inputs", Driver: "contact", Poll: 50 * time.Millisecond,
			Points: []firmwareconfig.Point{{
				Name: "front-door", Kind: firmwareconfig.KindDoor, Signal: "chip:1", NormallyClosed: true, Pull: "up", Debounce: time.Millisecond,
			}},
		}},
	}
	clk := agent.SystemClock()
	clk.Synced = func() bool { return true } // or the city's first ack would make an event
	c.running.Go(func() {
		err := agent.Run(ctx, agent.Config{
			Site: site, Dir: c.data, Ports: c.ports, Version: "test", Clock: clk, Log: slog.New(slog.DiscardHandler),
			Local: func() (net.Listener, error) { return agent.ListenLocal(c.data) },
			Dial: func(ctx context.Context, _ *url.URL) (net.Conn, error) {
				if !c.link.Load() {
					return nil, link.ErrDown
				}
				return (&net.Dialer{}).DialContext(ctx, "tcp", c.broker)
			},
		})
		if err != nil {
			c.t.Errorf("agent: %v", err)
		}
	})
	c.until("the agent answers", func() bool { s := c.stat(); return s != nil && s.Running })
}

// stopAgent may be called again.
func (c *carried) stopAgent() {
	c.agent()
	c.running.Wait()
}

// spool runs longan-agent spool.
func (c *carried) spool(args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	english := func(string) string { return "en" }
	status = agent.SpoolCommand(context.Background(), args, &out, &errs, english)
	return status, out.String(), errs.String()
}

type spoolStat struct {
	Running bool
	Device  string
	Epochs  []struct {
		Lanes map[string]struct{ Last, Acked, Backlog uint64 }
	}
}

// stat returns what longan-agent spool stat -json says, or nil.
func (c *carried) stat() *spoolStat {
	status, out, _ := c.spool("stat", "-data", c.data, "-json")
	if status != 0 {
		return nil
	}
	st := new(spoolStat)
	if err := json.Unmarshal([]byte(out), st); err != nil {
		c.t.Fatalf("stat: %v in %q", err, out)
	}
	return st
}

// sum adds up what f says of each lane.
func (st *spoolStat) sum(f func(last, acked uint64) uint64) (n uint64) {
	for _, e := range st.Epochs {
		for _, l := range e.Lanes {
			n += f(l.Last, l.Acked)
		}
	}
	return n
}

func (st *spoolStat) last() uint64 { return st.sum(func(last, _ uint64) uint64 { return last }) }
func (st *spoolStat) backlog() uint64 {
	return st.sum(func(last, acked uint64) uint64 { return last - acked })
}

// until polls until done or for 30 s.
func (c *carried) until(what string, done func() bool) {
	c.t.Helper()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	late := time.After(30 * time.Second)
	for !done() {
		select {
		case <-poll.C:
		case <-late:
			c.t.Fatalf("waited in vain: %s", what)
		}
	}
}

// move opens and closes the door n times.
func (c *carried) move(n int) {
	c.t.Helper()
	for range n {
		before := c.stat().last()
		c.open = !c.open
		c.door.Set(gpio.Level(c.open))
		c.until("the door is an event", func() bool { return c.stat().last() > before })
	}
}

// export writes the export, over an older one.
func (c *carried) export() {
	c.t.Helper()
	status, out, errs := c.spool("export", "-data", c.data, "-device", exportDevice, "-force", c.file())
	if status != 0 || !strings.Contains(out, exportDevice) {
		c.t.Fatalf("export: status %d, %s%s", status, out, errs)
	}
}

func (c *carried) file() string { return filepath.Join(filepath.Dir(c.data), "carried.export") }

// take imports the export while the city runs, and expects something new or
// nothing new.
func (c *carried) take(news bool) {
	c.t.Helper()
	st, err := cloud.OpenForImport(c.t.Context(), c.city)
	if err != nil {
		c.t.Fatal(err)
	}
	defer st.Close()
	f, err := os.Open(c.file())
	if err != nil {
		c.t.Fatal(err)
	}
	defer f.Close()
	im, err := cloud.ImportExport(c.t.Context(), st, f, time.Now)
	if err != nil || im.Damaged > 0 || len(im.Devices) != 1 {
		c.t.Fatalf("import: %+v, %v", im, err)
	}
	if d := im.Devices[0]; d.Device != exportDevice || d.Conflicts > 0 || (d.New > 0) != news || (!news && d.Duplicates == 0) {
		c.t.Errorf("import brought %+v, want something new: %v", d, news)
	}
}

// drain lets the network bring everything.
func (c *carried) drain() {
	c.t.Helper()
	c.link.Store(true)
	c.until("the backlog drains", func() bool { return c.stat().backlog() == 0 })
	c.link.Store(false)
}

// audit holds the city's store against the board's numbers.
func (c *carried) audit() {
	c.t.Helper()
	st := c.stat()
	if st == nil || st.Running {
		c.t.Fatalf("stat of a stopped agent: %+v", st)
	}
	streams, err := cloud.Audit(c.t.Context(), c.city)
	if err != nil {
		c.t.Fatal(err)
	}
	stored := uint64(0)
	for _, s := range streams {
		stored += s.Count
		if !s.Contiguous || s.Lost > 0 || s.Acked != s.Max {
			c.t.Errorf("stream %+v: want every event once and no hole", s)
		}
	}
	if want := st.last(); stored != want {
		c.t.Errorf("the city has %d events, the board accepted %d", stored, want)
	}
	if _, err := os.Stat(filepath.Join(c.data, "spool.sock")); !errors.Is(err, os.ErrNotExist) {
		c.t.Errorf("the socket of a stopped agent: %v", err)
	}
}
