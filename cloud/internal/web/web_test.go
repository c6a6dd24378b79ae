package web

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/cloud/internal/live"
)

var update = flag.Bool("update", false, "write the golden files anew")

// storeFunc is an EventStore made of a function.
type storeFunc func(Query) ([]Stored, error)

func (f storeFunc) Events(_ context.Context, q Query) ([]Stored, error) { return f(q) }

// newServer returns a server over a made-up city of three centers.
func newServer(t *testing.T, events EventStore) (*Server, *city, *movable) {
	t.Helper()
	now := fixedClock()
	view := live.New(live.Config{Now: now.now, Log: quiet(), Instance: "test"})
	c := newCity(view, now.now, 3)
	s := New(Config{View: view, Events: events, Now: now.now, Log: quiet()})
	s.build = "build" // golden files do not change with the style
	return s, c, now
}

// request returns the answer to a GET with headers in pairs.
func request(t *testing.T, s *Server, url string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("read golden file: %v (make it with -update)", err)
	}
	g, w := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
	for i := range max(len(g), len(w)) {
		if i >= len(g) || i >= len(w) || g[i] != w[i] {
			t.Errorf("%s, line %d:\ngot  %s\nwant %s", path, i+1, strings.Join(g[min(i, len(g)):min(i+1, len(g))], ""), strings.Join(w[min(i, len(w)):min(i+1, len(w))], ""))
			return
		}
	}
}

// TestPage fixes a page in which everything that can be shown is shown.
func TestPage(t *testing.T) {
	s, c, now := newServer(t, nil)
	c.trouble()
	c.abuse(0)
	s.cfg.Letters = someLetters(now.t)
	cut := c.status(1, c.ids[1])
	cut.Full, cut.Clock = true, longan.ClockFloor
	cut.Backlog = map[longan.Lane]uint64{longan.State: 4211}
	cut.Points = map[string]longan.PointStatus{
		"back-door":     {State: longan.Fault, Kind: "door", Label: "后门", Peripheral: "inputs", Age: time.Second},
		"printer-paper": {State: longan.Active, Kind: "kiosk", Label: "打印纸", Peripheral: "printer", Detail: "paper-out", Age: time.Minute},
	}
	cut.Peripherals = map[string]longan.PeripheralStatus{"printer": {Label: "打印机", Error: "read status: peripheral is silent", Age: time.Minute}}
	s.cfg.View.ApplyStatus(cut, false)
	s.cfg.View.ApplyStreams(c.ids[1], "9f86d081884c7d65", []live.Stream{{Lane: longan.State, Acked: 130, Max: 140,
		Holes: []live.Hole{{From: 3, To: 5, Reason: "not-kept"}, {From: 9, To: 9}}}})
	now.t = now.t.Add(3 * time.Second)
	for _, l := range langs {
		w := request(t, s, "/?lang="+string(l))
		if w.Code != http.StatusOK || w.Header().Get("Content-Language") != string(l) {
			t.Errorf("%s: status %d, language %q", l, w.Code, w.Header().Get("Content-Language"))
		}
		golden(t, "page."+string(l)+".html", w.Body.Bytes())
	}
}

func TestLanguage(t *testing.T) {
	s, _, _ := newServer(t, nil)
	tests := []struct {
		name   string
		url    string
		header []string
		want   string
	}{
		{"nothing said", "/", nil, "zh"},
		{"asked for", "/?lang=en", nil, "en"},
		{"remembered", "/", []string{"Cookie", "lang=en"}, "en"},
		{"asked for beats remembered", "/?lang=zh", []string{"Cookie", "lang=en"}, "zh"},
		{"no language of ours", "/?lang=fr", nil, "zh"},
		{"broken cookie", "/", []string{"Cookie", "lang=../x"}, "zh"},
		{"browser in English", "/", []string{"Accept-Language", "en-US,en;q=0.9,zh;q=0.5"}, "en"},
		{"browser in Chinese that knows English", "/", []string{"Accept-Language", "zh-CN,zh;q=0.9,en;q=0.8"}, "zh"},
		{"browser in Tibetan", "/", []string{"Accept-Language", "bo,en;q=0.5"}, "zh"},
		{"any", "/", []string{"Accept-Language", "*"}, "zh"},
		{"rubbish", "/", []string{"Accept-Language", "en;q=x,;;,"}, "zh"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := request(t, s, tt.url, tt.header...)
			if got := w.Header().Get("Content-Language"); got != tt.want {
				t.Errorf("language: got %q, want %q", got, tt.want)
			}
			wantCookie := strings.HasSuffix(tt.url, "=en") || strings.HasSuffix(tt.url, "=zh")
			if got := w.Header().Get("Set-Cookie") != ""; got != wantCookie {
				t.Errorf("cookie set: got %t, want %t", got, wantCookie)
			}
		})
	}
}

func TestTextsAreComplete(t *testing.T) {
	for key, both := range texts {
		if both.zh == "" || both.en == "" {
			t.Errorf("text %q: zh %q, en %q; want both", key, both.zh, both.en)
		}
	}
}

func TestHeaders(t *testing.T) {
	s, _, _ := newServer(t, nil)
	for _, url := range []string{"/", "/api/v1/centers", "/assets/app.js", "/nothing", "/healthz"} {
		h := request(t, s, url).Header()
		if csp := h.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'self'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: Content-Security-Policy %q", url, csp)
		}
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: headers %v", url, h)
		}
	}
	if got := request(t, s, "/assets/app.css?v=build").Header().Get("Cache-Control"); !strings.Contains(got, "immutable") {
		t.Errorf("asset of this build: Cache-Control %q, want immutable", got)
	}
	page := request(t, s, "/").Body.String()
	for _, bad := range []string{"http://", "https://", " style=", "onclick", "<style"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %q: nothing may be inline or from elsewhere", bad)
		}
	}
}

// TestHostileBoard lets a board call itself and its points what a page must
// not take for its own.
func TestHostileBoard(t *testing.T) {
	s, c, _ := newServer(t, nil)
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(2)>'`
	st := c.status(0, c.ids[0])
	st.Full, st.Name, st.Version = true, evil, evil
	st.Points = map[string]longan.PointStatus{"front-door": {State: longan.Fault, Kind: evil, Label: evil, Peripheral: evil, Detail: evil}}
	st.Peripherals = map[string]longan.PeripheralStatus{"p": {Driver: evil, Label: evil, Error: evil}}
	s.cfg.View.ApplyStatus(st, false)
	s.cfg.View.ApplyStreams(c.ids[0], "e", []live.Stream{{Lane: longan.State, Max: 9, Holes: []live.Hole{{From: 1, To: 2, Reason: evil}}}})
	s.cfg.View.ApplyEvents([]longan.Event{{Device: c.ids[0], Epoch: "e", Lane: longan.Alarm, Seq: 1, Type: longan.AlarmRaised,
		Point: "front-door", Clock: longan.ClockNTP, Data: mustJSON(t, map[string]string{"cause": evil})}})
	card, err := s.render(zh, "card.html", s.cfg.View.Snapshot().Centers[0])
	if err != nil {
		t.Fatal(err)
	}
	for name, html := range map[string]string{"page": request(t, s, "/").Body.String(), "card": card} {
		if strings.Contains(html, "<script>alert") || strings.Contains(html, "<img") {
			t.Errorf("%s: a label got through unescaped", name)
		}
		if n := strings.Count(html, "alert(1)"); n < 5 {
			t.Errorf("%s: the labels are shown %d times, want them shown escaped", name, n)
		}
	}
	for _, url := range []string{"/api/v1/centers", "/api/v1/alarms"} {
		w := request(t, s, url)
		if strings.Contains(w.Body.String(), "<") || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s: not valid JSON without markup: %s", url, w.Body)
		}
	}
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestAPI(t *testing.T) {
	var asked Query
	stored := Stored{ID: 7, StoredAt: time.Date(2026, 11, 23, 8, 0, 1, 0, time.UTC), Event: longan.Event{Device: "621202001-01", Epoch: "e",
		Lane: longan.State, Seq: 3, Type: longan.DoorOpened, Point: "front-door", Mono: 1500 * time.Millisecond}}
	s, c, _ := newServer(t, storeFunc(func(q Query) ([]Stored, error) {
		asked = q
		return []Stored{stored}, nil
	}))
	c.trouble()
	tests := []struct{ url, want string }{
		{"/api/v1/centers", `"counts":{"offline":1,"online":2}`},
		{"/api/v1/centers", `"device":"621202003-01"`},
		{"/api/v1/centers/621202001-01", `"name":"钟楼街道综治中心","township":"钟楼街道","county":"武都区"`},
		{"/api/v1/alarms?limit=1", `"cause":"panic"`},
		{"/api/v1/events?device=621202001-01&lane=state&type=door.opened&before=8&limit=5", `{"events":[{"id":7,"device":"621202001-01","epoch":"e",` +
			`"lane":"state","seq":3,"type":"door.opened","point":"front-door","mono":1500,"received":"2026-11-23T08:00:01Z"}]`},
		{"/healthz", `"ok":true`},
	}
	for _, tt := range tests {
		w := request(t, s, tt.url)
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), tt.want) {
			t.Errorf("%s: status %d, want 200 and %s in\n%s", tt.url, w.Code, tt.want, w.Body)
		}
	}
	if asked.Device != "621202001-01" || asked.Type != longan.DoorOpened || asked.Lane == nil || *asked.Lane != longan.State || asked.Before != 8 || asked.Limit != 5 {
		t.Errorf("query: got %+v", asked)
	}
	var got struct{ Recent []live.Alarm }
	if err := json.Unmarshal(request(t, s, "/api/v1/alarms?limit=1").Body.Bytes(), &got); err != nil || len(got.Recent) != 1 {
		t.Errorf("alarms?limit=1: %d recent, %v; want 1", len(got.Recent), err)
	}
}

func TestBadRequests(t *testing.T) {
	s, _, _ := newServer(t, storeFunc(func(Query) ([]Stored, error) { return nil, errors.New("disk on fire") }))
	tests := []struct {
		url    string
		code   int
		zh, en string // parts of the texts
	}{
		{"/api/v1/events?limit=0", 400, "limit 应为 1 到 1000", "limit: want a whole number from 1 to 1000"},
		{"/api/v1/events?limit=1001", 400, "limit", "limit"},
		{"/api/v1/events?limit=", 400, "limit", "limit"},
		{"/api/v1/events?limit=1e3", 400, "limit", "limit"},
		{"/api/v1/events?before=0", 400, "before 应为", "before: want"},
		{"/api/v1/events?before=-1", 400, "before", "before"},
		{"/api/v1/events?before=99999999999999999999", 400, "before", "before"},
		{"/api/v1/events?device=x", 400, "device 不是设备号", "device is no device id"},
		{"/api/v1/events?lane=fast", 400, "lane 应为", "lane: want"},
		{"/api/v1/events?type=Door", 400, "type 应为", "type: want"},
		{"/api/v1/events?lmit=5", 400, "不认识的参数", "unknown parameter"},
		{"/api/v1/events?limit=1&limit=2", 400, "多次", "more than once"},
		{"/api/v1/events?limit=%zz", 400, "无法解析", "can't be parsed"},
		{"/api/v1/alarms?limit=201", 400, "1 到 200", "1 to 200"},
		{"/api/v1/centers?x=1", 400, "不认识的参数", "unknown parameter"},
		{"/api/v1/centers/nowhere", 400, "device", "device"},
		{"/api/v1/stream?x=1", 400, "不认识的参数", "unknown parameter"},
		{"/api/v1/centers/621202004-99", 404, "没有这个设备", "no such device"},
		{"/api/v2/centers", 404, "没有这个地址", "no such address"},
		{"/api/v1/events", 503, "读取事件存储失败", "reading the event store"},
	}
	for _, tt := range tests {
		for l, want := range map[string]string{"zh-CN": tt.zh, "en": tt.en} {
			w := request(t, s, tt.url, "Accept-Language", l)
			var got struct{ Error string }
			err := json.Unmarshal(w.Body.Bytes(), &got)
			if w.Code != tt.code || err != nil || !strings.Contains(got.Error, want) {
				t.Errorf("%s in %s: got %d %s, want %d with %q", tt.url, l, w.Code, w.Body, tt.code, want)
			}
		}
	}
}

// TestMethods: the API is read only, and a stream needs somebody who reads.
func TestMethods(t *testing.T) {
	s, _, _ := newServer(t, nil)
	for _, tt := range []struct {
		method, url string
		code        int
	}{
		{"POST", "/", 405}, {"POST", "/api/v1/events", 405}, {"DELETE", "/api/v1/centers/621202004-01", 405},
		{"PUT", "/api/v1/stream", 405}, {"POST", "/api/v2", 405}, {"HEAD", "/", 200}, {"HEAD", "/api/v1/stream", 200},
	} {
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), tt.method, tt.url, nil))
		if w.Code != tt.code || (w.Code == 405 && w.Header().Get("Allow") != "GET, HEAD") {
			t.Errorf("%s %s: got %d, allow %q; want %d", tt.method, tt.url, w.Code, w.Header().Get("Allow"), tt.code)
		}
	}
}

func FuzzEventsQuery(f *testing.F) {
	for _, seed := range []string{"", "device=621202001-01&limit=5", "limit=-1", "before=%31", "lane=alarm&type=a.b", "a=1&a=2", "%", "limit=1;limit=2", "lang=en"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		q, bad := parseEventsQuery(raw)
		if bad != nil {
			if bad.in(zh) == "" || bad.in(en) == "" {
				t.Errorf("%q: refused without a word", raw)
			}
			return
		}
		if q.Limit < 1 || q.Limit > MaxLimit || q.Before < 0 {
			t.Errorf("%q: got %+v", raw, q)
		}
		if q.Device != "" && q.Device.Township() == "" {
			t.Errorf("%q: device %q", raw, q.Device)
		}
	})
}

func FuzzEventID(f *testing.F) {
	for _, seed := range []string{"test-1", "a-b-18446744073709551615", "-", "x", "x--1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, id string) {
		instance, rev, ok := parseEventID(id)
		if !ok {
			return
		}
		again, n, ok := parseEventID(eventID(instance, rev))
		if !ok || again != instance || n != rev {
			t.Errorf("%q: got %q, %d, then %q, %d", id, instance, rev, again, n)
		}
	})
}
