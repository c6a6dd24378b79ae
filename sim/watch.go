package sim

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/longan-edge/longan"
)

// alarm is an alarm as the city's live feed tells it.
type alarm struct {
	Device longan.DeviceID
	County string
	Center string
	Epoch  string
	Seq    uint64
	Type   string
	Label  string
	Late   bool
}

// watch reads the city's live feed, as a page does, until ctx ends.
func (d *Demo) watch(ctx context.Context) {
	last := ""
	for ctx.Err() == nil {
		_ = d.watchOnce(ctx, &last) // it ends whenever the city does, and is tried again
		sleepUntil(ctx, time.Now().Add(100*time.Millisecond))
	}
}

func (d *Demo) watchOnce(ctx context.Context, last *string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+d.HTTP+"/api/v1/stream", nil)
	if err != nil {
		return err
	}
	if *last != "" {
		req.Header.Set("Last-Event-ID", *last)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 16<<20)
	event := ""
	for lines.Scan() {
		switch field, value, _ := strings.Cut(lines.Text(), ": "); field {
		case "id":
			*last = value
		case "event":
			event = value
		case "data":
			d.see(event, []byte(value), time.Now())
		}
	}
	return lines.Err()
}

func (d *Demo) see(event string, data []byte, at time.Time) {
	switch event {
	case "alarm":
		var a alarm
		if json.Unmarshal(data, &a) == nil {
			d.seeAlarm(a, at)
		}
	case "resync":
		var snapshot struct{ Recent []alarm }
		if json.Unmarshal(data, &snapshot) == nil {
			for i := range snapshot.Recent { // newest first
				d.seeAlarm(snapshot.Recent[len(snapshot.Recent)-1-i], at)
			}
		}
	}
}

func (d *Demo) seeAlarm(a alarm, at time.Time) {
	if !d.tally.Seen(a.Device, a.Epoch, a.Seq, a.Type, at) {
		return
	}
	late := ""
	if a.Late {
		late = "（补传 / late）"
	}
	switch a.Type {
	case longan.AlarmRaised:
		d.say("  ▲ 报警 / alarm: %s%s %s%s", a.County, a.Center, a.Label, late)
	case longan.AlarmRestored:
		d.say("  ▽ 解除 / restored: %s%s %s%s", a.County, a.Center, a.Label, late)
	}
}

// waitForPage waits until the city answers.
func (d *Demo) waitForPage(ctx context.Context) error {
	deadline := time.Now().Add(30 * time.Second)
	for {
		_, err := d.get(ctx, "/healthz")
		if err == nil {
			return nil
		}
		if !sleepUntil(ctx, time.Now().Add(50*time.Millisecond)) {
			return ctx.Err()
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the city does not answer on http://%s (is the port in use?): %w", d.HTTP, err)
		}
	}
}

// drain waits until the city has acknowledged all that the agents accepted.
func (d *Demo) drain(ctx context.Context) error {
	deadline := time.Now().Add(2 * time.Minute)
	for {
		behind, err := d.behind(ctx)
		if err == nil && behind == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			d.say("还有 %d 个流没有送完 / %d streams did not drain (%v)", behind, behind, err)
			return nil // the books tell what is missing
		}
		sleepUntil(ctx, time.Now().Add(200*time.Millisecond))
	}
}

// behind returns how many streams the city has less of than was accepted.
func (d *Demo) behind(ctx context.Context) (int, error) {
	body, err := d.get(ctx, "/api/v1/centers")
	if err != nil {
		return 0, err
	}
	var page struct {
		Centers []struct {
			Device  longan.DeviceID
			Streams []struct {
				Epoch string
				Lane  string
				Acked uint64
			}
		}
	}
	if err := json.Unmarshal(body, &page); err != nil {
		return 0, fmt.Errorf("read centers: %w", err)
	}
	acked := map[stream]uint64{}
	for _, c := range page.Centers {
		for _, s := range c.Streams {
			acked[stream{c.Device, s.Epoch, s.Lane}] = s.Acked
		}
	}
	return d.tally.Behind(func(device longan.DeviceID, epoch, lane string) uint64 {
		return acked[stream{device, epoch, lane}]
	}), nil
}

func (d *Demo) get(ctx context.Context, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+d.HTTP+path, nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("get %s: %s", path, res.Status)
	}
	body := new(strings.Builder)
	if _, err := io.Copy(body, res.Body); err != nil {
		return nil, fmt.Errorf("get %s: %w", path, err)
	}
	return []byte(body.String()), nil
}

// keepLog returns a function that appends lines to a log file of the demo.
func (d *Demo) keepLog(name string) func(line []byte) {
	var once sync.Once
	var file *os.File
	return func(line []byte) {
		once.Do(func() { file, _ = os.Create(filepath.Join(d.Dir, name+".log")) })
		if file != nil { // a log that can't be written must not stop the show
			file.Write(append(line, '\n'))
		}
	}
}
