package longan

import (
	"encoding/json"
	"math"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The generators reach past the limits on purpose: what an encoder accepts, a
// decoder must accept and read as the same.

var (
	anyName = rapid.OneOf(rapid.StringMatching(`[a-z0-9-]{0,64}`), rapid.StringN(0, 70, 80))
	anyType = rapid.OneOf(rapid.SampledFrom([]string{DoorOpened, AlarmRaised, PointUnknown}), rapid.StringMatching(`[a-z0-9.-]{1,20}`))
	anyUint = rapid.OneOf(rapid.Uint64Range(0, 1000), rapid.Uint64Range(maxUint-1, maxUint+1), rapid.Uint64())
	anyMono = rapid.Map(rapid.OneOf(rapid.Int64Range(0, 1e12), rapid.Int64()), func(ms int64) time.Duration {
		return time.Duration(ms) / time.Millisecond * time.Millisecond
	})
	anyZone = rapid.SampledFrom([]*time.Location{time.UTC, time.FixedZone("CST", 8*3600), time.FixedZone("", -12*3600)})
	anyTime = rapid.Custom(func(t *rapid.T) time.Time {
		sec := rapid.OneOf(rapid.Just(int64(math.MinInt64)), rapid.Int64Range(-1e5, 4e9), rapid.Int64Range(253402300799-1e5, 253402300799+1e5)).Draw(t, "seconds")
		if sec == math.MinInt64 {
			return time.Time{}
		}
		return time.Unix(sec, rapid.Int64Range(0, 999).Draw(t, "ms")*1e6).In(anyZone.Draw(t, "zone"))
	})
	anyJSON = rapid.Custom(func(t *rapid.T) json.RawMessage {
		return json.RawMessage(rapid.SampledFrom([]string{
			`null`, `true`, `-0.5e-7`, `"}],\"\\"`, `"\ud800"`, `"龙安"`, `[]`, `[ {"a":[{}]} , "]" ]`, `{ }`, `{"a":{"b":"{"}}`,
		}).Draw(t, "JSON"))
	})
	anyExtra = rapid.Custom(func(t *rapid.T) Extra {
		m := rapid.MapOfN(rapid.StringMatching(`[x-z]{1,3}[\x{00}-\x{7f}龙]{0,8}`), anyJSON, 0, 3).Draw(t, "extra")
		if len(m) == 0 {
			return nil
		}
		return Extra(m)
	})
	anyEvent = rapid.Custom(func(t *rapid.T) Event {
		return Event{
			Seq: anyUint.Draw(t, "seq"), Type: anyType.Draw(t, "type"), Point: anyName.Draw(t, "point"),
			Time: anyTime.Draw(t, "time"), Clock: anyName.Draw(t, "clock"), Boot: anyName.Draw(t, "boot"), Mono: anyMono.Draw(t, "mono"),
			Data:  rapid.OneOf(rapid.Just(json.RawMessage(nil)), anyJSON).Draw(t, "data"),
			Extra: anyExtra.Draw(t, "extra"),
		}
	})
	anyLane   = rapid.Map(rapid.IntRange(0, len(Lanes)), func(i int) Lane { return Lane(i) })
	anyDevice = rapid.OneOf(rapid.StringMatching(`6212[0-9]{5}-[0-9]{2}`), rapid.StringMatching(`[0-9]{12}-[0-9]{2}`), rapid.String())
	anyEpoch  = rapid.OneOf(rapid.StringMatching(`[0-9a-f]{16}`), anyName)
)

// utc gives times the form in which they come back.
func utc(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC()
}

func TestBatchProperty(t *testing.T) {
	accepted := 0
	rapid.Check(t, func(t *rapid.T) {
		b := &Batch{
			Device: DeviceID(anyDevice.Draw(t, "device")), Epoch: anyEpoch.Draw(t, "epoch"),
			Lane: anyLane.Draw(t, "lane"), Oldest: anyUint.Draw(t, "oldest"), Extra: anyExtra.Draw(t, "extra"),
		}
		seq := uint64(0)
		for _, e := range rapid.SliceOfN(anyEvent, 0, 12).Draw(t, "events") {
			e.Time = utc(e.Time)
			if rapid.IntRange(0, 15).Draw(t, "hostile") > 0 { // else the event stays as it is drawn
				e = tamed(e)
				seq += 1 + e.Seq%9
				e.Seq = seq
			}
			e.Device, e.Epoch, e.Lane = b.Device, b.Epoch, b.Lane
			b.Events = append(b.Events, e)
		}
		payload, err := b.Encode()
		if err != nil {
			return
		}
		accepted++
		got, err := DecodeBatch(payload)
		if err != nil {
			t.Fatalf("decode what was encoded, %q: %v", payload, err)
		}
		if !reflect.DeepEqual(got, b) {
			t.Fatalf("\n got %+v\nwant %+v", got, b)
		}
	})
	if accepted == 0 {
		t.Error("no batch was accepted: the property was not tested")
	}
}

// tamed returns e with what Validate would refuse put right.
func tamed(e Event) Event {
	if !validType(e.Type) {
		e.Type = DoorOpened
	}
	for _, name := range []*string{&e.Point, &e.Clock, &e.Boot} {
		if !ValidName(*name) {
			*name = ""
		}
	}
	if checkTime("", e.Time) != nil {
		e.Time = time.Time{}
	}
	if checkMono(e.Mono) != nil {
		e.Mono = 0
	}
	if len(e.Data) > 0 && e.Data[0] != '{' {
		e.Data = nil
	}
	return e
}

func TestStatusProperty(t *testing.T) {
	accepted := 0
	anyText := rapid.StringN(0, 90, MaxLabel+10)
	anyPoint := rapid.Custom(func(t *rapid.T) PointStatus {
		return PointStatus{
			State: PointState(rapid.IntRange(0, 3).Draw(t, "state")), Kind: anyText.Draw(t, "kind"), Label: anyText.Draw(t, "label"),
			Peripheral: anyText.Draw(t, "peripheral"), Since: utc(anyTime.Draw(t, "since")), Age: anyAge(t), Detail: anyText.Draw(t, "detail"),
		}
	})
	anyPeripheral := rapid.Custom(func(t *rapid.T) PeripheralStatus {
		return PeripheralStatus{OK: rapid.Bool().Draw(t, "ok"), Driver: anyText.Draw(t, "driver"), Label: anyText.Draw(t, "label"),
			Age: anyAge(t), Error: anyText.Draw(t, "error")}
	})
	names := rapid.StringMatching(`[a-z0-9-]{0,8}`)
	rapid.Check(t, func(t *rapid.T) {
		s := &Status{
			Device: testDevice, Session: rapid.StringMatching(`[0-9a-f]{8}`).Draw(t, "session"), State: rapid.SampledFrom([]string{Online, Offline}).Draw(t, "state"),
			N: anyUint.Draw(t, "n"), Time: utc(anyTime.Draw(t, "time")), Mono: anyMono.Draw(t, "mono"), Name: anyText.Draw(t, "name"),
			Full:        rapid.Bool().Draw(t, "full"),
			Points:      orNil(rapid.MapOfN(names, anyPoint, 0, 4).Draw(t, "points")),
			Peripherals: orNil(rapid.MapOfN(names, anyPeripheral, 0, 4).Draw(t, "peripherals")),
			Extra:       anyExtra.Draw(t, "extra"),
		}
		payload, err := s.Encode()
		if err != nil {
			return
		}
		accepted++
		got, err := DecodeStatus(payload)
		if err != nil {
			t.Fatalf("decode what was encoded, %q: %v", payload, err)
		}
		if !reflect.DeepEqual(got, s) {
			t.Fatalf("\n got %+v\nwant %+v", got, s)
		}
	})
	if accepted == 0 {
		t.Error("no status was accepted: the property was not tested")
	}
}

func anyAge(t *rapid.T) time.Duration {
	ms := rapid.Int64Range(-1, 1e12).Draw(t, "age")
	if ms < 0 {
		return Never
	}
	return time.Duration(ms) * time.Millisecond
}

func orNil[V any](m map[string]V) map[string]V {
	if len(m) == 0 {
		return nil
	}
	return m
}

func TestAckProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := &Ack{Epoch: anyEpoch.Draw(t, "epoch"), Lanes: map[Lane]uint64{}, Time: utc(anyTime.Draw(t, "time")),
			Credit: anyUint.Draw(t, "credit"), Extra: anyExtra.Draw(t, "extra")}
		for _, l := range Lanes {
			if n := anyUint.Draw(t, l.String()); n > 0 {
				a.Lanes[l] = n
			}
		}
		payload, err := a.Encode()
		if err != nil {
			return
		}
		got, err := DecodeAck(payload)
		if err != nil || !reflect.DeepEqual(got, a) {
			t.Fatalf("got %+v, %v\nwant %+v", got, err, a)
		}
	})
}
