package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Sections of a full center's site file.
const (
	busSite = `
[[peripheral]]
name = "bus-meter"
label = "配电箱温度"
driver = "modbus"
port = "PORT"
address = 2
  [[peripheral.point]]
  name = "bus-warm"
  kind = "input"
  signal = "ir1"
  scale = 0.1
  unit = "°C"
  above = 45
[[peripheral]]
name = "bus-relays"
label = "第二个模块"
driver = "modbus"
port = "PORT"
address = 3
  [[peripheral.point]]
  name = "bus-door"
  kind = "door"
  signal = "di1"
  [[peripheral.output]]
  name = "siren"
  signal = "do1"
`
	readerSite = `
[[peripheral]]
name = "reader"
label = "档案室读卡器"
driver = "osdp"
port = "PORT"
address = 1
installation = true
`
	codesSite = `
[[peripheral]]
name = "codes"
label = "窗口扫码枪"
driver = "scanner"
port = "PORT"
`
	idsSite = `
[[peripheral]]
name = "ids"
label = "身份证阅读模块"
driver = "idreader"
port = "PORT"
count_cards = true
`
	powerSite = `
[[peripheral]]
name = "power"
label = "不间断电源"
driver = "ups"
port = "PORT"
`
	panelSite = `
[[peripheral]]
name = "panel"
label = "报警主机"
driver = "dc09"
listen = "ADDRESS"
silence = "20s"
  [[peripheral.point]]
  name = "panel-itself"
  kind = "input"
  signal = "1234"
  [[peripheral.point]]
  name = "panel-hall"
  label = "大厅红外"
  kind = "intrusion"
  signal = "1234/zone-15"
`
	kioskSite = `
[[peripheral]]
name = "kiosk"
label = "自助终端"
driver = "kioskpc"
listen = "ADDRESS"
token_file = "TOKEN"
silence = "10s"
  [[peripheral.point]]
  name = "kiosk-1"
  label = "一号自助终端"
  signal = "kiosk-1"
`
	cameraSite = `
[[peripheral]]
name = "camera"
label = "大厅摄像机"
driver = "video"
address = "ADDRESS"
poll = "2s"
`
)

// kioskProgram is the program of a kiosk that reports to a board.
type kioskProgram struct {
	address string
	silent  atomic.Bool
	tickets atomic.Uint64
	seq     atomic.Uint64
}

func newKioskProgram(address string) *kioskProgram { return &kioskProgram{address: address} }

// run sends heartbeats until ctx ends.
func (k *kioskProgram) run(ctx context.Context) error {
	for begin := time.Now(); sleepUntil(ctx, time.Now().Add(2*time.Second)); {
		if !k.silent.Load() {
			post(ctx, k.address, "/v1/heartbeat", fmt.Sprintf(`{"id":"kiosk-1","seq":%d,"uptime":%d,"status":"ok"}`,
				k.seq.Add(1), int(time.Since(begin).Seconds())))
		}
	}
	return nil
}

// count sends the day's counters until they are taken.
func (k *kioskProgram) count(ctx context.Context) {
	body := fmt.Sprintf(`{"id":"kiosk-1","seq":%d,"day":%q,"counters":{"tickets":%d}}`, k.seq.Add(1), time.Now().Format(time.DateOnly), k.tickets.Add(3))
	for !post(ctx, k.address, "/v1/counters", body) && sleepUntil(ctx, time.Now().Add(time.Second)) {
	}
}

// ApplianceReport is how an appliance of a full center fared.
type ApplianceReport struct {
	Events     int `json:"events"`     // all that were accepted of it and its points
	Failures   int `json:"failures"`   // of them: it failed, or a point became unknown or faulty
	Recoveries int `json:"recoveries"` // of them: it was back
}

// FullReport is what a full center adds to the books.
type FullReport struct {
	Appliances map[string]*ApplianceReport `json:"appliances"`
	IdleCPU    float64                     `json:"idle_cpu_percent"` // of one core, while nothing happens
	PeakMiB    float64                     `json:"peak_mib"`         // VmHWM of the agent
}

// OK reports whether every appliance told something, failed and came back.
func (r *FullReport) OK() bool {
	for _, a := range r.Appliances {
		if a.Events == 0 || a.Failures == 0 || a.Recoveries == 0 {
			return false
		}
	}
	return len(r.Appliances) > 0
}

// full is the appliances of one center.
type full struct {
	all []*appliance

	mu     sync.Mutex
	report FullReport
}

func newFull(dir string) (*full, error) {
	serial, err := serialAppliances(dir)
	if err != nil {
		return nil, err
	}
	network, err := networkAppliances(dir)
	if err != nil {
		return nil, err
	}
	f := &full{all: append(serial, network...), report: FullReport{Appliances: map[string]*ApplianceReport{}}}
	for _, a := range f.all {
		f.report.Appliances[a.name] = &ApplianceReport{}
	}
	return f, nil
}

// site returns the sections of all.
func (f *full) site() (s string) {
	for _, a := range f.all {
		s += a.site
	}
	return s
}

// serve runs all devices until ctx ends.
func (f *full) serve(ctx context.Context) error {
	var running sync.WaitGroup
	errs := make([]error, len(f.all))
	for i, a := range f.all {
		running.Go(func() {
			if err := a.serve(ctx); err != nil && ctx.Err() == nil {
				errs[i] = fmt.Errorf("%s: %w", a.name, err)
			}
		})
	}
	running.Wait()
	return errors.Join(errs...)
}

// logLine counts an event of an agent's log.
func (f *full) logLine(line []byte) {
	var l struct{ Msg, Type, Point string }
	if json.Unmarshal(line, &l) != nil || l.Msg != "accepted" {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	name, _, _ := strings.Cut(l.Point, "-")
	a := f.report.Appliances[name]
	if a == nil {
		return
	}
	a.Events++
	switch l.Type {
	case "peripheral.fault", "point.unknown":
		a.Failures++
	case "peripheral.restored", "point.known":
		a.Recoveries++
	}
}

// quiet is how long the agent is watched before anything happens.
const (
	settleFor = 5 * time.Second
	quietFor  = 10 * time.Second
)

// live watches the agent while it is quiet, and then lets things happen at all
// appliances, which fail and come back, again and again until ctx ends.
func (f *full) live(ctx context.Context, agent *Process) {
	if !sleepUntil(ctx, time.Now().Add(settleFor)) {
		return
	}
	before := agent.cpu()
	if !sleepUntil(ctx, time.Now().Add(quietFor)) {
		return
	}
	used := agent.cpu() - before
	f.mu.Lock()
	f.report.IdleCPU = float64(used.Milliseconds()) / float64(quietFor.Milliseconds()) * 100
	f.mu.Unlock()
	var acts sync.WaitGroup
	for _, a := range f.all {
		acts.Go(func() {
			defer a.heal()
			for ctx.Err() == nil {
				a.play(ctx)
				sleepUntil(ctx, time.Now().Add(5*time.Second))
				if a.fail() == nil {
					sleepUntil(ctx, time.Now().Add(a.away))
				}
				if a.heal() != nil || !sleepUntil(ctx, time.Now().Add(10*time.Second)) {
					return
				}
			}
		})
	}
	acts.Wait()
}

// close completes the report.
func (f *full) close(peak float64) *FullReport {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.report
	r.PeakMiB = peak
	return &r
}

// cpu returns the processor time of the running program.
func (p *Process) cpu() time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid()))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), ") ") // behind the name
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	const tick = 10 * time.Millisecond // USER_HZ is 100 on all that Go runs on
	return time.Duration(user+system) * tick
}

// peak returns the most memory that the running program had, in MiB.
func (p *Process) peak() float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid()))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	kib, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	n, _ := strconv.ParseFloat(kib, 64)
	return n / 1024
}

func (p *Process) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil || p.cmd.Process == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// declarePorts turns the device paths of ports into terminals of the board, as a
// site file wants them.
func declarePorts(site string) string {
	labels := map[string]string{}
	var uarts strings.Builder
	lines := strings.Split(site, "\n")
	for i, line := range lines {
		path, ok := strings.CutPrefix(line, `port = "/`)
		if !ok {
			continue
		}
		path = "/" + strings.TrimSuffix(path, `"`)
		if labels[path] == "" {
			labels[path] = fmt.Sprintf("UART-%d", len(labels)+1)
			uarts.WriteString(fmt.Sprintf("%s = %q\n", labels[path], path))
		}
		lines[i] = fmt.Sprintf("port = %q", labels[path])
	}
	return strings.Replace(strings.Join(lines, "\n"), "[board.uart]\n", "[board.uart]\n"+uarts.String(), 1)
}
