package web

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/cloud/internal/live"
)

func TestDelivery(t *testing.T) {
	alarm := func(s live.Stream) live.StreamState {
		s.Lane = longan.Alarm
		return live.StreamState{Epoch: "e", Current: true, Stream: s}
	}
	state := func(s live.Stream) live.StreamState {
		s.Lane = longan.State
		return live.StreamState{Epoch: "e", Current: true, Stream: s}
	}
	tests := []struct {
		name     string
		streams  []live.StreamState
		complete bool
		zh, en   string
	}{
		{"nothing", nil, false, "尚无事件", "No events yet"},
		{"complete", []live.StreamState{alarm(live.Stream{Acked: 17, Max: 17}), state(live.Stream{Acked: 2041, Max: 2041})}, true,
			"完整到 告警 17 · 状态 2041，无缺号", "Complete to alarms 17 · states 2041, no holes"},
		{"only of an earlier epoch", []live.StreamState{{Epoch: "d", Stream: live.Stream{Lane: longan.State, Acked: 5, Max: 9}}}, false,
			"尚无事件", "No events yet"},
		{"lost", []live.StreamState{alarm(live.Stream{Acked: 17, Max: 17}), state(live.Stream{Acked: 130, Max: 130, Holes: []live.Hole{{From: 81, To: 96, Reason: "full"}, {From: 120, To: 120, Reason: "x-ray"}}})}, false,
			"到 告警 17 · 状态 130；缺号：状态 81–96（设备存储已满）、状态 120（x-ray）",
			"To alarms 17 · states 130; missing: states 81–96 (the board was full), states 120 (x-ray)"},
		{"awaited", []live.StreamState{state(live.Stream{Acked: 130, Max: 140, Holes: []live.Hole{{From: 131, To: 135, Reason: "awaited"}}})}, false,
			"到 状态 140；缺号：状态 131–135（在途）", "To states 140; missing: states 131–135 (on the way)"},
		{"awaited, the store did not say so", []live.StreamState{state(live.Stream{Acked: 130, Max: 140})}, false,
			"到 状态 140；缺号：状态 131–140（在途）", "To states 140; missing: states 131–140 (on the way)"},
		{"all lost so far", []live.StreamState{state(live.Stream{Acked: 10, Holes: []live.Hole{{From: 1, To: 10, Reason: "damaged"}}})}, false,
			"到 状态 10；缺号：状态 1–10（设备存储损坏）", "To states 10; missing: states 1–10 (damaged on the board)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := deliveryOf(live.Center{Epoch: "e", Streams: tt.streams})
			if d.Complete != tt.complete || d.Text[zh] != tt.zh || d.Text[en] != tt.en {
				t.Errorf("got %t %q %q,\nwant %t %q %q", d.Complete, d.Text[zh], d.Text[en], tt.complete, tt.zh, tt.en)
			}
		})
	}
	many := deliveryOf(live.Center{Streams: []live.StreamState{state(live.Stream{Acked: 99, Max: 99, Holes: []live.Hole{{From: 1, To: 1}, {From: 3, To: 3}, {From: 5, To: 5}}})}})
	if got, want := many.in(zh, 2), "到 状态 99；缺号：状态 1、状态 3，另有 1 处"; got != want {
		t.Errorf("briefly: got %q, want %q", got, want)
	}
}

func TestDeliveryInTheAPI(t *testing.T) {
	s, c, _ := newServer(t, nil)
	c.view.ApplyStreams(c.ids[1], "9f86d081884c7d65", []live.Stream{{Lane: longan.State, Acked: 130, Max: 130, Holes: []live.Hole{{From: 3, To: 5, Reason: "full"}}}})
	var one centerJSON
	w := request(t, s, "/api/v1/centers/"+string(c.ids[1]))
	if err := json.Unmarshal(w.Body.Bytes(), &one); err != nil || one.Device != c.ids[1] || one.Delivery.Complete ||
		len(one.Delivery.Holes) != 1 || one.Delivery.Holes[0] != (laneHole{longan.State, live.Hole{From: 3, To: 5, Reason: "full"}}) {
		t.Errorf("center: got %+v, %v", one.Delivery, err)
	}
	var all snapshotJSON
	w = request(t, s, "/api/v1/centers")
	if err := json.Unmarshal(w.Body.Bytes(), &all); err != nil || len(all.Centers) != 3 || !all.Centers[0].Delivery.Complete || all.Instance != "test" {
		t.Errorf("centers: got %d, %v", len(all.Centers), err)
	}
	if n := strings.Count(w.Body.String(), `"centers":`); n != 1 {
		t.Errorf("the answer has %d lists of centers, want 1", n)
	}
}

func TestRefusalsAndClones(t *testing.T) {
	s, c, _ := newServer(t, nil)
	c.abuse(0)
	var one centerJSON
	w := request(t, s, "/api/v1/centers/"+string(c.ids[0]))
	if err := json.Unmarshal(w.Body.Bytes(), &one); err != nil || one.Conflict == nil || one.Conflict.Count != 1 || one.Collisions == nil || one.Collisions.Count != 2 || len(one.Refusals) != 3 {
		t.Errorf("center: got %+v %+v %+v, %v", one.Conflict, one.Collisions, one.Refusals, err)
	}
	for url, want := range map[string]int{
		"/api/v1/refusals":                            3,
		"/api/v1/refusals?limit=1":                    1,
		"/api/v1/refusals?device=" + string(c.ids[0]): 3,
		"/api/v1/refusals?device=" + string(c.ids[1]): 0,
	} {
		var answer refusalsAnswer
		if err := json.Unmarshal(request(t, s, url).Body.Bytes(), &answer); err != nil || len(answer.Refusals) != want {
			t.Errorf("%s: got %d, %v; want %d", url, len(answer.Refusals), err, want)
		}
	}
	for _, url := range []string{"/api/v1/refusals?device=x", "/api/v1/refusals?limit=0", "/api/v1/refusals?x=1"} {
		if w := request(t, s, url); w.Code != http.StatusBadRequest {
			t.Errorf("%s: got %d, want 400", url, w.Code)
		}
	}
	for lang, want := range map[string][]string{
		"zh": {"两块板子用了同一个编号", "2 个事件的编号已被别的事件占用", "拒收 12 条：发往不属于自己的主题"},
		"en": {"Two boards use one id", "2 events had a number that another event has", "12 refused: published outside its own topics"},
	} {
		page := request(t, s, "/?lang="+lang).Body.String()
		for _, text := range want {
			if strings.Count(page, text) != 1 {
				t.Errorf("page in %s: %q stands there %d times, want once", lang, text, strings.Count(page, text))
			}
		}
	}
}

// TestCorrectedTimes: the page shows when an alarm really was, and says that it
// is worked out.
func TestCorrectedTimes(t *testing.T) {
	s, c, now := newServer(t, nil)
	at := time.Date(2026, 11, 23, 7, 30, 5, 0, time.UTC)
	c.view.Restore([]live.Stored{{Event: longan.Event{Device: c.ids[0], Epoch: "e", Lane: longan.Alarm, Seq: 1, Type: longan.AlarmRaised,
		Point: "smoke", Time: time.Unix(77, 0), Clock: longan.ClockFloor, Boot: "b"}, Received: now.t, Corrected: at, CorrectedClock: longan.ClockNTP}})
	for lang, want := range map[string]string{"zh": "11-23 15:30:05</time> <em title=\"设备时钟当时不准", "en": ">Corrected</em>"} {
		if page := request(t, s, "/?lang="+lang).Body.String(); strings.Count(page, want) != 2 || strings.Contains(page, text(parse(lang), "notime")+"<") {
			t.Errorf("page in %s: does not show %q among the open and the recent", lang, want)
		}
	}
	var answer alarmsAnswer
	if err := json.Unmarshal(request(t, s, "/api/v1/alarms").Body.Bytes(), &answer); err != nil || len(answer.Open) != 1 ||
		!answer.Open[0].Corrected.Equal(at) || !answer.Open[0].Time.Equal(time.Unix(77, 0)) {
		t.Errorf("alarms: got %+v, %v; want both times", answer.Open, err)
	}
	s.cfg.Events = storeFunc(func(Query) ([]Stored, error) {
		return []Stored{{ID: 1, Event: longan.Event{Seq: 1, Type: longan.DoorOpened, Time: time.Unix(77, 0), Clock: longan.ClockFloor}, Corrected: at, CorrectedClock: longan.ClockNTP}}, nil
	})
	var events struct{ Events []eventJSON }
	if err := json.Unmarshal(request(t, s, "/api/v1/events").Body.Bytes(), &events); err != nil || len(events.Events) != 1 ||
		!events.Events[0].Corrected.Equal(at) || events.Events[0].CorrectedClock != longan.ClockNTP || !events.Events[0].Time.Equal(time.Unix(77, 0)) {
		t.Errorf("events: got %+v, %v; want both times", events.Events, err)
	}
}

func TestShifted(t *testing.T) {
	at := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		a    live.Alarm
		want bool
	}{
		"not corrected":                 {live.Alarm{Time: at}, false},
		"no time":                       {live.Alarm{Corrected: at}, true},
		"a lower bound":                 {live.Alarm{Time: at, Clock: longan.ClockFloor, Corrected: at}, true},
		"a clock that was nearly right": {live.Alarm{Time: at, Clock: longan.ClockRTC, Corrected: at.Add(-time.Second)}, false},
		"a clock that was wrong":        {live.Alarm{Time: at, Clock: longan.ClockRTC, Corrected: at.Add(-2 * time.Second)}, true},
	} {
		if got := shifted(tt.a); got != tt.want {
			t.Errorf("%s: got %t, want %t", name, got, tt.want)
		}
	}
}

func parse(s string) lang {
	l, _ := parseLang(s)
	return l
}
