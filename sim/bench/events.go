package bench

import (
	"bytes"
	"compress/flate"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/longan-edge/longan"
)

// eventSize is the JSON of a benchmark event, in bytes: what a door, an alarm
// or a kiosk reports with some detail.
const eventSize = 300

// patterns is how many different events there are. It is more than one block of
// any store holds, so that none can be stored as a repetition of another.
const patterns = 2000

// kinds is the mix of a center's events outside the alarm lane.
var kinds = [...]struct{ typ, point, cause string }{
	{longan.DoorOpened, "front-door", "contact"},
	{longan.DoorClosed, "front-door", "contact"},
	{longan.DoorOpened, "back-door", "contact"},
	{longan.DoorClosed, "back-door", "contact"},
	{longan.DoorOpened, "archive-room", "card"},
	{longan.DoorClosed, "archive-room", "card"},
	{longan.KioskFault, "kiosk-printer", "paper-out"},
	{longan.KioskRestored, "kiosk-printer", "paper-out"},
	{longan.KioskFault, "kiosk-1", "no-answer"},
	{longan.KioskRestored, "kiosk-1", "no-answer"},
}

// A mix is what the events of a benchmark hold.
const (
	// Usual is what boards report: what happened at which of ten points, the same
	// words each time, and in one event in ten the keyed hash of a card. Only
	// times, numbers and hashes are new in each.
	Usual = "usual"
	// Noise is what compresses worst: in each event random numbers and words in
	// random order.
	Noise = "noise"
)

// ValidMix reports whether mix is one of the mixes.
func ValidMix(mix string) bool { return mix == Usual || mix == Noise }

// places are the words of a point.
var places = map[string]string{
	"front-door": "一楼大厅正门", "back-door": "一楼后门", "archive-room": "二楼档案室", "panic-button": "一楼大厅服务窗口一键报警按钮",
	"kiosk-printer": "一楼大厅自助服务终端小票打印机", "kiosk-1": "一楼大厅自助服务终端",
}

// vocabulary is what the free text of an event is made of, in any order, so that
// it is no more compressible than such text is.
const vocabulary = "read from input module over RS-485 after debounce supply and temperature are of the itself contact normally " +
	"closed wire supervised see site file for label that people know door held open longer than minutes answer late " +
	"twice timeout checksum paper low cover head hot cash drawer card reader number refused unknown operator present " +
	"front back archive window hall counter night shift relay output battery mains voltage restored by hand at panel"

// generator makes events. They cost it nothing, so that what is measured is the
// store. It may be used from many goroutines.
type generator struct {
	made  atomic.Uint64
	start time.Time
	seed  uint64
	mix   string
	lanes [len(longan.Lanes)]struct { // that a caller asks for; Sample is the mix
		once sync.Once
		all  []longan.Event
	}
}

// newGenerator returns the generator of a seed and a mix.
func newGenerator(seed uint64, mix string) *generator {
	return &generator{start: time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC), seed: seed, mix: mix}
}

// of returns the patterns of a lane.
func (g *generator) of(lane longan.Lane) []longan.Event {
	l := &g.lanes[lane]
	l.once.Do(func() {
		rng := rand.New(rand.NewPCG(g.seed, uint64(lane)))
		l.all = make([]longan.Event, patterns)
		for i := range l.all {
			l.all[i] = pattern(rng, lane, g.mix)
		}
	})
	return l.all
}

// pattern makes one event. Of lane Sample is the mix that an outage brings: one
// alarm in twenty, the rest states.
func pattern(rng *rand.Rand, lane longan.Lane, mix string) longan.Event {
	if lane == longan.Sample {
		lane = longan.State
		if rng.IntN(20) == 0 {
			lane = longan.Alarm
		}
	}
	k := kinds[rng.IntN(len(kinds))]
	if lane == longan.Alarm {
		k.typ, k.point, k.cause = longan.AlarmRaised, "panic-button", "panic"
		if rng.IntN(2) == 0 {
			k.typ = longan.AlarmRestored
		}
	}
	e := longan.Event{
		Lane: lane, Seq: 12345, Type: k.typ, Point: k.point, Clock: longan.ClockNTP, Boot: "8c2f60d19be4a753",
		Time: time.Date(2026, 11, 23, 8, 0, 0, 1e6, time.UTC), Mono: 12345678 * time.Millisecond,
	}
	if mix == Usual {
		e.Data = usualData(rng, &e, k.cause)
		return e
	}
	data := func(note string) []byte {
		return fmt.Appendf(nil, `{"cause":%q,"raw":"%016x","volt":%.2f,"temp":%.1f,"line":%d,"note":%q}`,
			k.cause, rng.Uint64(), 11.5+rng.Float64(), 15+20*rng.Float64(), 1+rng.IntN(8), note)
	}
	e.Data = data("")
	words := strings.Fields(vocabulary)
	rng.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
	text := strings.Join(words, " ")
	text = text[:max(0, eventSize-len(e.AppendJSON(nil)))]
	e.Data = bytes.TrimSuffix(e.Data, []byte(`"}`))
	e.Data = append(append(e.Data, text...), `"}`...)
	return e
}

// usualData returns the data of an event of the usual mix, with the point's words
// as often as the size asks for.
func usualData(rng *rand.Rand, e *longan.Event, cause string) []byte {
	data := fmt.Appendf(nil, `{"cause":%q,`, cause)
	if cause == "card" {
		data = fmt.Appendf(data, `"card":"%016x",`, rng.Uint64())
	}
	data = append(data, `"label":"`...)
	words := []byte(places[e.Point] + " ")
	for rest := eventSize - len(e.AppendJSON(nil)) - len(`"data":,`) - len(data) - len(`"}`); rest >= len(words); rest -= len(words) {
		data = append(data, words...)
	}
	return append(data, `"}`...)
}

// next fills e in with the next event of a lane; Sample is the mix of an outage.
func (g *generator) next(e *longan.Event, lane longan.Lane) {
	n := g.made.Add(1)
	*e = g.of(lane)[n%patterns]
	const some = 7919 // events come at no regular times
	at := time.Duration(n)*1370*time.Millisecond + time.Duration(n*some%1009)*time.Millisecond
	e.Mono += at
	e.Time = g.start.Add(at)
}

// compressed returns the mean JSON of an event of the mix, and what is left of
// it when some 64 KiB are compressed together by DEFLATE at its usual level.
func (g *generator) compressed() (raw, deflated float64) {
	const n = 64 << 10 / eventSize
	var text []byte
	var e longan.Event
	for range n {
		g.next(&e, longan.Sample)
		text = e.AppendJSON(text)
	}
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.DefaultCompression)
	if err != nil {
		return 0, 0 // not reached: the level is in range
	}
	w.Write(text) // into memory
	w.Close()
	return float64(len(text)) / n, float64(out.Len()) / n
}
