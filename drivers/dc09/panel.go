package dc09

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/drivers"
)

// panel is what is known of an account. All of it is guarded by Receiver.turn.
type panel struct {
	Account
	number string // upper case
	zones  []zone
	recent [memory]accepted
	next   int // in recent

	heard   time.Time // of the last message, or when Run began
	silent  bool      // its points were emitted as Unknown
	told    time.Time // when they were last
	refused string    // why the last message was, if none was accepted since
	puzzle  string    // why the last event was not understood
}

// zone is a point, and what is known of it.
type zone struct {
	Point
	now    conditions
	detail string
}

const (
	// memory is how many messages of a panel are known again. A panel waits for
	// an answer before it goes on, so one would do, but for a second path.
	memory = 16
	// repeatWithin is how long a message is taken for a repeat. A panel that was
	// restarted counts from 1 again, and may have the same to say.
	repeatWithin = 10 * time.Minute
)

// accepted is a message whose readings were emitted, all or the first ones.
type accepted struct {
	sum  [sha256.Size]byte
	at   time.Time
	done int // readings
	all  bool
}

func newPanel(a Account) *panel {
	p := &panel{Account: a, number: strings.ToUpper(a.Number)}
	for _, point := range a.Points {
		z := zone{Point: point}
		z.now.begin(point.Last)
		p.zones = append(p.zones, z)
	}
	return p
}

func (p *panel) check() error {
	if !within(p.number, 3, 16, hexadecimal) {
		return fmt.Errorf("account %q: want 3 to 16 digits of 0-9 and A-F, as set in the panel", p.Number)
	}
	if p.Key != nil {
		if err := checkKey(p.Key); err != nil {
			return fmt.Errorf("account %s: %w", p.number, err)
		}
	}
	if p.Account.Point == "" {
		return fmt.Errorf("account %s: want a point of the panel's own, for what no other point is for", p.number)
	}
	for _, z := range p.zones {
		if err := z.Signal.check(); err != nil {
			return fmt.Errorf("account %s, point %s: %w", p.number, z.Point.Point, err)
		}
	}
	return nil
}

// begin is called when Run begins: the panel has all its time again.
func (p *panel) begin(now time.Time) { p.heard, p.silent = now, false }

// remember returns the memory of a message, new or from before. The time is not
// part of it: a panel may put a new one on a repeat.
func (p *panel) remember(h header, c content, now time.Time) *accepted {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %s %s%s", h.seq, h.token, c.data, c.extra))
	for i := range p.recent {
		if a := &p.recent[i]; a.sum == sum && !a.at.IsZero() && now.Sub(a.at) < repeatWithin {
			return a
		}
	}
	a := &p.recent[p.next]
	p.next = (p.next + 1) % len(p.recent)
	*a = accepted{sum: sum, at: now}
	return a
}

// readings returns what an event of an account within the panel says: of each point
// that it is for, or else at the panel's own point. Points are of the panel's own
// account, for another one counts its zones anew.
func (p *panel) readings(account string, e event) (out []drivers.Reading) {
	for i := range p.zones {
		if account != p.number {
			break
		}
		z := &p.zones[i]
		kind, code := z.Signal.effect(e)
		if kind == nothing {
			continue
		}
		z.now.apply(kind, code)
		z.detail = e.String()
		out = append(out, z.reading())
	}
	if out == nil {
		out = []drivers.Reading{{
			Point: p.Account.Point, State: longan.Normal, Detail: e.String(),
			Happened: &drivers.Occurrence{Type: "panel.event", Data: e.json(account)},
		}}
	}
	return out
}

func (z *zone) reading() drivers.Reading {
	return drivers.Reading{Point: z.Point.Point, State: z.now.state(), Detail: clip(z.detail)}
}

// present returns the panel's own point, which reports, and all points whose
// state is known, but for those that were just told.
func (p *panel) present(told ...string) (out []drivers.Reading) {
	if !slices.Contains(told, p.Account.Point) {
		out = append(out, drivers.Reading{Point: p.Account.Point, State: longan.Normal, Detail: clip(p.puzzle)})
	}
	for i := range p.zones {
		if z := &p.zones[i]; z.now.known && !slices.Contains(told, z.Point.Point) {
			out = append(out, z.reading())
		}
	}
	return out
}

// unknown returns all points as Unknown.
func (p *panel) unknown(why string) []drivers.Reading {
	out := []drivers.Reading{{Point: p.Account.Point, Detail: clip(why)}}
	for _, z := range p.zones {
		out = append(out, drivers.Reading{Point: z.Point.Point, Detail: clip(why)})
	}
	return out
}
