package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/longan-edge/longan"
)

// letterBook is a LetterStore in memory.
type letterBook struct {
	mu    sync.Mutex
	all   []DeadLetter
	asked int
	err   error
}

func (b *letterBook) DeadLetters(_ context.Context, device longan.DeviceID, limit int) (out []DeadLetter, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	for _, l := range b.all {
		if (device == "" || l.Device == device) && len(out) < limit {
			l.Payload = nil
			out = append(out, l)
		}
	}
	return out, b.err
}

func (b *letterBook) DeadLetter(_ context.Context, id int64) (DeadLetter, bool, error) {
	for _, l := range b.all {
		if l.ID == id {
			return l, true, b.err
		}
	}
	return DeadLetter{}, false, b.err
}

func someLetters(now time.Time) *letterBook {
	return &letterBook{all: []DeadLetter{
		{ID: 2, Device: "621202107-01", Lane: longan.State, ReceivedAt: now.Add(-time.Minute), Reason: "store-refuses", Error: "event 9: <b>", CRC: 0x9ae0daaf, Tries: 3, Size: 7, Payload: []byte(`{"v":1}`)},
		{ID: 1, Device: "621228100-01", Lane: longan.Alarm, ReceivedAt: now.Add(-time.Hour), Reason: "bad-message", Tries: 1, Size: 4, Payload: []byte{0xff, 1, 2, 3}},
	}}
}

func TestDeadLetters(t *testing.T) {
	s, _, now := newServer(t, nil)
	if w := request(t, s, "/api/v1/dead-letters"); w.Code != http.StatusServiceUnavailable {
		t.Errorf("without a store: got %d, want 503", w.Code)
	}
	if page := request(t, s, "/").Body.String(); !strings.Contains(page, `<section id="letters" data-rev="0" hidden>`) {
		t.Error("a page without dead letters shows some")
	}
	book := someLetters(now.t)
	s.cfg.Letters = book
	for url, want := range map[string][]int64{
		"/api/v1/dead-letters":                     {2, 1},
		"/api/v1/dead-letters?limit=1":             {2},
		"/api/v1/dead-letters?device=621228100-01": {1},
	} {
		var answer struct{ DeadLetters []letterJSON }
		if err := json.Unmarshal(request(t, s, url).Body.Bytes(), &answer); err != nil || len(answer.DeadLetters) != len(want) {
			t.Fatalf("%s: got %+v, %v", url, answer, err)
		}
		for i, l := range answer.DeadLetters {
			if l.ID != want[i] || l.Payload != nil || len(l.CRC) != 8 {
				t.Errorf("%s: got %+v, want %d without a payload", url, l, want[i])
			}
		}
	}
	for url, want := range map[string]int{
		"/api/v1/dead-letters?device=x": 400, "/api/v1/dead-letters?limit=0": 400, "/api/v1/dead-letters/x": 400,
		"/api/v1/dead-letters/0": 400, "/api/v1/dead-letters/3": 404, "/api/v1/dead-letters/1?x=1": 400,
	} {
		if w := request(t, s, url); w.Code != want {
			t.Errorf("%s: got %d, want %d", url, w.Code, want)
		}
	}
	var l letterJSON
	if err := json.Unmarshal(request(t, s, "/api/v1/dead-letters/2").Body.Bytes(), &l); err != nil || string(l.Message) != `{"v":1}` || l.CRC != "9ae0daaf" || string(l.Payload) != `{"v":1}` {
		t.Errorf("one that is JSON: got %+v, %v", l, err)
	}
	l = letterJSON{}
	if err := json.Unmarshal(request(t, s, "/api/v1/dead-letters/1").Body.Bytes(), &l); err != nil || l.Message != nil || !bytes.Equal(l.Payload, []byte{0xff, 1, 2, 3}) {
		t.Errorf("one that is rubbish: got %+v, %v", l, err)
	}
	book.err = errors.New("disk is on fire")
	for _, url := range []string{"/api/v1/dead-letters", "/api/v1/dead-letters/1"} {
		if w := request(t, s, url); w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "fire") {
			t.Errorf("%s with a store that fails: got %d %s", url, w.Code, w.Body)
		}
	}
}

func TestDeadLettersOnThePage(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	synctest.Test(t, func(t *testing.T) {
		s, _ := liveServer()
		book := &letterBook{}
		s.cfg.Letters = book
		w, cancel := listen(t, s, "/api/v1/stream?html=en", "")
		defer cancel()
		time.Sleep(time.Minute)
		book.mu.Lock()
		if n := book.asked; n > 6 {
			t.Errorf("asked %d times in a minute, want one in %v", n, lettersEvery)
		}
		book.all = someLetters(time.Now()).all
		book.mu.Unlock()
		if got := names(w.take()); strings.Contains(got, eventLetters) {
			t.Errorf("without any: told %q", got)
		}
		time.Sleep(2 * lettersEvery)
		synctest.Wait()
		var told []sectionHTML
		for _, e := range w.take() {
			if e.name == eventLetters {
				var section sectionHTML
				if err := json.Unmarshal([]byte(e.data), &section); err != nil {
					t.Fatal(err)
				}
				told = append(told, section)
			}
		}
		if len(told) != 1 || !strings.Contains(told[0].HTML, "the store can&#39;t take it") {
			t.Errorf("told %+v, want the section once", told)
		}
		if page := request(t, s, "/?lang=zh").Body.String(); !strings.Contains(page, "武都区") || !strings.Contains(page, "event 9: &lt;b&gt;") || strings.Count(page, "/api/v1/dead-letters/") != 2 {
			t.Error("the page does not list both letters, escaped")
		}
	})
}
