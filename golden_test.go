package longan

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata/golden")

var (
	testTime  = time.Date(2026, 11, 23, 8, 15, 30, 123e6, time.UTC)
	testEpoch = "9f86d081884c7d65"
	testBoot  = "5f16a1c2d3e4b5a6"
)

const testDevice = DeviceID("621202104-01")

// message is one golden message: a value, and the way from and to its bytes.
type message struct {
	name   string
	want   any
	encode func(any) ([]byte, error)
	decode func([]byte) (any, error)
}

func eventMessage(name string, e Event) message {
	return message{"event-" + name, e,
		func(v any) ([]byte, error) { e := v.(Event); return e.AppendJSON(nil), e.Validate() },
		func(b []byte) (any, error) { return ParseEvent(b) }}
}

func batchMessage(name string, b *Batch) message {
	for i := range b.Events {
		e := &b.Events[i]
		e.Device, e.Epoch, e.Lane = b.Device, b.Epoch, b.Lane
	}
	return message{"batch-" + name, b,
		func(v any) ([]byte, error) { return v.(*Batch).Encode() },
		func(b []byte) (any, error) { return DecodeBatch(b) }}
}

func ackMessage(name string, a *Ack) message {
	return message{name, a,
		func(v any) ([]byte, error) { return v.(*Ack).Encode() },
		func(b []byte) (any, error) { return DecodeAck(b) }}
}

func statusMessage(name string, s *Status) message {
	return message{"status-" + name, s,
		func(v any) ([]byte, error) { return v.(*Status).Encode() },
		func(b []byte) (any, error) { return DecodeStatus(b) }}
}

func testEvent(seq uint64, typ, point, data string) Event {
	e := Event{Seq: seq, Type: typ, Point: point, Time: testTime, Clock: ClockNTP, Boot: testBoot, Mono: 123456 * time.Millisecond}
	if data != "" {
		e.Data = json.RawMessage(data)
	}
	return e
}

// doorEvents returns n events as a board with one door makes them, 37 s apart.
func doorEvents(n int) []Event {
	all := make([]Event, n)
	for i := range all {
		all[i] = testEvent(uint64(i+1), []string{DoorOpened, DoorClosed}[i%2], "front-door", "")
		all[i].Time = testTime.Add(time.Duration(i) * 37123 * time.Millisecond)
		all[i].Mono += time.Duration(i) * 37123 * time.Millisecond
	}
	return all
}

func goldenMessages() []message {
	future := testEvent(7, "gate.jammed", "back-gate", `{"cause":"ice"}`)
	future.Extra = Extra{"severity": json.RawMessage("3"), "相关": json.RawMessage(`{"工单": ["甲", null, 1e3]}`)}
	guess := testEvent(8, PointUnknown, "front-door", "")
	guess.Time, guess.Clock = time.Time{}, ClockFloor
	alarm := []Event{testEvent(5, AlarmRaised, "panic-button", `{"cause":"panic"}`)}
	return append(eventMessages(),
		eventMessage("unknown-fields", future),
		eventMessage("no-time", guess),
		batchMessage("lone", &Batch{Device: testDevice, Epoch: testEpoch, Lane: Alarm, Oldest: 5, Events: alarm}),
		batchMessage("deflate", &Batch{Device: "621202104201-07", Epoch: testEpoch, Lane: State, Oldest: 1, Events: doorEvents(40),
			Extra: Extra{"relay": json.RawMessage(`"621202100-01"`)}}),
		batchMessage("empty", &Batch{Device: testDevice, Epoch: testEpoch, Lane: Sample, Oldest: 12}),
		ackMessage("ack", &Ack{Epoch: testEpoch, Lanes: map[Lane]uint64{Alarm: 5, State: 120}, Time: testTime, Credit: 500}),
		ackMessage("ack-hello", &Ack{Epoch: testEpoch, Lanes: map[Lane]uint64{Alarm: 5}, Time: testTime, Hello: true}),
		ackMessage("ack-refused", &Ack{Lanes: map[Lane]uint64{}, Time: testTime, Refused: &Refusal{Lane: State, CRC: 0x0a1b2c3d, Reason: RefusedMalformed}}),
		statusMessage("full", fullStatus()),
		statusMessage("heartbeat", fullStatus().Heartbeat()),
		statusMessage("disk", &Status{Device: testDevice, Session: "c0ffee", N: 43, Epoch: testEpoch, State: Online,
			Disk: &DiskStatus{Error: "no space left on device", Slow: 1500 * time.Millisecond, InMemory: 2, WrittenToday: 5 << 20, Life: 26280 * time.Hour}}),
		statusMessage("will", &Status{Device: testDevice, Session: "c0ffee", Epoch: testEpoch, State: Offline}),
	)
}

func eventMessages() []message {
	return []message{
		eventMessage("door-opened", testEvent(1, DoorOpened, "front-door", "")),
		eventMessage("door-closed", testEvent(2, DoorClosed, "front-door", "")),
		eventMessage("alarm-raised", testEvent(1, AlarmRaised, "panic-button", `{"cause":"panic"}`)),
		eventMessage("alarm-restored", testEvent(2, AlarmRestored, "panic-button", `{"cause":"panic"}`)),
		eventMessage("kiosk-fault", testEvent(3, KioskFault, "printer-paper", `{"cause":"paper-out"}`)),
		eventMessage("kiosk-restored", testEvent(4, KioskRestored, "printer-paper", "")),
		eventMessage("point-active", testEvent(5, PointActive, "spare-input", "")),
		eventMessage("point-normal", testEvent(6, PointNormal, "spare-input", "")),
		eventMessage("point-unknown", testEvent(7, PointUnknown, "spare-input", "")),
		eventMessage("point-known", testEvent(11, PointKnown, "spare-input", `{"state":"active"}`)),
		eventMessage("peripheral-fault", testEvent(8, PeripheralFault, "io-module", `{"error":"peripheral is silent"}`)),
		eventMessage("peripheral-restored", testEvent(9, PeripheralRestored, "io-module", "")),
		eventMessage("agent-started", testEvent(10, AgentStarted, "", `{"version":"v0.1.0"}`)),
		eventMessage("spool-gap", testEvent(900, SpoolGap, "", `{"lane":"state","from":12,"to":900,"count":889,"reason":"full"}`)),
		eventMessage("spool-recovered", testEvent(1, SpoolRecovered, "",
			`{"reason":"damaged","exact":false,"epochs":[{"epoch":"9f86d081884c7d65","lanes":{"state":{"last":120,"salvaged":17,"lost":3}}}]}`)),
		eventMessage("device-fault", testEvent(12, DeviceFault, "", `{"cause":"disk","error":"no space left on device"}`)),
		eventMessage("device-restored", testEvent(13, DeviceRestored, "", `{"cause":"disk"}`)),
		eventMessage("clock-synced", testEvent(14, ClockSynced, "", `{"from":"floor","clock":"city","offset":1943130123}`)),
	}
}

func fullStatus() *Status {
	return &Status{
		Device: testDevice, Session: "c0ffee", N: 1, Epoch: testEpoch, State: Online, Time: testTime, Clock: ClockCity,
		Boot: testBoot, Mono: 61 * time.Second, Version: "v0.1.0", Name: "汉王镇综治中心", Full: true,
		Points: map[string]PointStatus{
			"front-door":   {State: Normal, Kind: "door", Label: "正门", Peripheral: "io-module", Since: testTime.Add(-time.Hour), Age: 250 * time.Millisecond},
			"panic-button": {State: Fault, Kind: "panic", Label: "一键报警", Peripheral: "io-module", Age: 0, Detail: "线路断开 line open"},
			"printer":      {State: Unknown, Kind: "kiosk", Label: "打印机", Peripheral: "printer", Age: Never},
		},
		Peripherals: map[string]PeripheralStatus{
			"io-module": {OK: true, Driver: "modbus", Label: "输入模块", Age: 250 * time.Millisecond},
			"printer":   {Driver: "escpos", Label: "打印机", Age: Never, Error: "peripheral is silent"},
		},
		Backlog: map[Lane]uint64{Alarm: 1, State: 17, Sample: 250},
		Extra:   Extra{"signal": json.RawMessage("-71")},
	}
}

// TestGolden holds the encoding to the files that boards in the field were built
// against. A message longer than DeflateAbove has two: name.json and name.bin.
func TestGolden(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range goldenMessages() {
		t.Run(m.name, func(t *testing.T) {
			payload, err := m.encode(m.want)
			if err != nil {
				t.Fatalf("encode: %v", err)
			}
			data, err := unpack(payload)
			if err != nil {
				t.Fatalf("unpack what was encoded: %v", err)
			}
			checkGolden(t, m, ".json", data, data)
			if payload[0] != '{' {
				checkGolden(t, m, ".bin", payload, data)
				seen[m.name+".bin"] = true
			}
		})
		seen[m.name+".json"] = true
	}
	files, err := os.ReadDir("testdata/golden")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !seen[f.Name()] {
			t.Errorf("testdata/golden/%s belongs to no message: an old message must stay decodable, so its case must stay", f.Name())
		}
	}
}

// checkGolden compares a golden file with the JSON wanted of it, decodes it and
// encodes it again. Compressed bytes may differ from one compressor to the next,
// what they inflate to may not.
func checkGolden(t *testing.T, m message, suffix string, payload, wantJSON []byte) {
	t.Helper()
	path := filepath.Join("testdata", "golden", m.name+suffix)
	old, err := os.ReadFile(path)
	if *update {
		if data, err := unpack(old); err != nil || !bytes.Equal(data, wantJSON) {
			if err := os.WriteFile(path, payload, 0o644); err != nil {
				t.Fatal(err)
			}
			old = payload
		}
	} else if err != nil {
		t.Fatal(err)
	}
	data, err := unpack(old)
	if err != nil {
		t.Fatalf("unpack %s: %v", path, err)
	}
	if !bytes.Equal(data, wantJSON) {
		t.Errorf("%s:\n got %s\nwant %s", path, wantJSON, data)
	}
	got, err := m.decode(old)
	if err != nil {
		t.Fatalf("decode %s: %v", path, err)
	}
	if !reflect.DeepEqual(got, m.want) {
		t.Errorf("decode %s:\n got %+v\nwant %+v", path, got, m.want)
	}
	again, err := m.encode(got)
	if err != nil {
		t.Fatalf("encode again: %v", err)
	}
	if data, err = unpack(again); err != nil || !bytes.Equal(data, wantJSON) {
		t.Errorf("%s, encoded again:\n got %s, %v\nwant %s", path, data, err, wantJSON)
	}
}

// TestEveryTypeHasGolden finds the types in the source, so that a new one can't
// go without its golden file.
func TestEveryTypeHasGolden(t *testing.T) {
	src, err := os.ReadFile("event.go")
	if err != nil {
		t.Fatal(err)
	}
	golden := map[string]bool{}
	for _, m := range eventMessages() {
		golden[m.want.(Event).Type] = true
	}
	types := regexp.MustCompile(`(?m)^\t\w+ += "([a-z]+\.[a-z]+)"`).FindAllSubmatch(src, -1)
	if len(types) < len(golden) {
		t.Errorf("found %d types in event.go, want %d or more", len(types), len(golden))
	}
	for _, m := range types {
		if !golden[string(m[1])] {
			t.Errorf("type %s has no golden file: add it to eventMessages", m[1])
		}
	}
}

// TestDictionary pins the preset dictionary: with another one no board in the
// field could be understood. A better dictionary gets another first byte.
func TestDictionary(t *testing.T) {
	sum := sha256.Sum256([]byte(dictionary1))
	const want = "27da8a4bbfe2a4198df6aca0ab1e5df6cbd25c90aa7c26407d724624f7f54885"
	if got := hex.EncodeToString(sum[:]); got != want {
		t.Errorf("sha256 of dictionary1: got %s, want %s", got, want)
	}
}

// TestNewerFieldsEverywhere adds a field to every golden message: each must
// decode, and hand the field on.
func TestNewerFieldsEverywhere(t *testing.T) {
	for _, m := range goldenMessages() {
		payload, err := m.encode(m.want)
		if err != nil {
			t.Fatal(err)
		}
		data, err := unpack(payload)
		if err != nil {
			t.Fatal(err)
		}
		newer := append(bytes.TrimSuffix(bytes.Clone(data), []byte("}")), []byte(`,"龘-newer":{"a":[1,"二"]}}`)...)
		v, err := m.decode(newer)
		if err != nil {
			t.Errorf("%s with a newer field: %v", m.name, err)
			continue
		}
		again, err := m.encode(v)
		if err != nil {
			t.Errorf("%s with a newer field: encode: %v", m.name, err)
			continue
		}
		if got, _ := unpack(again); !bytes.Equal(got, newer) {
			t.Errorf("%s with a newer field:\n got %s\nwant %s", m.name, got, newer)
		}
	}
}
