package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// drainTimeout bounds a drain: slower is a failure, not a figure.
const drainTimeout = 5 * time.Minute

// drain measures how fast an outage's events reach the city's store once the link
// is up, what that takes on the wire, and of the processors.
func (p *Path) drain(ctx context.Context) ([]PathFigure, error) {
	samples, err := p.rounds(ctx, func(ctx context.Context, way, dir string) (values, error) {
		if way == peerBridge {
			return p.drainBridge(ctx, dir)
		}
		return p.drainBoard(ctx, way, dir)
	})
	if err != nil {
		return nil, err
	}
	method := fmt.Sprintf("%d events of %d B (%s); TCP connect to the last commit, the bridge: to the last message at a subscriber", p.Events, p.size, p.Mix)
	var figures []PathFigure
	for _, via := range []string{viaMosquitto, viaEmbedded} {
		rate := pathFigure("drain", "events/s", via, method, samples, "per_s")
		rate.Goal, rate.Least, rate.OfRatio = goalDrain, true, true
		wire := pathFigure("drain_wire", "IP B/event", via, "both ways, everything from connect on; 52 B a segment of 1400", samples, "wire")
		wire.Goal = goalWire
		cpu := pathFigure("drain_cpu", "s/100,000", via, "processor time of the agent, from connect to the last ack", samples, "cpu_s")
		cpu.Goal = goalCPU
		figures = append(figures, rate.judge(), wire.with(samples, "up", "down", "batches").judge(), cpu.with(samples, "city_cpu_s", "broker_cpu_s").judge())
	}
	return figures, nil
}

// drainBoard lets a board drain that was started on a full spool without a link.
func (p *Path) drainBoard(ctx context.Context, way, dir string) (values, error) {
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		return nil, err
	}
	if out, err := exec.CommandContext(ctx, p.Self, childArgs(p.Mix, ours, "fill", data, p.Events, 1)...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("fill: %w: %s", err, out)
	}
	r, err := p.startRig(ctx, way, dir, true)
	if err != nil {
		return nil, err
	}
	defer r.stop()
	b, err := p.startBoard(ctx, dir, r.link.address())
	if err != nil {
		return nil, err
	}
	defer b.stop()
	if err := r.link.tried(ctx); err != nil {
		return nil, fmt.Errorf("%w: %s", err, b.cmd.Stderr)
	}
	processes := map[string]*exec.Cmd{"cpu_s": b.cmd, "city_cpu_s": r.cmd}
	if r.broker != nil {
		processes["broker_cpu_s"] = r.broker
	}
	all := make(chan time.Time, 1)
	r.watch(func(_ string, n, total int, at time.Time) {
		if total >= p.Events && total-n < p.Events {
			all <- at
		}
	})
	v, err := p.timeDrain(ctx, r.link, processes, all)
	if err != nil {
		return nil, fmt.Errorf("%d of %d stored: %w: %s", r.count(), p.Events, err, b.cmd.Stderr)
	}
	b.stop() // a second time does no harm
	r.stop()
	return v, r.audit(ctx, p.Events)
}

// tried waits until a client has tried to connect in vain.
func (m *meter) tried(ctx context.Context) error {
	return until(ctx, time.Minute, func() error {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.refused == 0 {
			return errors.New("nobody tries to connect")
		}
		return nil
	})
}

// timeDrain mends a link and measures until all receives the time at which
// everything had arrived.
func (p *Path) timeDrain(ctx context.Context, link *meter, processes map[string]*exec.Cmd, all <-chan time.Time) (values, error) {
	var once sync.Once
	var begin time.Time
	var failed error
	spent := values{}
	take := func(sign float64) {
		for name, cmd := range processes {
			s, err := cpu(cmd)
			failed = errors.Join(failed, err)
			spent[name] += sign * s
		}
	}
	link.mu.Lock()
	link.onOpen = func() { once.Do(func() { begin = time.Now(); take(-1) }) }
	link.mu.Unlock()
	before := link.read()
	link.cut(false)
	timeout := time.NewTimer(drainTimeout)
	defer timeout.Stop()
	var end time.Time
	select {
	case end = <-all:
	case <-timeout.C:
		return nil, fmt.Errorf("in %s not drained", drainTimeout)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err := link.settled(ctx); err != nil { // the last acks count
		return nil, err
	}
	link.mu.Lock()
	link.onOpen = nil // begin and spent are ours from here on
	link.mu.Unlock()
	take(1)
	if failed != nil {
		return nil, failed
	}
	carried := link.read().since(before)
	n := float64(p.Events)
	v := values{
		"per_s": n / end.Sub(begin).Seconds(), "wire": carried.wire() / n,
		"batches": float64(carried.packets(kindAlarm) + carried.packets(kindState)),
		"up":      carried.wire(kindAlarm, kindState, kindOther) / n,
		"down":    carried.wire(kindAck, kindAlarm+pubackOf, kindState+pubackOf, kindOther+pubackOf) / n,
	}
	for name, s := range spent {
		v[name] = s * 100_000 / n
	}
	return v, nil
}

// drainBridge lets the peer drain what was published while its bridge was cut.
func (p *Path) drainBridge(ctx context.Context, dir string) (values, error) {
	remote, address, err := p.broker(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer stop(remote)
	link, err := newMeter(address, true)
	if err != nil {
		return nil, err
	}
	defer link.close()
	local, near, err := p.bridge(ctx, dir, link.address())
	if err != nil {
		return nil, err
	}
	defer stop(local)
	sub, err := dialMQTT(ctx, address, "subscriber", 1)
	if err != nil {
		return nil, err
	}
	defer sub.close()
	if err := sub.subscribe(); err != nil {
		return nil, err
	}
	if err := p.publishAll(ctx, near); err != nil {
		return nil, err
	}
	if err := link.tried(ctx); err != nil {
		return nil, err
	}
	all, ended := make(chan time.Time, 1), make(chan error, 1)
	go func() { ended <- receiveAll(sub, p.Events, all) }()
	v, err := p.timeDrain(ctx, link, map[string]*exec.Cmd{"cpu_s": local, "broker_cpu_s": remote}, all)
	sub.close()
	return v, errors.Join(err, <-ended)
}

// publishAll hands the outage's events to the peer, many at once.
func (p *Path) publishAll(ctx context.Context, address string) error {
	pub, err := dialMQTT(ctx, address, "publisher", window)
	if err != nil {
		return err
	}
	defer pub.close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	confirmed := make(chan error, 1)
	go func() {
		confirmed <- pub.confirmed(p.Events)
		cancel() // whoever still waits for room waits in vain
	}()
	payload := make([]byte, p.size)
	for i := range p.Events {
		binary.BigEndian.PutUint32(payload, uint32(i))
		if err := pub.publish(ctx, payload); err != nil {
			return errors.Join(err, pub.close(), <-confirmed)
		}
	}
	return <-confirmed
}

// receiveAll counts the events that have come, each once, and sends the time at
// which all n had.
func receiveAll(sub *mqttConn, n int, all chan<- time.Time) error {
	seen, have := make([]bool, n), 0
	return sub.receive(func(payload []byte) bool {
		if i := int(binary.BigEndian.Uint32(payload)); i < n && !seen[i] {
			seen[i] = true
			have++
		}
		if have == n {
			all <- time.Now()
		}
		return have < n
	})
}
