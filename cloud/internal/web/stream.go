package web

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/cloud/internal/live"
)

const (
	// beatEvery is the time between heartbeats of a stream. The page gives its
	// server up after a little more than two of them.
	beatEvery = 2 * time.Second
	// alarmsEvery bounds how often a page gets its lists of alarms anew.
	alarmsEvery = 300 * time.Millisecond
	// writeWait is how long a client may take to take what is written to it.
	writeWait = 10 * time.Second
)

// stream answers with server-sent events until the client leaves, falls too
// far behind, or Close. It takes ?html=zh|en for a page, and resumes after the
// Last-Event-ID header or ?after=.
func (s *Server) stream(w http.ResponseWriter, r *http.Request) {
	p, bad := parseParams(r.URL.RawQuery, "html", "after")
	if bad != nil {
		s.fail(w, r, http.StatusBadRequest, bad)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.Header().Set("X-Accel-Buffering", "no") // or nginx holds events back
	if r.Method == http.MethodHead {
		return // nobody would see the events, and the stream would never end
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	default:
		s.fail(w, r, http.StatusServiceUnavailable, &badQuery{key: "err.streams"})
		return
	}
	c := &client{s: s, w: w, rc: http.NewResponseController(w), heard: map[longan.DeviceID]bool{}, aged: map[longan.DeviceID]bool{}}
	c.html, c.page = parseLang(p["html"])
	after := r.Header.Get("Last-Event-ID")
	if after == "" {
		after = p["after"]
	}
	if err := c.serve(r, after); err != nil {
		s.cfg.Log.Debug("stream ended", "err", err)
	}
}

// client is one open stream. Its handler's goroutine alone uses it.
type client struct {
	s    *Server
	w    http.ResponseWriter
	rc   *http.ResponseController
	html lang
	page bool

	instance string
	rev      uint64 // everything up to it was sent
	buf      bytes.Buffer
	heard    map[longan.DeviceID]bool // since the last beat
	aged     map[longan.DeviceID]bool
	alarmsAt time.Time // when the lists of alarms were sent
	letters  uint64    // the version of the dead letters that the page has
}

func (c *client) serve(r *http.Request, after string) error {
	view := c.s.cfg.View
	sub := view.Subscribe(r.Context())
	defer sub.Close()
	if err := c.begin(after); err != nil {
		return err
	}
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	// A read timeout of the server would end the stream; not every writer
	// knows deadlines.
	_ = c.rc.SetReadDeadline(time.Time{})
	lists := time.NewTimer(0)
	lists.Stop()
	defer lists.Stop()
	for {
		var err error
		select {
		case <-r.Context().Done():
			return nil
		case <-c.s.done:
			return nil
		case <-tick.C:
			if err = c.mail(r.Context()); err == nil {
				err = c.beat()
			}
		case <-lists.C:
			err = c.alarms()
		case <-sub.Ready():
			changes, rev := sub.Take()
			var again bool
			if again, err = c.send(changes, rev); again {
				lists.Reset(max(0, alarmsEvery-time.Since(c.alarmsAt)))
			}
		}
		if err == nil {
			err = c.flush()
		}
		if err != nil {
			return err
		}
	}
}

// begin sends what the client missed, or everything.
func (c *client) begin(after string) error {
	fmt.Fprintf(&c.buf, "retry: 2000\n\n")
	var delta live.Delta
	instance, rev, ok := parseEventID(after)
	if ok {
		delta, ok = c.s.cfg.View.Since(instance, rev)
	}
	c.instance, _ = c.s.cfg.View.Rev()
	var err error
	if ok {
		c.rev = rev
		err = c.resume(delta)
	} else {
		err = c.resync()
	}
	if err == nil {
		err = c.beat()
	}
	if err != nil {
		return err
	}
	return c.flush()
}

func (c *client) resume(d live.Delta) error {
	for i := range d.Alarms {
		if err := c.event(eventAlarm, &d.Alarms[i]); err != nil {
			return err
		}
	}
	for i := range d.Incidents {
		if err := c.event(eventIncident, &d.Incidents[i]); err != nil {
			return err
		}
	}
	for i := range d.Centers {
		if err := c.center(&d.Centers[i]); err != nil {
			return err
		}
	}
	if c.page && len(d.Incidents) > 0 {
		if err := c.incidents(); err != nil {
			return err
		}
	}
	if c.page && len(d.Alarms)+len(d.Centers) > 0 {
		if err := c.alarms(); err != nil {
			return err
		}
	}
	c.rev = d.Rev
	return nil
}

func (c *client) resync() error {
	if c.page {
		_, c.rev = c.s.cfg.View.Rev()
		return c.event(eventResync, struct{}{})
	}
	snap := c.s.cfg.View.Snapshot()
	c.rev = snap.Rev
	return c.event(eventResync, withDelivery(snap))
}

// send writes changes; what is only about ages waits for the next beat. It
// reports whether the page's lists of alarms are due.
func (c *client) send(changes []live.Change, rev uint64) (lists bool, err error) {
	incidents := false
	for i := range changes {
		ch := &changes[i]
		switch ch.Kind {
		case live.ChangeResync:
			if err := c.resync(); err != nil {
				return false, err
			}
			continue
		case live.ChangeAlarm:
			lists = c.page
			err = c.event(eventAlarm, &ch.Alarm)
		case live.ChangeIncident:
			incidents = c.page
			err = c.event(eventIncident, ch.Incident)
		case live.ChangeCenter:
			if center, ok := c.s.cfg.View.Center(ch.Device); ok {
				err = c.center(&center)
			}
		case live.ChangeAges:
			c.aged[ch.Device] = true
		case live.ChangeHeard:
			c.heard[ch.Device] = true
		}
		if err != nil {
			return false, err
		}
	}
	c.rev = max(c.rev, rev)
	if incidents {
		if err := c.incidents(); err != nil {
			return false, err
		}
	}
	if lists && time.Since(c.alarmsAt) >= alarmsEvery {
		return false, c.alarms()
	}
	return lists, nil
}

func (c *client) center(v *live.Center) error {
	delete(c.aged, v.Device)
	delete(c.heard, v.Device)
	if !c.page {
		return c.event(eventCenter, centerJSON{*v, deliveryOf(*v)})
	}
	html, err := c.s.render(c.html, "card.html", *v)
	if err != nil {
		return err
	}
	return c.event(eventCenter, centerHTML{v.Device, v.Rev, html})
}

func (c *client) alarms() error {
	snap := c.s.cfg.View.Snapshot()
	v := alarmsOf(snap)
	open, err := c.s.render(c.html, "open.html", v)
	if err != nil {
		return err
	}
	recent, err := c.s.render(c.html, "recent.html", v)
	if err != nil {
		return err
	}
	c.alarmsAt = time.Now()
	return c.event(eventAlarms, alarmsHTML{snap.Rev, open, recent})
}

func (c *client) incidents() error {
	v := incidentsOf(c.s.cfg.View.Snapshot())
	html, err := c.s.render(c.html, "incidents.html", v)
	if err != nil {
		return err
	}
	return c.event(eventIncidents, sectionHTML{v.Rev, html})
}

// mail sends the section on dead letters to a page that has not the latest.
func (c *client) mail(ctx context.Context) error {
	if !c.page {
		return nil
	}
	v := c.s.letters(ctx)
	if v.Version == c.letters {
		return nil
	}
	html, err := c.s.render(c.html, "letters.html", v)
	if err != nil {
		return err
	}
	c.letters = v.Version
	return c.event(eventLetters, sectionHTML{v.Version, html})
}

func (c *client) beat() error {
	for d := range c.aged {
		if v, ok := c.s.cfg.View.Center(d); ok {
			if err := c.center(&v); err != nil {
				return err
			}
		}
	}
	b := beat{Time: c.s.cfg.Now(), ID: eventID(c.instance, c.rev), Build: c.s.build, Heard: map[longan.DeviceID]int64{}}
	for d := range c.heard {
		if v, ok := c.s.cfg.View.Center(d); ok {
			b.Heard[d] = v.HeardAge
			if !v.AsOf.Equal(v.Heard) {
				if b.AsOf == nil {
					b.AsOf = map[longan.DeviceID]int64{}
				}
				b.AsOf[d] = v.AsOfAge
			}
		}
	}
	clear(c.aged)
	clear(c.heard)
	return c.event(eventBeat, b)
}

// event writes one event to the buffer. Its id names the revision up to which
// the client had everything before it: a client that resumes there gets some
// events twice, and none never.
func (c *client) event(name string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	fmt.Fprintf(&c.buf, "id: %s\nevent: %s\ndata: %s\n\n", eventID(c.instance, c.rev), name, data)
	return nil
}

// flush sends the buffer. A client that takes nothing for writeWait is dropped.
func (c *client) flush() error {
	if c.buf.Len() == 0 {
		return nil
	}
	// A recorder or a proxy's writer may know no deadlines; then the server's
	// own bound the write.
	_ = c.rc.SetWriteDeadline(time.Now().Add(writeWait))
	if _, err := c.w.Write(c.buf.Bytes()); err != nil {
		return fmt.Errorf("write stream: %w", err)
	}
	c.buf.Reset()
	if err := c.rc.Flush(); err != nil {
		return fmt.Errorf("flush stream: %w", err)
	}
	return nil
}
