package osdp

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/drivers"
	"github.com/longan-edge/longan/drivers/internal/card"
)

const (
	// renew is how often unchanged points are emitted.
	renew = time.Second
	// ask is how often tamper, power and inputs are asked for, beside what the
	// reader tells by itself.
	ask = time.Second
	// probe is how often a silent reader is tried while others talk.
	probe = 2 * time.Second
)

// TypeInsecure is what happens when a session begins that others could listen to
// or take part in, once for each reader and run of the program.
const TypeInsecure = "reader.insecure"

// station is one reader as the panel knows it.
type station struct {
	session
	cards   *card.Hasher
	retries int
	poll    time.Duration

	due      time.Time // of its next turn
	online   bool      // it answers polls
	lost     bool      // it was given up, and is tried once every probe
	failures int       // turns in a row without an answer
	busy     time.Time // since it says that it is busy; zero is that it doesn't
	err      error     // of the last failure
	repeats  uint64    // turns without an answer since it is online
	warned   bool      // TypeInsecure was emitted

	id          identity
	caps        map[byte]capability
	askedLocal  time.Time
	askedInputs time.Time
	acts        []*act // wait for their turn
	held        card.Held

	self, tamper, power *point
	inputs              []*point
}

// point is what is known of one point, and whether it was told.
type point struct {
	name   string
	state  longan.PointState
	detail string
	known  bool      // state was set since Run was called
	due    time.Time // of the next reading; zero is now
}

func (p *point) set(state longan.PointState, detail string) {
	if !p.known || p.state != state || p.detail != detail {
		p.due = time.Time{}
	}
	p.state, p.detail, p.known = state, detail, true
}

func newStation(cfg Reader, panel Config, cards *card.Hasher) *station {
	st := &station{session: session{cfg: cfg, rand: panel.Rand}, cards: cards, retries: panel.Retries, poll: panel.Poll}
	st.self, st.tamper, st.power = &point{name: cfg.Online}, &point{name: cfg.Tamper}, &point{name: cfg.Power}
	for _, in := range cfg.Inputs {
		st.inputs = append(st.inputs, &point{name: in.Point})
	}
	return st
}

// points returns all that have a name, those that may be alarms first.
func (st *station) points() []*point {
	all := make([]*point, 0, 3+len(st.inputs))
	for _, p := range append([]*point{st.tamper}, append(st.inputs, st.power, st.self)...) {
		if p.name != "" {
			all = append(all, p)
		}
	}
	return all
}

// begin forgets everything but what is configured.
func (st *station) begin() {
	st.restart()
	st.due, st.busy, st.askedLocal, st.askedInputs = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	st.online, st.lost, st.failures, st.err = false, false, 0, nil
	for _, p := range st.points() {
		p.known, p.due = false, time.Time{}
	}
}

// next returns the command of the reader's next turn.
func (st *station) next(now time.Time) (*command, error) {
	if st.phase != phasePoll {
		return st.connect()
	}
	for len(st.acts) > 0 {
		a := st.acts[0]
		st.acts = st.acts[1:]
		if err := a.ctx.Err(); err != nil { // nobody waits for it any more
			a.result <- err
			continue
		}
		c := st.command(a.code, a.data)
		c.act = a
		return c, nil
	}
	if (st.cfg.Tamper != "" || st.cfg.Power != "") && now.Sub(st.askedLocal) >= ask {
		st.askedLocal = now
		return st.command(cmdLstat, nil), nil
	}
	if len(st.cfg.Inputs) > 0 && now.Sub(st.askedInputs) >= ask {
		st.askedInputs = now
		return st.command(cmdIstat, nil), nil
	}
	return st.command(cmdPoll, nil), nil
}

// turn exchanges one command. What it learns becomes the state of the points;
// what happened is emitted at once, before the next command confirms it to the
// reader. Its errors are those that end Run.
func (st *station) turn(ctx context.Context, k link, emit drivers.Emit) error {
	now := time.Now()
	if st.pending == nil {
		c, err := st.next(now)
		if err != nil {
			st.missed(&command{}, err)
			return nil
		}
		st.pending = c
	}
	out := st.pending
	f, err := st.send(ctx, k)
	if ctx.Err() != nil {
		out.finish(drivers.ErrNotRunning)
		return ctx.Err()
	}
	var nak Nak
	switch {
	case errors.Is(err, errLost):
		out.finish(err)
		return err
	case errors.As(err, &nak) && st.pending == nil && out.code != cmdPoll:
		st.answered(now)
		out.finish(nak)
		st.deny(out.code, nak)
		return nil
	case err != nil:
		st.missed(out, err)
		return nil
	case f.code == replyBusy:
		st.waiting(out, now)
		return nil
	}
	st.answered(now)
	out.finish(nil)
	if st.phase != phasePoll {
		if err := st.connected(f, &st.id, &st.caps); err != nil {
			st.missed(out, err)
		}
		return nil
	}
	return st.take(ctx, f, emit)
}

// answered notes that the reader talks.
func (st *station) answered(now time.Time) {
	st.busy = time.Time{}
	if st.phase == phasePoll {
		st.failures, st.due = 0, now.Add(st.poll)
	}
}

// missed notes a turn without an answer. After too many the reader is lost.
func (st *station) missed(out *command, err error) {
	st.failures++
	st.repeats++
	st.err = err
	if st.failures > st.retries {
		out.finish(err)
		st.lose(time.Now())
	} else if errors.Is(err, errRestart) {
		out.finish(err)
		st.restart()
	}
}

// waiting notes that the reader is busy, which it may be for a while.
func (st *station) waiting(out *command, now time.Time) {
	st.due = now.Add(st.poll)
	if st.busy.IsZero() {
		st.busy = now
	}
	if now.Sub(st.busy) >= busyLimit {
		st.failures = max(st.failures, st.retries)
		st.missed(out, fmt.Errorf("the reader says that it is busy for %v", busyLimit))
	}
}

// deny takes the refusal of one command: what it would have told stays unknown.
func (st *station) deny(code byte, n Nak) {
	switch code {
	case cmdID:
		st.phase = phaseCap
	case cmdCap:
		st.phase = phasePoll
	case cmdLstat:
		st.tamper.set(longan.Unknown, n.Error())
		st.power.set(longan.Unknown, n.Error())
	case cmdIstat:
		for _, p := range st.inputs {
			p.set(longan.Unknown, n.Error())
		}
	}
}

// take takes an answer of a reader that is being polled.
func (st *station) take(ctx context.Context, f *frame, emit drivers.Emit) error {
	if !st.online {
		st.online, st.lost, st.repeats = true, false, 0
	}
	st.self.set(longan.Normal, st.detail())
	switch f.code {
	case replyLstatR:
		if tamper, power, err := parseLocal(f.data); err == nil {
			st.tamper.set(tamper, "")
			st.power.set(power, "")
		}
	case replyIstatR:
		st.takeInputs(parseInputs(f.data))
	case replyRaw:
		if bits, n, err := parseCard(f.data); err == nil {
			held := st.cards.Card(bits, n, card.Check(bits, n))
			clear(bits)
			return st.presented(ctx, held, emit)
		}
	case replyKeypad:
		if n, err := parseKeys(f.data); err == nil && n > 0 {
			return st.happened(ctx, card.Keys(n), emit)
		}
	}
	return nil
}

// presented emits a card, once for as long as it is held to the reader.
func (st *station) presented(ctx context.Context, o *drivers.Occurrence, emit drivers.Emit) error {
	if st.held.Still(o, time.Now()) {
		return nil
	}
	if err := st.happened(ctx, o, emit); err != nil {
		return err
	}
	st.held.Told(o, time.Now())
	return nil
}

func (st *station) takeInputs(states []longan.PointState) {
	for i, in := range st.cfg.Inputs {
		if in.Number > len(states) {
			st.inputs[i].set(longan.Unknown, fmt.Sprintf("读卡器只有 %d 个输入 · the reader has %d inputs", len(states), len(states)))
			continue
		}
		state := states[in.Number-1]
		switch {
		case in.NormallyClosed && state == longan.Active:
			state = longan.Normal
		case in.NormallyClosed && state == longan.Normal:
			state = longan.Active
		}
		st.inputs[i].set(state, "")
	}
}

// happened emits what happened at a reader that is online, with its state.
func (st *station) happened(ctx context.Context, h *drivers.Occurrence, emit drivers.Emit) error {
	r := drivers.Reading{Point: st.self.name, State: st.self.state, Detail: st.self.detail, Happened: h}
	if err := emit(ctx, r); err != nil {
		return err
	}
	st.self.due = time.Now().Add(renew)
	return nil
}

// Warnings of sessions that are not secure, for people.
const (
	warnDefault = "警告：使用公开的默认密钥 · WARNING: the public default key is in use"
	warnPlain   = "警告：线路未加密 · WARNING: no secure channel"
)

// detail describes a reader that is online.
func (st *station) detail() string {
	var parts []string
	switch {
	case st.cfg.Installation:
		parts = append(parts, warnDefault)
	case st.cfg.Plain && st.caps[capSecure].level&1 != 0:
		parts = append(parts, warnPlain+"（读卡器支持加密 · the reader has one）")
	case st.cfg.Plain:
		parts = append(parts, warnPlain)
	}
	if st.id != (identity{}) {
		parts = append(parts, st.id.String())
	}
	if st.repeats > 0 {
		parts = append(parts, fmt.Sprintf("重发 %d · repeats %d", st.repeats, st.repeats))
	}
	return strings.Join(parts, "; ")
}

// warn emits once that the session is not secure.
func (st *station) warn(ctx context.Context, emit drivers.Emit) error {
	reason := ""
	switch {
	case st.warned:
		return nil
	case st.cfg.Installation:
		reason = "default-key"
	case st.cfg.Plain:
		reason = "plain"
	default:
		return nil
	}
	h := &drivers.Occurrence{Type: TypeInsecure, Data: fmt.Appendf(nil, `{"reason":"%s"}`, reason)}
	if err := st.happened(ctx, h, emit); err != nil {
		return err
	}
	st.warned = true
	return nil
}

// lose gives up a reader that doesn't answer, until it does.
func (st *station) lose(now time.Time) {
	st.restart()
	st.online, st.lost = false, true
	st.due, st.busy, st.askedLocal, st.askedInputs = now.Add(probe), time.Time{}, time.Time{}, time.Time{}
	for _, p := range st.points() {
		p.set(longan.Unknown, "")
	}
	st.self.set(longan.Fault, clip(st.err.Error()))
	for _, a := range st.acts {
		a.result <- st.err
	}
	st.acts = nil
}

// flush emits the points that changed, or that are due.
func (st *station) flush(ctx context.Context, emit drivers.Emit) error {
	for _, p := range st.points() {
		now := time.Now()
		if !p.known || now.Before(p.due) {
			continue
		}
		if err := emit(ctx, drivers.Reading{Point: p.name, State: p.state, Detail: p.detail}); err != nil {
			return err
		}
		p.due = now.Add(renew)
	}
	return nil
}

// clip cuts a text to the length of a reading's detail.
func clip(s string) string { return s[:min(len(s), longan.MaxLabel)] }
