package ingest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/cloud/internal/store"
)

func TestGreetings(t *testing.T) {
	stream := func(device longan.DeviceID, epoch string, lane longan.Lane, acked uint64) store.Stream {
		return store.Stream{Device: device, Epoch: epoch, Lane: lane, Acked: acked}
	}
	var streams []store.Stream
	for i := range 6 { // a board whose card dies again and again
		streams = append(streams, stream(mawei, fmt.Sprint("e", i), longan.State, uint64(i)))
	}
	streams = append(streams,
		stream(mawei, "e5", longan.Alarm, 17),
		stream("621221100-01", "f0", longan.Alarm, 3)) // of another county
	for _, tt := range []struct {
		counties []string
		want     string
	}{
		{[]string{""}, "621202104-01 e2 map[state:2], 621202104-01 e3 map[state:3], 621202104-01 e4 map[state:4], " +
			"621202104-01 e5 map[alarm:17 state:5], 621221100-01 f0 map[alarm:3]"},
		{[]string{"621221", "621222"}, "621221100-01 f0 map[alarm:3]"},
	} {
		var got []string
		for _, g := range greetings(streams, tt.counties) {
			if !g.Hello {
				t.Errorf("%s %s says no hello", g.device, g.Epoch)
			}
			got = append(got, fmt.Sprint(g.device, " ", g.Epoch, " ", g.Lanes))
		}
		if text := strings.Join(got, ", "); text != tt.want {
			t.Errorf("counties %q: %s\nwant %s", slices.Clone(tt.counties), text, tt.want)
		}
	}
}
