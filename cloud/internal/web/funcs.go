package web

import (
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/cloud/internal/live"
)

// beijing is the time of all of China; fixed, so that no time zone database is
// needed.
var beijing = time.FixedZone("CST", 8*3600)

// funcs are what the templates call, in one language.
func funcs(l lang) template.FuncMap {
	t := func(key string) string { return text(l, key) }
	return template.FuncMap{
		"t":      t,
		"ago":    func(ms int64) string { return ago(l, ms) },
		"clock":  clockText,
		"minute": func(t time.Time) string { return t.In(beijing).Format("01-02 15:04") },
		"iso":    func(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") },
		"word":   func(p live.Point, s longan.PointState) string { return stateWord(l, p, s) },
		"class":  pointClass,
		"sev":    severity,
		"cause": func(cause string) string {
			if _, ok := texts["alarm."+cause]; ok {
				return t("alarm." + cause)
			}
			return cause
		},
		"mark": func(sev int) string { return [...]string{"", "▲", "◆", "■", "●"}[sev] },
		"glyph": func(s live.State) string {
			return map[live.State]string{live.Online: "●", live.Stale: "◐", live.Offline: "✕", live.Unknown: "?"}[s]
		},
		"detail":     func(p live.Point) string { return detailText(l, p) },
		"why":        func(c live.Center) string { return t("cause." + string(c.Cause)) },
		"floor":      func(clock string) bool { return clock == longan.ClockFloor },
		"delivery":   deliveryOf,
		"briefly":    func(d delivery) string { return d.in(l, shownHoles) },
		"whole":      func(d delivery) string { return d.Text[l] },
		"refused":    func(c live.Center) string { return refusedText(l, c) },
		"refusedWhy": func(reason string) string { return refusedWhy(l, reason) },
		"shifted":    shifted,
		"missing":    missing,
		"behind":     behind,
		"incident":   func(in live.Incident) string { return incidentText(l, in) },
		"fault":      func(err string) string { return faultText(l, err) },
		"reason":     func(r string) string { return reasonText(l, r) },
		"backlog":    func(c live.Center) string { return backlogText(l, c) },
		"row":        func(a live.Alarm, age int64) alarmRow { return alarmRow{a, age} },
		"place":      place,
		"ok":         wellOff,
	}
}

// ago says an age; the page's script says it the same way.
func ago(l lang, ms int64) string {
	unit := func(n int64, zhUnit, enUnit string) string {
		if l == en {
			return fmt.Sprintf("%d %s ago", n, enUnit)
		}
		return fmt.Sprintf("%d %s前", n, zhUnit)
	}
	switch s := ms / 1000; {
	case ms < 0:
		return map[lang]string{zh: "从未", en: "never"}[l]
	case s < 1:
		return map[lang]string{zh: "刚刚", en: "now"}[l]
	case s < 60:
		return unit(s, "秒", "s")
	case s < 3600:
		return unit(s/60, "分钟", "min")
	case s < 48*3600:
		return unit(s/3600, "小时", "h")
	default:
		return unit(s/86400, "天", "d")
	}
}

// clockText says a moment in Beijing time, or nothing.
func clockText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(beijing).Format("01-02 15:04:05")
}

// stateWord says what a state means for a point of its kind.
func stateWord(l lang, p live.Point, s longan.PointState) string {
	switch s {
	case longan.Fault, longan.Unknown:
		return text(l, "any."+s.String())
	}
	if d := detailText(l, p); p.Kind == "kiosk" && s == longan.Active && d != "" {
		return d
	}
	key := p.Kind + "." + s.String()
	if _, ok := texts[key]; !ok {
		key = "input." + s.String()
	}
	return text(l, key)
}

// detailText says what the driver adds; words of ours are translated.
func detailText(l lang, p live.Point) string {
	if _, ok := texts["detail."+p.Detail]; ok {
		return text(l, "detail."+p.Detail)
	}
	return p.Detail
}

// pointClass is the style of a point's chip.
func pointClass(p live.Point) string {
	switch p.State {
	case longan.Normal:
		return "normal"
	case longan.Active:
		switch p.Kind {
		case "panic", "fire", "intrusion", "tamper", "mains":
			return "alarm"
		case "kiosk":
			return "fault"
		}
		return "active"
	case longan.Fault:
		return "fault"
	}
	return "unknown"
}

// severity is the level of an alarm's cause, 1 the highest, as in the red,
// orange, yellow and blue warnings that operators know.
func severity(cause string) int {
	switch cause {
	case "panic", "fire":
		return 1
	case "tamper":
		return 3
	case "mains":
		return 4
	}
	return 2 // intrusion, and whatever this program does not know
}

// behindAfter is how long ago a board that is online may have vouched for its
// points, in ms: heartbeats come every 10 s.
const behindAfter = 30_000

// behind reports whether a board speaks, but something it said of its points may
// be missing at the city.
func behind(c live.Center) bool {
	return c.State == live.Online && len(c.Points) > 0 && (c.AsOfAge < 0 || c.AsOfAge > behindAfter)
}

// reasonAwaited is the store's word for a hole that is still expected to fill.
const reasonAwaited = "awaited"

// wellOff reports whether an operator has nothing to look at in a center.
func wellOff(c live.Center) bool {
	if c.State != live.Online || c.OpenAlarms > 0 || c.Conflict != nil || len(c.Refusals) > 0 || behind(c) {
		return false
	}
	for _, p := range c.Points {
		if k := pointClass(p); k != "normal" && k != "active" {
			return false
		}
	}
	for _, p := range c.Periphs {
		if !p.OK {
			return false
		}
	}
	for _, s := range c.Streams {
		for _, h := range s.Holes {
			if h.Reason != reasonAwaited {
				return false
			}
		}
	}
	return true
}

// shiftedBy is how far a corrected time must be from the board's own to be worth
// telling.
const shiftedBy = 2 * time.Second

// shifted reports whether an alarm's corrected time says something else than the
// board's own.
func shifted(a live.Alarm) bool {
	return !a.Corrected.IsZero() &&
		(a.Time.IsZero() || a.Clock == longan.ClockFloor || a.Corrected.Sub(a.Time).Abs() >= shiftedBy)
}

// place says where an alarm is. Township names repeat within the city, so the
// county always stands before them.
func place(a live.Alarm) string { return placeName(a.County, a.Township, a.Center) }

func placeName(county, township, center string) string {
	if strings.Contains(center, township) {
		township = ""
	}
	return strings.Join(strings.Fields(county+" "+township+" "+center), " ")
}

// shownHoles is how many holes a card names.
const shownHoles = 3

// missing returns the holes of an epoch of before in which events are lost or
// awaited, and how many it leaves out.
func missing(s live.StreamState) (out struct {
	Holes []live.Hole
	More  int
}) {
	out.Holes = s.Holes
	if n := len(s.Holes); n > shownHoles {
		out.Holes, out.More = s.Holes[:shownHoles], n-shownHoles
	}
	return out
}

// faultText says the errors that every driver knows in the reader's language.
func faultText(l lang, err string) string {
	for _, known := range []string{"peripheral is silent", "unplugged", "port is in use", "no such port"} {
		if strings.Contains(err, known) {
			return text(l, "fault."+known)
		}
	}
	return err
}

// alarmRow is what the template "alarm" shows.
type alarmRow struct {
	A   live.Alarm
	Age int64 // since it was stored, ms
}

// backlogText lists the lanes of which a board still has events to send.
func backlogText(l lang, c live.Center) string {
	var parts []string
	for _, lane := range longan.Lanes {
		if n := c.Backlog[lane]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", text(l, "lane."+lane.String()), n))
		}
	}
	return strings.Join(parts, " · ")
}
