package web

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/cloud/internal/live"
)

var (
	previewAddr = flag.String("preview", "", "serve a made-up city at this address until killed")
	previewSize = flag.Int("preview-size", 199, "centers in the made-up city")
)

// movable is a city clock that a test moves by hand.
type movable struct{ t time.Time }

func (c *movable) now() time.Time { return c.t }

func fixedClock() *movable {
	return &movable{time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)}
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// city is a made-up city for tests and previews.
type city struct {
	view *live.View
	now  func() time.Time
	ids  []longan.DeviceID
	n    uint64                     // words of all
	said map[longan.DeviceID]uint64 // statuses of each
}

// newCity returns a city whose first size townships have a board each, online,
// with some in trouble.
func newCity(view *live.View, now func() time.Time, size int) *city {
	c := &city{view: view, now: now, said: map[longan.DeviceID]uint64{}}
	for i, t := range longan.Townships() {
		if i >= size {
			break
		}
		id := longan.DeviceID(t.Code + "-01")
		c.ids = append(c.ids, id)
		c.start(i, id, t)
	}
	return c
}

func (c *city) start(i int, id longan.DeviceID, t longan.Township) {
	s := c.status(i, id)
	s.Full, s.Name = true, t.Name+"综治中心"
	add := func(name, kind, label, peripheral string, state longan.PointState, detail string) {
		s.Points[name] = longan.PointStatus{State: state, Kind: kind, Label: label, Peripheral: peripheral, Detail: detail,
			Since: c.now().Add(-time.Hour), Age: time.Duration(1+i%7) * time.Second}
	}
	s.Points = map[string]longan.PointStatus{}
	add("front-door", "door", "前门", "inputs", longan.PointState(1+i%5/4), "")
	add("panic-button", "panic", "一键报警", "inputs", longan.Normal, "")
	add("smoke", "fire", "烟感", "inputs", longan.Normal, "")
	add("mains", "mains", "市电", "inputs", longan.Normal, "")
	add("printer-paper", "kiosk", "打印纸", "printer", longan.Normal, "")
	s.Peripherals = map[string]longan.PeripheralStatus{
		"inputs":  {OK: true, Driver: "modbus", Label: "采集模块", Age: time.Second},
		"printer": {OK: true, Driver: "escpos", Label: "凭条打印机", Age: 2 * time.Second},
	}
	holes := []live.Hole(nil)
	switch i % 37 {
	case 5:
		add("printer-paper", "kiosk", "打印纸", "printer", longan.Active, "paper-out")
	case 11:
		add("back-door", "door", "后门", "inputs", longan.Fault, "")
		holes = []live.Hole{{From: 81, To: 96, Reason: "spool-full"}, {From: 120, To: 120, Reason: "reported"}}
	case 17:
		s.Peripherals["printer"] = longan.PeripheralStatus{Driver: "escpos", Label: "凭条打印机", Age: 12 * time.Minute, Error: "peripheral is silent"}
	case 23:
		s.Clock, s.Backlog = longan.ClockFloor, map[longan.Lane]uint64{longan.State: 4211, longan.Sample: 90233}
	}
	c.view.ApplyStatus(s, i%37 == 29)
	c.view.ApplyStreams(id, "9f86d081884c7d65", []live.Stream{
		{Lane: longan.Alarm, Acked: uint64(2 + i%9), Max: uint64(2 + i%9)},
		{Lane: longan.State, Acked: uint64(120 + i), Max: uint64(120 + i), Holes: holes},
	})
}

func (c *city) status(i int, id longan.DeviceID) *longan.Status {
	c.n++
	c.said[id]++
	return &longan.Status{Device: id, Session: "session-1", N: c.said[id], Epoch: "9f86d081884c7d65", State: longan.Online,
		Time: c.now(), Clock: longan.ClockNTP, Boot: "boot-1", Mono: time.Duration(c.n) * time.Second, Version: "1.0.0"}
}

// alarm lets a point of the i-th center raise or restore an alarm.
func (c *city) alarm(i int, seq uint64, typ, point, cause string, at time.Time) {
	boot, mono := "boot-0", time.Duration(0) // of a running before
	if c.now().Sub(at) < time.Minute {
		c.n++
		boot, mono = "boot-1", time.Duration(c.n)*time.Second
	}
	c.view.ApplyEvents([]longan.Event{{Device: c.ids[i], Epoch: "9f86d081884c7d65", Lane: longan.Alarm, Seq: seq, Type: typ,
		Point: point, Time: at, Clock: longan.ClockNTP, Boot: boot, Mono: mono, Data: json.RawMessage(fmt.Sprintf(`{"cause":%q}`, cause))}})
}

// trouble raises some alarms and lets a center go.
func (c *city) trouble() {
	n := len(c.ids)
	c.alarm(0, 1, longan.AlarmRaised, "smoke", "fire", c.now().Add(-3*time.Hour))
	c.alarm(0, 2, longan.AlarmRestored, "smoke", "fire", c.now().Add(-2*time.Hour))
	c.alarm(n-1, 1, longan.AlarmRaised, "mains", "mains", c.now().Add(-40*time.Second))
	c.alarm(n/2, 1, longan.AlarmRaised, "cabinet", "tamper", c.now().Add(-20*time.Minute))
	c.alarm(0, 3, longan.AlarmRaised, "panic-button", "panic", c.now().Add(-time.Second))
	gone := c.status(n-1, c.ids[n-1])
	gone.State, gone.N = longan.Offline, 0
	c.view.ApplyStatus(gone, false)
}

// abuse lets a second board use the id of the i-th center, and more be refused.
func (c *city) abuse(i int) {
	id := c.ids[i]
	for _, boot := range []string{"boot-2", "boot-1"} {
		s := c.status(i, id)
		s.N = 1
		s.Session, s.Boot, s.Mono = "session-"+boot, boot, time.Hour
		s.Full, s.Name = true, longan.Townships()[i].Name+"综治中心"
		s.Points = map[string]longan.PointStatus{"front-door": {State: longan.Normal, Kind: "door", Label: "前门", Age: time.Second}}
		c.view.ApplyStatus(s, false)
		c.said[id] = 1
	}
	c.view.ApplyConflicts(id, 2, c.now().Add(-time.Minute))
	for range 12 {
		c.view.ApplyRefusal(id, live.AtBroker, "publish", "publish to longan/v1/621202/621202001-01/status: not its own topic")
	}
	c.view.ApplyRefusal(id, live.AtIngest, "bad-message", "malformed")
}

// TestWholeCity renders all 199 centers. With -preview it serves them instead,
// alive, for a look in a browser:
//
//	go test ./cloud/internal/web -run TestWholeCity -timeout 0 -preview 127.0.0.1:8080
func TestWholeCity(t *testing.T) {
	if *previewAddr != "" {
		preview(t)
		return
	}
	now := fixedClock()
	view := live.New(live.Config{Now: now.now, Log: quiet()})
	newCity(view, now.now, 199).trouble()
	s := New(Config{View: view, Now: now.now, Log: quiet()})
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil))
	if n := strings.Count(w.Body.String(), `<article class="card `); n != 199 {
		t.Errorf("cards: got %d, want 199", n)
	}
	if n := strings.Count(w.Body.String(), `<section class="county"`); n != 9 {
		t.Errorf("counties: got %d, want 9", n)
	}
	t.Logf("page of 199 centers: %d bytes", w.Body.Len())
}

func preview(t *testing.T) {
	view := live.New(live.Config{Log: quiet()})
	c := newCity(view, time.Now, *previewSize)
	c.trouble()
	c.abuse(2)
	view.ApplyBroker(true)
	c.outage("621228")
	go func() { _ = view.Run(t.Context()) }()
	go func() {
		second := -1
		for range time.Tick(time.Second) {
			second++
			for i, id := range c.ids {
				if i%10 == second%10 && i%37 != 29 && id.County() != "621228" && i%53 != 31 {
					s := c.status(i, id)
					if id == c.ids[2] {
						s.Session = "session-boot-2"
					}
					view.ApplyStatus(s.Heartbeat(), false)
				}
			}
			if second%15 == 14 {
				typ := []string{longan.AlarmRestored, longan.AlarmRaised}[second/15%2]
				c.alarm(1, uint64(second), typ, "panic-button", "panic", time.Now())
			}
		}
	}()
	server := New(Config{View: view, Letters: someLetters(time.Now()), Log: slog.Default()})
	t.Log(http.ListenAndServe(*previewAddr, server.Handler()))
}
