package ingest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/longan-edge/longan"
)

func up(lane longan.Lane, size int) message {
	return message{topic: longan.Topic{Device: mawei, Kind: longan.TopicUp, Lane: lane}, payload: make([]byte, size)}
}

// TestQueueIsBounded: a full queue drops what is least urgent, and never an
// alarm for anything else.
func TestQueueIsBounded(t *testing.T) {
	for _, test := range []struct {
		name string
		size int
		room int
	}{
		{"by number", 1, maxQueued},
		{"by bytes", 1 << 18, maxQueuedBytes >> 18},
	} {
		t.Run(test.name, func(t *testing.T) {
			var q queue
			q.init()
			for i := range test.room {
				if dropped := q.put(up(longan.Sample, test.size)); dropped != 0 {
					t.Fatalf("dropped after %d of %d", i, test.room)
				}
			}
			if dropped := q.put(up(longan.Sample, test.size)); dropped != 1 {
				t.Errorf("dropped %d of a full queue, want 1", dropped)
			}
			for range test.room {
				if dropped := q.put(up(longan.Alarm, test.size)); dropped != 1 {
					t.Fatalf("dropped %d, want a sample for each alarm", dropped)
				}
			}
			if dropped := q.put(up(longan.State, test.size)); dropped != 1 || q.count != test.room {
				t.Errorf("dropped %d, %d left: want the state, and all alarms left", dropped, q.count)
			}
			for n := 0; ; n++ {
				m, ok := q.take(longan.Alarm, longan.Sample)
				if !ok {
					if n != test.room || q.count != 0 || q.bytes != 0 {
						t.Errorf("took %d, %d and %d bytes left; want %d, 0, 0", n, q.count, q.bytes, test.room)
					}
					break
				}
				if m.topic.Lane != longan.Alarm {
					t.Fatalf("took %s, want alarm", m.topic.Lane)
				}
			}
		})
	}
}

func TestAcksReplaceEachOther(t *testing.T) {
	var b ackBook
	b.init()
	for n := range uint64(3) {
		b.put(ackKey{mawei, "e1"}, due{lanes: map[longan.Lane]uint64{longan.State: n}})
		b.put(ackKey{mawei, "e2"}, due{lanes: map[longan.Lane]uint64{longan.State: 10 + n}})
	}
	var got strings.Builder
	for {
		k, d, ok := b.take()
		if !ok {
			break
		}
		fmt.Fprint(&got, k.epoch, d.lanes, " ")
	}
	if want := "e1map[state:2] e2map[state:12] "; got.String() != want {
		t.Errorf("got %q, want %q", got.String(), want)
	}
	for i := range maxAcks + 10 {
		b.put(ackKey{mawei, fmt.Sprint(i)}, due{})
	}
	if len(b.due) != maxAcks || len(b.order) != maxAcks {
		t.Errorf("%d acks wait, want %d", len(b.due), maxAcks)
	}
}
