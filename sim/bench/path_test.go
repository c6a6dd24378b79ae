package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"testing"
	"time"
)

// TestPathPrintsEveryFigure runs everything once, small, with real processes. What
// the figures say is for people to judge; here they only have to be possible.
func TestPathPrintsEveryFigure(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	p := &Path{Dir: t.TempDir(), Events: 2000, Alarms: 2, Repeats: 1, Idle: 2 * time.Second, Self: self, JSON: true, Out: &out, loneGap: alarmGap}
	err = p.Run(t.Context())
	if errors.Is(err, errNoMosquitto) && os.Getenv("LONGAN_CI") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	var events struct {
		Raw float64 `json:"raw_bytes"`
	}
	for line := range bytes.Lines(out.Bytes()) {
		var f PathFigure
		if err := json.Unmarshal(line, &f); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if f.Name == "events" {
			if err := json.Unmarshal(line, &events); err != nil || events.Raw < 200 {
				t.Errorf("events: %v: %s", err, line)
			}
			continue
		}
		names = append(names, f.Name+" "+f.Broker)
		if f.Longan == nil || f.Met == nil || f.Goal == 0 || f.Method == "" {
			t.Errorf("figure lacks something: %s", line)
			continue
		}
		checkPossible(t, f, events.Raw)
	}
	var want []string
	for _, group := range [][]string{{"alarm_p50", "alarm_p99"}, {"drain", "drain_wire", "drain_cpu"}, {"overtake"}, {"overtake_thin"}, {"alarm_wire"}, {"idle_month"}} {
		for _, via := range []string{viaMosquitto, viaEmbedded} {
			for _, name := range group {
				want = append(want, name+" "+via)
			}
		}
	}
	if !slices.Equal(names, want) {
		t.Errorf("figures %q, want %q", names, want)
	}
}

// checkPossible holds a figure to what it can be at all.
func checkPossible(t *testing.T, f PathFigure, size float64) {
	t.Helper()
	within := func(what string, v *float64, least, most float64) {
		t.Helper()
		if v == nil || *v < least || *v > most {
			t.Errorf("%s %s: %s is %v, want %g to %g", f.Name, f.Broker, what, v, least, most)
		}
	}
	switch f.Name {
	case "drain_wire": // the peer's message is as long, its id, topic and PUBACK 18 B more
		within("longan", f.Longan, 10, 300)
		within("bridge", f.Bridge, size+17, size+130)
	case "alarm_wire": // two segments more
		within("longan", f.Longan, 3*segmentHeader, 1000)
		within("bridge", f.Bridge, size+17+2*segmentHeader, size+19+2*segmentHeader)
	case "overtake", "overtake_thin":
		within("longan", f.Longan, 0.001, 1e6)
	case "idle_month":
		within("longan", f.Longan, 0, 10_000)
	case "drain_cpu": // in steps of 10 ms: a little of it may take none
		within("longan", f.Longan, 0, 1000)
	default:
		within("longan", f.Longan, 0.001, 1e9)
		within("bridge", f.Bridge, 0.001, 1e9)
		within("ratio", f.Ratio, 1e-9, 1e9)
	}
}

func TestSplitterTellsPacketsApart(t *testing.T) {
	publish := func(flags byte, topic string, id string, payload int) []byte {
		body := append(appendText(nil, topic), id...)
		body = append(body, make([]byte, payload)...)
		b := []byte{packetPublish<<4 | flags}
		for n := len(body); ; n >>= 7 { // 2.2.3
			if n < 128 {
				b = append(b, byte(n))
				break
			}
			b = append(b, byte(n&127|128))
		}
		return append(b, body...)
	}
	const device = "longan/v1/621202/621202107-01/"
	packets := []struct {
		up    bool
		bytes []byte
		kind  string
	}{
		{true, []byte{packetConnect << 4, 3, 0, 0, 0}, kindOther},
		{false, []byte{packetConnack << 4, 2, 0, 0}, kindOther},
		{true, publish(2, device+"up/alarm", "\x00\x07", 300), kindAlarm},
		{true, publish(2, device+"up/state", "\x00\x08", 30_000), kindState},
		{true, publish(3, device+"status", "\x00\x09", 10), kindStatus},
		{true, publish(0, device+"status", "", 10), kindHeartbeat},
		{false, []byte{packetPuback << 4, 2, 0, 8}, kindState + pubackOf},
		{false, []byte{packetPuback << 4, 2, 0, 7}, kindAlarm + pubackOf},
		{false, []byte{packetPuback << 4, 2, 0, 9}, kindStatus + pubackOf},
		{false, publish(0, device+"ack", "", 0), kindAck},
		{true, []byte{packetPingreq << 4, 0}, kindPing},
		{false, []byte{packetPingresp << 4, 0}, kindPing},
		{true, publish(2, peerTopic, "\x00\x07", 1), kindOther},
		{false, []byte{packetPuback << 4, 2, 0, 7}, kindOther + pubackOf},
		{true, []byte{packetPublish << 4, 1, 0}, kindOther}, // broken, but of its length
		{false, []byte{packetPuback << 4, 0}, kindOther + pubackOf},
		{true, []byte{packetPingreq << 4, 0}, kindPing},
	}
	for _, step := range []int{1, 7, 1 << 20} {
		ids := &packetIDs{kinds: map[uint16]string{}}
		up, down := &splitter{up: true, ids: ids}, &splitter{ids: ids}
		for i, p := range packets {
			s := down
			if p.up {
				s = up
			}
			got, begun, size := "", 0, 0
			for part := range slices.Chunk(p.bytes, step) {
				s.feed(part, func(kind string, packets, n int) {
					got = kind
					begun += packets
					size += n
				})
			}
			if got != p.kind || begun != 1 || size != len(p.bytes) {
				t.Errorf("%d bytes at a time, packet %d: %d packets of kind %q with %d bytes, want 1 of %q with %d", step, i, begun, got, size, p.kind, len(p.bytes))
			}
		}
	}
}

func TestMeterCountsSegments(t *testing.T) {
	m := &meter{accounts: map[string]account{}, seen: map[string]time.Time{}}
	s := &splitter{up: true, ids: &packetIDs{kinds: map[uint16]string{}}}
	before := m.read()
	m.count(s, []byte{packetPingreq << 4, 0})
	m.count(s, []byte{packetConnect << 4, 0xd0, 0x0f}) // 2000 bytes follow
	m.count(s, make([]byte, segmentMost+1))
	m.count(s, append(make([]byte, 2000-segmentMost-1), packetPingreq<<4, 0)) // in one segment with the end
	b := m.read().since(before)
	if got, want := b.wire(kindPing), float64(2+segmentHeader+2); got != want {
		t.Errorf("pings: %g bytes, want %g", got, want)
	}
	if got, want := b.wire(), float64(2+3+2000+2+(1+1+2+1)*segmentHeader); got != want {
		t.Errorf("all: %g bytes, want %g", got, want)
	}
	if b.packets(kindPing) != 2 || b.packets(kindOther) != 1 {
		t.Errorf("packets: %+v", b.accounts)
	}
}

func TestPathFigure(t *testing.T) {
	samples := map[string][]values{viaEmbedded: {{"x": 30, "y": 1}, {"x": 10}, {"x": 20}}, peerBridge: {{"x": 10}, {"x": 10}, {"x": 40}}}
	f := pathFigure("f", "u", viaEmbedded, "m", samples, "x")
	f.Goal, f.Least, f.OfRatio = 1, true, true
	f = f.with(samples, "y").judge()
	if *f.Longan != 20 || *f.Bridge != 10 || *f.Ratio != 1 || !*f.Met || f.More["y"] != 1 {
		t.Errorf("got %+v", f)
	}
	f.OfRatio, f.Least = false, false
	if f = f.judge(); *f.Met {
		t.Error("20 meets a goal of at most 1")
	}
	if f = pathFigure("f", "u", viaMosquitto, "m", samples, "x").judge(); f.Longan != nil || f.Ratio != nil || f.Met != nil {
		t.Errorf("figure of nothing: %+v", f)
	}
}
