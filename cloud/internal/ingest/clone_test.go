package ingest

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/cloud/internal/live"
)

// TestTwoBoardsAreTold: boards that share an id hear of it, at most once a
// minute, and the one that is refused does not become the saved one.
func TestTwoBoardsAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		view := live.New(live.Config{})
		x := newBench(t, func(c *Config) { c.View = view })
		<-x.Ready()
		var told []time.Duration
		start := time.Now()
		token := x.client.Subscribe(longan.Topic{Device: mawei, Kind: longan.TopicAck}.String(), 0, func(_ mqtt.Client, m mqtt.Message) {
			a, err := longan.DecodeAck(m.Payload())
			if err != nil || a.Refused == nil || a.Refused.Reason != longan.RefusedClone || a.Epoch != "" {
				t.Errorf("got %+v, %v; want a refusal", a, err)
				return
			}
			told = append(told, time.Since(start))
		})
		if !token.WaitTimeout(time.Minute) || token.Error() != nil {
			t.Fatalf("subscribe: %v", token.Error())
		}
		n := uint64(0)
		say := func(boot string, session int64) {
			n++
			s := &longan.Status{Device: mawei, Session: boot + time.Unix(session, 0).UTC().Format("150405"), N: n, Full: true,
				State: longan.Online, Boot: boot, Mono: time.Hour + time.Since(start), Name: boot}
			payload, err := s.Encode()
			if err != nil {
				t.Fatal(err)
			}
			x.publish(longan.Topic{Device: mawei, Kind: longan.TopicStatus}, false, payload)
		}
		for i := range int64(15) {
			say("boot-a", i)
			time.Sleep(6 * time.Second)
			say("boot-b", i)
			time.Sleep(6 * time.Second)
		}
		synctest.Wait()
		// The second word of the older boot comes after 12 s, but 6 s after the
		// newer one's first, which is too early to be sure.
		if want := []time.Duration{24 * time.Second, 84 * time.Second, 144 * time.Second}; !slices.Equal(told, want) {
			t.Errorf("told after %v, want %v", told, want)
		}
		c, _ := view.Center(mawei)
		if c.Name != "boot-b" || c.Conflict == nil || c.Conflict.Count != 13 {
			t.Errorf("shown: %s, %+v; want boot-b, 13 refused", c.Name, c.Conflict)
		}
		devices, err := x.seam.Devices(t.Context())
		if err != nil || len(devices) != 1 || devices[0].Name != "boot-b" {
			t.Errorf("saved: %+v, %v; want boot-b", devices, err)
		}
	})
}

// TestRefusalsAreShown: what is refused counts for the device that its topic
// names.
func TestRefusalsAreShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		view := live.New(live.Config{})
		x := newBench(t, func(c *Config) { c.View = view })
		<-x.Ready()
		x.publish(longan.Topic{Device: mawei, Kind: longan.TopicStatus}, false, []byte("rubbish"))
		x.publish(longan.Topic{Device: mawei, Kind: longan.TopicUp, Lane: longan.State}, false, []byte(`{"v":1}`))
		x.publish(longan.Topic{Device: "621202104-02", Kind: longan.TopicUp, Lane: longan.State}, false, []byte("\x01"))
		synctest.Wait()
		count := map[longan.DeviceID]uint64{}
		for _, r := range view.Refusals() {
			count[r.Device] += r.Count
			if r.At != live.AtIngest || r.Reason != BadMessage.String() || r.Detail == "" {
				t.Errorf("refusal: got %+v, want a bad message with its reason", r)
			}
		}
		if len(count) != 2 || count[mawei] != 2 || count["621202104-02"] != 1 {
			t.Errorf("refused: got %v, want two of %s and one of 621202104-02", count, mawei)
		}
	})
}

func TestDeviceIn(t *testing.T) {
	for topic, want := range map[string]longan.DeviceID{
		"longan/v1/621202/621202104-01/up/alarm":  "621202104-01",
		"longan/v1/621202/621202104-01/up/cheese": "621202104-01",
		"longan/v1/621202/../up/alarm":            "",
		"longan/v1":                               "",
		"":                                        "",
	} {
		if got := deviceIn(topic); got != want {
			t.Errorf("deviceIn(%q): got %q, want %q", topic, got, want)
		}
	}
}
