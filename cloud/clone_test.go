package cloud

import (
	"encoding/json"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/longan-edge/longan"
)

// answer decodes what the API says.
func answer(t *testing.T, c *city, path string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(get(t, c, path)), into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// TestCopiedCard: two boards run from copies of one card, and the embedded broker
// lets in only one at a time. The city says what it is, to people and to both
// boards, and keeps what both have to tell.
func TestCopiedCard(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	synctest.Test(t, func(t *testing.T) {
		path := storePath(t)
		c := startCity(t, path, nil)
		start, told := time.Now(), 0
		for i := range uint64(12) {
			boot := []string{"boot-a", "boot-b"}[i%2]
			b := dialBoard(t, mawei, c.mqtt.Dial) // the other one is put out
			s := &longan.Status{Device: mawei, Session: fmt.Sprintf("s%d", i), N: 1, Epoch: boot, State: longan.Online,
				Boot: boot, Mono: time.Hour + time.Since(start), Full: true, Name: boot}
			payload, err := s.Encode()
			if err != nil {
				t.Fatal(err)
			}
			b.publish(longan.Topic{Device: mawei, Kind: longan.TopicStatus}, payload)
			b.send(boot, longan.State, 1, i/2+1, i/2+1)
			b.acked(boot, longan.State, i/2+1)
			time.Sleep(11 * time.Second)
			for len(b.acks) > 0 {
				b.nextAck()
			}
			if a := b.last[""]; a != nil && a.Refused != nil && a.Refused.Reason == longan.RefusedClone {
				told++
			}
		}
		var center struct {
			Name     string
			Conflict *struct {
				Boots []string
				Count uint64
			}
		}
		answer(t, c, "/api/v1/centers/"+string(mawei), &center)
		if center.Name != "boot-b" || center.Conflict == nil || center.Conflict.Count != 5 || len(center.Conflict.Boots) != 2 {
			t.Errorf("got %s %+v, want boot-b, and a conflict of two boots with 5 refused", center.Name, center.Conflict)
		}
		if told != 2 {
			t.Errorf("the boards were told %d times in two minutes, want twice", told)
		}
		c.stop()
		if n := checkComplete(t, path); n != 12 {
			t.Errorf("%d events stored, want all 12 of both", n)
		}
	})
}

// TestAbuseIsShown: a board that publishes outside its own topics, and one that
// sends what is no message, are refused, counted and shown.
func TestAbuseIsShown(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	synctest.Test(t, func(t *testing.T) {
		c := startCity(t, storePath(t), nil)
		b := dialBoard(t, mawei, c.mqtt.Dial)
		b.publish(longan.Topic{Device: mawei, Kind: longan.TopicUp, Lane: longan.State}, []byte("{rubbish"))
		time.Sleep(5 * time.Second)
		other := dialBoard(t, "621202105-01", c.mqtt.Dial)
		other.client.Publish(longan.Topic{Device: mawei, Kind: longan.TopicStatus}.String(), 1, true, "{}").WaitTimeout(time.Second)
		time.Sleep(5 * time.Second)
		var refused struct {
			Refusals []struct {
				Device     longan.DeviceID
				At, Reason string
				Count      int
			}
		}
		answer(t, c, "/api/v1/refusals", &refused)
		got := map[string]int{}
		for _, r := range refused.Refusals {
			got[fmt.Sprintf("%s %s %s", r.Device, r.At, r.Reason)] = r.Count
		}
		if len(got) != 2 || got["621202105-01 broker publish"] == 0 || got[string(mawei)+" ingest bad-message"] == 0 {
			t.Errorf("refused: got %v, want a message of %s and a publish of 621202105-01", got, mawei)
		}
		var letters struct {
			DeadLetters []struct{ Device longan.DeviceID }
		}
		answer(t, c, "/api/v1/dead-letters", &letters)
		if len(letters.DeadLetters) != 1 || letters.DeadLetters[0].Device != mawei {
			t.Errorf("dead letters: got %+v, want the one of %s", letters.DeadLetters, mawei)
		}
		c.stop()
	})
}
