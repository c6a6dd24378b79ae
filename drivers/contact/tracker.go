package contact

import (
	"fmt"
	"time"

	"github.com/longan-edge/longan"
)

// Restless is how long a line may go on changing before its point is Fault.
const Restless = 2 * time.Second

// tracker turns what is seen of a line into the state of its point. A burst is
// a time of unrest: it begins with an edge or another level and ends when the
// level was stable for debounce.
type tracker struct {
	debounce time.Duration
	urgent   bool

	state longan.PointState // as emitted; Unknown until the first level is stable
	edges int               // since the last look

	level  longan.PointState // as seen last
	since  time.Time         // nothing moved since
	burst  bool
	began  time.Time
	told   bool   // the burst changed state
	pulses uint64 // bursts that changed nothing
}

// see takes a look at the line and reports whether state changed.
func (t *tracker) see(now time.Time, level longan.PointState) (changed bool) {
	moved := t.edges > 0 || level != t.level
	t.edges = 0
	if moved {
		t.level, t.since = level, now
		if !t.burst {
			t.burst, t.began, t.told = true, now, false
		}
	}
	if t.urgent && level == longan.Active {
		changed = t.become(level)
	}
	if !t.burst {
		return changed
	}
	if now.Sub(t.since) >= t.debounce {
		t.burst = false
		changed = t.become(level) || changed
		if !t.told {
			t.pulses++
		}
		return changed
	}
	alarm := t.urgent && t.state == longan.Active
	if !alarm && now.Sub(t.began) >= max(Restless, 4*t.debounce) {
		changed = t.become(longan.Fault)
	}
	return changed
}

func (t *tracker) become(s longan.PointState) (changed bool) {
	changed = t.state != s
	t.state, t.told = s, t.told || changed
	return changed
}

// until returns how long to wait for an edge before the next look, at most most.
func (t *tracker) until(now time.Time, most time.Duration) time.Duration {
	if !t.burst {
		return most
	}
	return min(most, t.since.Add(t.debounce).Sub(now))
}

// detail says what people should know who look for a bad cable.
func (t *tracker) detail(lost uint64) string {
	switch {
	case t.state == longan.Fault:
		return "线路抖动不停 · the line does not come to rest"
	case t.pulses > 0 && lost > 0:
		return fmt.Sprintf("短脉冲 %d，漏沿 %d · short pulses %d, lost edges %d", t.pulses, lost, t.pulses, lost)
	case t.pulses > 0:
		return fmt.Sprintf("短脉冲 %d · short pulses %d", t.pulses, t.pulses)
	case lost > 0:
		return fmt.Sprintf("漏沿 %d · lost edges %d", lost, lost)
	}
	return ""
}
