package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"time"

	"github.com/longan-edge/longan"
)

const (
	alarmGap     = 100 * time.Millisecond  // at least, between one alarm and the next
	loneGap      = 1500 * time.Millisecond // the same where packets are counted: a status follows within a second
	alarmTimeout = 20 * time.Second        // for one alarm to arrive
)

// alarm measures how long a lone alarm takes with nothing else to do: from the
// moment its module's answer is on the wire to the board until the city has
// committed it. At the peer: from publish to a subscriber.
func (p *Path) alarm(ctx context.Context) ([]PathFigure, error) {
	samples, err := p.rounds(ctx, func(ctx context.Context, way, dir string) (values, error) {
		v, _, err := p.alarms(ctx, way, dir, p.Alarms, alarmGap)
		return v, err
	})
	if err != nil {
		return nil, err
	}
	method := fmt.Sprintf("%d alarms, one after the other; module's answer to city's commit, fsync at both ends; the bridge: publish to subscriber, no fsync", p.Alarms)
	var figures []PathFigure
	for _, via := range []string{viaMosquitto, viaEmbedded} {
		p50 := pathFigure("alarm_p50", "ms", via, method, samples, "p50_ms")
		p50.Goal = goalAlarmP50
		p99 := pathFigure("alarm_p99", "ms", via, method, samples, "p99_ms")
		p99.Goal = goalAlarmP99
		figures = append(figures, p50.with(samples, "sent_p50_ms", "fdatasync_p50_ms").judge(), p99.with(samples, "sent_p99_ms", "fdatasync_p99_ms", "max_ms").judge())
	}
	return figures, nil
}

// loneAlarm counts what a lone alarm costs on the wire until it is acknowledged,
// and what the status costs that says the same.
func (p *Path) loneAlarm(ctx context.Context) ([]PathFigure, error) {
	n := min(p.Alarms, 10)
	samples := map[string][]values{}
	for _, way := range []string{viaMosquitto, peerBridge, viaEmbedded} {
		v, err := p.once(ctx, way, func(ctx context.Context, way, dir string) (values, error) {
			_, carried, err := p.alarms(ctx, way, dir, n, p.loneGap)
			if err != nil {
				return nil, err
			}
			if way == peerBridge {
				return values{"wire": carried.wire(kindOther, kindOther+pubackOf) / float64(n)}, nil
			}
			return values{
				"wire":          carried.wire(kindAlarm, kindAlarm+pubackOf, kindAck) / float64(n),
				"event_wire":    carried.wire(kindAlarm) / float64(n),
				"ack_wire":      carried.wire(kindAck) / float64(n),
				"status_wire":   carried.wire(kindStatus, kindStatus+pubackOf) / float64(n),
				"statuses":      float64(carried.packets(kindStatus)) / float64(n),
				"all_wire":      carried.wire() / float64(n),
				"pure_segments": float64(carried.pure) / float64(n),
			}, nil
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", way, err)
		}
		samples[way] = append(samples[way], v)
	}
	method := fmt.Sprintf("%d lone alarms: event, PUBACK and the city's ack; the bridge: message and PUBACK; 52 B a segment", n)
	var figures []PathFigure
	for _, via := range []string{viaMosquitto, viaEmbedded} {
		f := pathFigure("alarm_wire", "IP B/alarm", via, method, samples, "wire")
		f.Goal = goalAlarmWire
		figures = append(figures, f.with(samples, "event_wire", "ack_wire", "status_wire", "statuses", "all_wire", "pure_segments").judge())
	}
	return figures, nil
}

// alarms measures n alarms, some gap or a little more apart, and returns what
// passed the link meanwhile.
func (p *Path) alarms(ctx context.Context, way, dir string, n int, gap time.Duration) (values, books, error) {
	if way == peerBridge {
		return p.alarmsBridge(ctx, dir, n, gap)
	}
	r, err := p.startRig(ctx, way, dir, false)
	if err != nil {
		return nil, books{}, err
	}
	defer r.stop()
	b, err := p.startBoard(ctx, dir, r.link.address())
	if err != nil {
		return nil, books{}, err
	}
	defer b.stop()
	stored := make(chan time.Time, 16)
	r.watch(func(lane string, n, _ int, at time.Time) {
		for range n {
			if lane == longan.Alarm.String() {
				stored <- at
			}
		}
	})
	press := func(on bool) (begin, end time.Time, err error) { return r.press(ctx, b, on, stored) }
	if err := b.ready(ctx, r); err != nil {
		return nil, books{}, err
	}
	return timeAlarms(ctx, r.link, dir, kindAlarm, n, gap, press)
}

// press changes the panic button, and returns when the module's answer said so and
// when stored told of it.
func (r *rig) press(ctx context.Context, b *board, on bool, stored <-chan time.Time) (begin, end time.Time, err error) {
	seen := b.wire.next()
	b.module.SetInput(inputPanic, on)
	if begin, err = receive(ctx, seen); err != nil {
		return begin, end, fmt.Errorf("the board does not poll its module: %w: %s", err, b.cmd.Stderr)
	}
	if end, err = receive(ctx, stored); err != nil {
		return begin, end, fmt.Errorf("an alarm did not arrive: %w: %s", err, b.cmd.Stderr)
	}
	return begin, end, nil
}

// ready waits until a board reads its module and the city has heard all it has to
// say about its start.
func (b *board) ready(ctx context.Context, r *rig) error {
	err := until(ctx, time.Minute, func() error {
		if b.module.Requests() < 3 || r.count() == 0 {
			return errors.New("the board does not come up")
		}
		return nil
	})
	if err == nil {
		err = r.link.settled(ctx)
	}
	if err != nil {
		err = fmt.Errorf("%w: %s", err, b.cmd.Stderr)
	}
	return err
}

// receive receives a time, within alarmTimeout.
func receive(ctx context.Context, c <-chan time.Time) (time.Time, error) {
	timer := time.NewTimer(alarmTimeout)
	defer timer.Stop()
	select {
	case at := <-c:
		return at, nil
	case <-timer.C:
		return time.Time{}, fmt.Errorf("nothing in %s", alarmTimeout)
	case <-ctx.Done():
		return time.Time{}, ctx.Err()
	}
}

// timeAlarms times n alarms after one that warms up, raised and restored in turn,
// and how late their packets, of a kind, were on the link.
// In the gaps it times the disk's own fdatasync: the path has three of them, and
// is as often late as they are.
func timeAlarms(ctx context.Context, link *meter, dir, kind string, n int, gap time.Duration, press func(on bool) (begin, end time.Time, err error)) (values, books, error) {
	wait := func() { pause(ctx, gap+rand.N(gap/2)) }
	if _, _, err := press(true); err != nil {
		return nil, books{}, err
	}
	wait()
	before := link.read()
	times, near, disk := make(timings, 0, n), make(timings, 0, n), make(timings, 0, n)
	p, err := openProbe(dir)
	if err != nil {
		return nil, books{}, err
	}
	defer p.close()
	for i := range n {
		begin, end, err := press(i%2 == 1)
		if err != nil {
			return nil, books{}, err
		}
		times, near = append(times, end.Sub(begin)), append(near, link.passed(kind).Sub(begin))
		wait()
		d, err := p.sync()
		if err != nil {
			return nil, books{}, err
		}
		disk = append(disk, d)
	}
	v := values{
		"p50_ms": ms(times.at(0.5)), "p99_ms": ms(times.at(0.99)), "max_ms": ms(times.at(1)),
		"sent_p50_ms": ms(near.at(0.5)), "sent_p99_ms": ms(near.at(0.99)),
		"fdatasync_p50_ms": ms(disk.at(0.5)), "fdatasync_p99_ms": ms(disk.at(0.99)),
	}
	return v, link.read().since(before), ctx.Err()
}

// alarmsBridge measures the peer.
func (p *Path) alarmsBridge(ctx context.Context, dir string, n int, gap time.Duration) (values, books, error) {
	remote, address, err := p.broker(ctx, dir)
	if err != nil {
		return nil, books{}, err
	}
	defer stop(remote)
	link, err := newMeter(address, false)
	if err != nil {
		return nil, books{}, err
	}
	defer link.close()
	local, near, err := p.bridge(ctx, dir, link.address())
	if err != nil {
		return nil, books{}, err
	}
	defer stop(local)
	return p.alarmsThrough(ctx, link, local, dir, address, near, n, gap)
}

func (p *Path) alarmsThrough(ctx context.Context, link *meter, local *exec.Cmd, dir, address, near string, n int, gap time.Duration) (values, books, error) {
	sub, err := dialMQTT(ctx, address, "subscriber", 1)
	if err != nil {
		return nil, books{}, err
	}
	defer sub.close()
	if err := sub.subscribe(); err != nil {
		return nil, books{}, err
	}
	came, ended := make(chan time.Time, 16), make(chan error, 1)
	go func() {
		ended <- sub.receive(func([]byte) bool { came <- time.Now(); return true })
	}()
	pub, err := dialMQTT(ctx, near, "publisher", 1)
	if err != nil {
		return nil, books{}, err
	}
	confirmed := make(chan error, 1)
	go func() { confirmed <- pub.confirmed(n + 1) }()
	payload := make([]byte, p.size)
	v, carried, err := timeAlarms(ctx, link, dir, kindOther, n, gap, func(bool) (begin, end time.Time, err error) {
		binary.BigEndian.PutUint32(payload, rand.Uint32())
		begin = time.Now()
		if err := pub.publish(ctx, payload); err != nil {
			return begin, end, err
		}
		if end, err = receive(ctx, came); err != nil {
			return begin, end, fmt.Errorf("a message did not arrive: %w: %s", err, local.Stderr)
		}
		return begin, end, nil
	})
	pub.close()
	sub.close()
	<-confirmed
	<-ended
	return v, carried, err
}
