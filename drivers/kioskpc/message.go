package kioskpc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/longan-edge/longan"
)

// Bounds of what a program may send.
const (
	maxBody     = 4 << 10 // bytes
	maxCounters = 32
	maxCount    = 1 << 40
)

// heartbeat says that a program runs.
type heartbeat struct {
	ID     string `json:"id"`     // which kiosk
	Seq    uint64 `json:"seq"`    // 1, 2, 3 … since the program started; repeated with what is sent again
	Uptime uint64 `json:"uptime"` // of the program, in seconds
	Status string `json:"status"` // ok, fault
	Code   string `json:"code"`   // what is wrong
}

// counters says how much a program did on a day.
type counters struct {
	ID       string            `json:"id"`
	Seq      uint64            `json:"seq"`
	Day      string            `json:"day"` // 2026-11-23, at the kiosk
	Counters map[string]uint64 `json:"counters"`
}

// decode reads one JSON object into v and nothing else: no other field, and
// nothing behind it.
func decode(body []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("body: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("body: want one JSON object and nothing behind it")
	}
	return nil
}

func parseHeartbeat(body []byte) (*heartbeat, error) {
	h := &heartbeat{}
	if err := decode(body, h); err != nil {
		return nil, err
	}
	switch {
	case !longan.ValidName(h.ID):
		return nil, errors.New(`id: want a-z, 0-9 and -, like "kiosk-1"`)
	case h.Seq == 0:
		return nil, errors.New("seq: want 1, 2, 3 …")
	case h.Status == "ok" && h.Code != "":
		return nil, errors.New(`code: only with status "fault"`)
	case h.Status == "ok":
	case h.Status != "fault":
		return nil, errors.New(`status: want "ok" or "fault"`)
	case !longan.ValidName(h.Code):
		return nil, errors.New(`code: want a-z, 0-9 and - with status "fault", like "card-reader"`)
	}
	return h, nil
}

func parseCounters(body []byte) (*counters, error) {
	c := &counters{}
	if err := decode(body, c); err != nil {
		return nil, err
	}
	switch {
	case !longan.ValidName(c.ID):
		return nil, errors.New(`id: want a-z, 0-9 and -, like "queue-1"`)
	case c.Seq == 0:
		return nil, errors.New("seq: want 1, 2, 3 …")
	case len(c.Counters) == 0 || len(c.Counters) > maxCounters:
		return nil, fmt.Errorf("counters: want 1 to %d", maxCounters)
	}
	if _, err := time.Parse(time.DateOnly, c.Day); err != nil {
		return nil, errors.New(`day: want a date like "2026-11-23"`)
	}
	for name, n := range c.Counters {
		if !longan.ValidName(name) {
			return nil, errors.New(`counters: want names of a-z, 0-9 and -, like "tickets"`)
		}
		if n > maxCount {
			return nil, fmt.Errorf("counters: %s is too large", name)
		}
	}
	return c, nil
}

// data returns the data of the counters' event.
func (c *counters) data() ([]byte, error) {
	return json.Marshal(struct {
		Day      string            `json:"day"`
		Counters map[string]uint64 `json:"counters"`
	}{c.Day, c.Counters})
}
