package rules

import (
	"fmt"
	"strings"
	"testing"

	"github.com/longan-edge/longan"
	firmwareconfig "github.com/longan-edge/longan/firmware-config"
)

const (
	u = longan.Unknown
	n = longan.Normal
	a = longan.Active
	f = longan.Fault
)

// TestPointHistories gives each kind of point a history of readings and lists
// the events that follow, "-" where nothing may.
func TestPointHistories(t *testing.T) {
	for _, c := range []struct {
		name     string
		kind     firmwareconfig.Kind
		last     longan.PointState
		readings []longan.PointState
		want     string
	}{
		{"door at first start, closed", "door", u, []longan.PointState{u, n, n}, "- - -"},
		{"door at first start, open", "door", u, []longan.PointState{a, a, n}, "door.opened - door.closed"},
		{"door found as it was left", "door", a, []longan.PointState{u, u, a, n}, "- point.unknown point.known door.closed"},
		{"door moved while the board was off", "door", a, []longan.PointState{n}, "door.closed"},
		{"unknown is told once", "door", n, []longan.PointState{u, u, u, n, n}, "- point.unknown - point.known -"},
		{"unknown hides a movement", "door", n, []longan.PointState{u, u, a, n}, "- point.unknown door.opened door.closed"},
		{"one failed reading is no event", "door", n, []longan.PointState{u, n, u, n}, "- - - -"},
		{"a fault is not normal", "panic", a, []longan.PointState{f, f, n}, "- point.unknown alarm.restored"},
		{"an alarm outlives doubt", "panic", u, []longan.PointState{n, a, u, u, a, n}, "- alarm.raised - point.unknown point.known alarm.restored"},
		{"an alarm outlives a restart", "panic", a, []longan.PointState{a}, "-"},
		{"fire", "fire", u, []longan.PointState{a, n}, "alarm.raised alarm.restored"},
		{"kiosk", "kiosk", u, []longan.PointState{n, a, n}, "- kiosk.fault kiosk.restored"},
		{"input", "input", u, []longan.PointState{n, a, n}, "- point.active point.normal"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := NewPoint(firmwareconfig.Point{Name: "x", Kind: c.kind, Signal: "di1"}, c.last)
			var got []string
			for _, state := range c.readings {
				got = append(got, types(p.Changes(state, true)))
				p.Done(state, true)
			}
			if s := strings.Join(got, " "); s != c.want {
				t.Errorf("got  %s\nwant %s", s, c.want)
			}
		})
	}
}

func types(changes []Change) string {
	if len(changes) == 0 {
		return "-"
	}
	var all []string
	for _, c := range changes {
		all = append(all, c.Type)
	}
	return strings.Join(all, "+")
}

func TestAnEventThatWasNotStoredIsAskedForAgain(t *testing.T) {
	p := NewPoint(firmwareconfig.Point{Name: "panic-button", Kind: firmwareconfig.KindPanic}, u)
	first := p.Changes(a, true)
	if again := p.Changes(a, true); fmt.Sprint(again) != fmt.Sprint(first) || len(again) != 1 {
		t.Errorf("second time %v, want %v", again, first)
	}
	want := Change{Lane: longan.Alarm, Type: longan.AlarmRaised, Point: "panic-button", Data: []byte(`{"cause":"panic"}`), Key: "panic-button", State: a}
	if fmt.Sprint(first[0]) != fmt.Sprint(want) {
		t.Errorf("got %+v, want %+v", first[0], want)
	}
}

func TestAFailingPeripheralIsOneEvent(t *testing.T) {
	p := NewPoint(firmwareconfig.Point{Name: "x", Kind: firmwareconfig.KindDoor}, n)
	for range 5 { // its peripheral is down
		if c := p.Changes(u, false); c != nil {
			t.Errorf("event %s beside peripheral.fault", types(c))
		}
		p.Done(u, false)
	}
	if c := p.Changes(n, true); c != nil {
		t.Errorf("event %s although the door is as it was", types(c))
	}
}

func TestPeripheralHistories(t *testing.T) {
	for _, c := range []struct {
		name string
		last longan.PointState
		oks  []bool
		want string
	}{
		{"works from the start", u, []bool{true, true}, "- -"},
		{"fails and returns", u, []bool{false, false, true}, "peripheral.fault - peripheral.restored"},
		{"still broken after a restart", f, []bool{false, true}, "- peripheral.restored"},
		{"mended while the board was off", f, []bool{true}, "peripheral.restored"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := NewPeripheral("io", c.last)
			var got []string
			for _, ok := range c.oks {
				got = append(got, types(p.Changes(ok, "no answer")))
				p.Done(ok)
			}
			if s := strings.Join(got, " "); s != c.want {
				t.Errorf("got %s, want %s", s, c.want)
			}
		})
	}
}

func TestLongErrorTextsFit(t *testing.T) {
	c := NewPeripheral("io", u).Changes(false, strings.Repeat("坏", 4000))
	e := longan.Event{Seq: 1, Type: c[0].Type, Point: c[0].Point, Data: c[0].Data}
	if err := e.Validate(); err != nil {
		t.Error(err)
	}
}
