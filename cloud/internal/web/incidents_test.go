package web

import (
	"encoding/json"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/cloud/internal/live"
)

// outage lets the brokers say of all centers of a county that they are gone.
func (c *city) outage(county string) (n int) {
	for i, id := range c.ids {
		if id.County() == county {
			s := c.status(i, id)
			s.State, s.N = longan.Offline, 0
			c.view.ApplyStatus(s, false)
			n++
		}
	}
	return n
}

func TestIncidents(t *testing.T) {
	now := fixedClock()
	view := live.New(live.Config{Now: now.now, Log: quiet()})
	c := newCity(view, now.now, 199)
	s := New(Config{View: view, Now: now.now, Log: quiet()})
	if page := request(t, s, "/").Body.String(); !strings.Contains(page, `<section id="incidents"`) || strings.Contains(page, `class="incident`) {
		t.Error("a page without incidents shows one, or has no place for it")
	}
	n := c.outage("621228")
	var answer incidentsAnswer
	w := request(t, s, "/api/v1/incidents")
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != http.StatusOK {
		t.Fatalf("incidents: %d %v", w.Code, err)
	}
	if len(answer.Incidents) != 1 || answer.Incidents[0].Count != n || answer.Incidents[0].Kind != live.ManyLost || len(answer.Incidents[0].Centers) != n {
		t.Errorf("incidents: got %+v, want one of %d centers", answer.Incidents, n)
	}
	for lang, want := range map[string]string{
		"zh": "12 个中心几乎同时离线，多半是停电或运营商故障：两当县 12/12。",
		"en": "12 centers went offline almost at once, probably a power cut or the carrier: 两当县 12/12.",
	} {
		if page := request(t, s, "/?lang="+lang).Body.String(); strings.Count(page, want) != 1 || strings.Count(page, `href="#c-621228`) != n {
			t.Errorf("page in %s does not say %q with %d places", lang, want, n)
		}
	}
	if w := request(t, s, "/api/v1/incidents?x=1"); w.Code != http.StatusBadRequest {
		t.Errorf("unknown parameter: got %d, want 400", w.Code)
	}
}

// TestStreamOfTheCitysOwnTrouble: a lost broker is told at once, to programs and
// to pages, and so is its end.
func TestStreamOfTheCitysOwnTrouble(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	synctest.Test(t, func(t *testing.T) {
		s, c := liveServer()
		go func() { _ = c.view.Run(t.Context()) }()
		c.view.ApplyBroker(true)
		program, cancel := listen(t, s, "/api/v1/stream", "")
		defer cancel()
		page, cancel := listen(t, s, "/api/v1/stream?html=zh", "")
		defer cancel()
		last := func(w *wire, name string) (data string) {
			synctest.Wait()
			for _, e := range w.take() {
				if e.name == name {
					data = e.data
				}
			}
			return data
		}
		c.view.ApplyBroker(false)
		time.Sleep(4 * time.Second)
		var in live.Incident
		if err := json.Unmarshal([]byte(last(program, "incident")), &in); err != nil || in.Kind != live.CityLink || in.Count != 3 {
			t.Errorf("told %+v, %v; want the city's link, with 3 centers", in, err)
		}
		if html := last(page, "incidents"); !strings.Contains(html, "3 个中心现在的情况无从得知") {
			t.Errorf("page: got %q", html)
		}
		c.view.ApplyBroker(true)
		for i, id := range c.ids {
			c.view.ApplyStatus(c.status(i, id).Heartbeat(), false)
		}
		time.Sleep(11 * time.Second)
		if err := json.Unmarshal([]byte(last(program, "incident")), &in); err != nil || in.Ended.IsZero() || in.Back != 3 {
			t.Errorf("told %+v, %v; want it to be over", in, err)
		}
		if html := last(page, "incidents"); !strings.Contains(html, "结束于") {
			t.Errorf("page: got %q", html)
		}
	})
}

// TestBeatTellsHowOldThePointsAre: a heartbeat says that nothing changed, an event
// says nothing of the other points, and behind a missing status nobody knows.
func TestBeatTellsHowOldThePointsAre(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	synctest.Test(t, func(t *testing.T) {
		s, c := liveServer()
		w, cancel := listen(t, s, "/api/v1/stream", "")
		defer cancel()
		w.take()
		time.Sleep(time.Second)
		c.view.ApplyStatus(c.status(0, c.ids[0]).Heartbeat(), false)
		c.said[c.ids[1]]++ // one is missing
		c.view.ApplyStatus(c.status(1, c.ids[1]).Heartbeat(), false)
		c.view.ApplyEvents([]longan.Event{{Device: c.ids[2], Epoch: "9f86d081884c7d65", Lane: longan.Sample, Seq: 1, Type: "x.y", Boot: "boot-1"}})
		time.Sleep(time.Second)
		synctest.Wait()
		events := w.take()
		var b beat
		if err := json.Unmarshal([]byte(events[len(events)-1].data), &b); err != nil {
			t.Fatal(err)
		}
		if len(b.Heard) != 3 || b.Heard[c.ids[0]] != 1000 || len(b.AsOf) != 2 || b.AsOf[c.ids[1]] != 2000 || b.AsOf[c.ids[2]] != 2000 {
			t.Errorf("got heard %v, as of %v; want three heard 1 s ago, two as of 2 s ago", b.Heard, b.AsOf)
		}
	})
}
