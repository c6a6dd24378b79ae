package longan

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestVersion(t *testing.T) {
	for name, decode := range decoders {
		for _, payload := range []string{
			`{"v":2,"epoch":"e"}`,
			`{"epoch":"e"}`,
			`{"V":1,"epoch":"e"}`,
			`{"v":2,"device":{"id":7},"epoch":[1],"lane":9,"session":{}}`, // read v before the rest
			`{"device":{"id":7},"epoch":[1],"session":{},"v":4611686018427387904}`,
		} {
			_, err := decode([]byte(payload))
			wantErr(t, name+" of "+payload, err, ErrVersion)
			if err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("%s of %s: the error has more than one line: %q", name, payload, err)
			}
		}
		_, err := decode([]byte(`{"v":"1"}`))
		if !errors.Is(err, ErrMalformed) || errors.Is(err, ErrVersion) {
			t.Errorf(`%s of {"v":"1"}: got error %v, want ErrMalformed alone`, name, err)
		}
	}
}

const (
	batchHead  = `"v":1,"device":"621202104-01","epoch":"e","lane":"state"`
	statusHead = `"v":1,"device":"621202104-01","session":"s","state":"online"`
)

func TestDecodeRefuses(t *testing.T) {
	batch, status, ack := "DecodeBatch", "DecodeStatus", "DecodeAck"
	event := func(fields string) string {
		return `{` + batchHead + `,"events":[{"seq":1,"type":"a.b"` + fields + `}]}`
	}
	for _, tt := range []struct{ name, decoder, payload string }{
		{"no lane, which must not be taken for alarm", batch, `{"v":1,"device":"621202104-01","epoch":"e","events":[]}`},
		{"unknown lane", batch, `{"v":1,"device":"621202104-01","epoch":"e","lane":"bulk","events":[]}`},
		{"no device", batch, `{"v":1,"epoch":"e","lane":"state","events":[]}`},
		{"no epoch", batch, `{"v":1,"device":"621202104-01","lane":"state","events":[]}`},
		{"no events", batch, `{` + batchHead + `}`},
		{"events null", batch, `{` + batchHead + `,"events":null}`},
		{"events an object", batch, `{` + batchHead + `,"events":{}}`},
		{"event a number", batch, `{` + batchHead + `,"events":[7]}`},
		{"event null", batch, `{` + batchHead + `,"events":[null]}`},
		{"event nested in an array", batch, `{` + batchHead + `,"events":[[{"seq":1,"type":"a.b"}]]}`},
		{"seq falls", batch, `{` + batchHead + `,"events":[{"seq":2,"type":"a.b"},{"seq":1,"type":"a.b"}]}`},
		{"seq repeats", batch, `{` + batchHead + `,"events":[{"seq":2,"type":"a.b"},{"seq":2,"type":"a.b"}]}`},
		{"SEQ is not seq", batch, `{` + batchHead + `,"events":[{"SEQ":1,"type":"a.b"}]}`},
		{"Events is not events", batch, `{` + batchHead + `,"Events":[]}`},
		{"device twice", batch, `{` + batchHead + `,"device":"621202100-01","events":[]}`},
		{"events twice", batch, `{` + batchHead + `,"events":[],"events":[{"seq":1,"type":"a.b"}]}`},
		{"v twice", batch, `{` + batchHead + `,"v":1,"events":[]}`},
		{"newer field twice", batch, `{` + batchHead + `,"x":1,"events":[],"x":1}`},
		{"newer field twice, behind many", batch, `{` + batchHead + `,"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"events":[],"i":1}`},
		{"seq twice, once in escapes", batch, `{` + batchHead + `,"events":[{"seq":1,"type":"a.b","\u0073eq":2}]}`},
		{"field name past MaxName", batch, `{` + batchHead + `,"events":[],"` + strings.Repeat("x", MaxName+1) + `":1}`},
		{"seq 1.0", batch, `{` + batchHead + `,"events":[{"seq":1.0,"type":"a.b"}]}`},
		{"seq 1e3", batch, `{` + batchHead + `,"events":[{"seq":1e3,"type":"a.b"}]}`},
		{"seq -1", batch, `{` + batchHead + `,"events":[{"seq":-1,"type":"a.b"}]}`},
		{"seq a string", batch, `{` + batchHead + `,"events":[{"seq":"1","type":"a.b"}]}`},
		{"seq past uint64", batch, `{` + batchHead + `,"events":[{"seq":18446744073709551616,"type":"a.b"}]}`},
		{"seq null", batch, `{` + batchHead + `,"events":[{"seq":null,"type":"a.b"}]}`},
		{"point null", batch, event(`,"point":null`)},
		{"data null", batch, event(`,"data":null`)},
		{"data a string", batch, event(`,"data":"{}"`)},
		{"data an array", batch, event(`,"data":[]`)},
		{"mono past 146 years", batch, event(`,"mono":4611686018428`)},
		{"a newer field of broken UTF-8", batch, `{` + batchHead + `,"events":[],"x":"` + "\xff" + `"}`},
		{"lanes an array", ack, `{"v":1,"epoch":"e","lanes":[1]}`},
		{"lane twice", ack, `{"v":1,"epoch":"e","lanes":{"alarm":5,"alarm":0}}`},
		{"lanes twice", ack, `{"v":1,"epoch":"e","lanes":{"alarm":5},"lanes":{}}`},
		{"lane a string", ack, `{"v":1,"epoch":"e","lanes":{"alarm":"5"}}`},
		{"credit negative", ack, `{"v":1,"epoch":"e","credit":-1}`},
		{"full a number", status, `{` + statusHead + `,"full":1}`},
		{"ok a string", status, `{` + statusHead + `,"peripherals":{"p":{"ok":"true"}}}`},
		{"state a number", status, `{` + statusHead + `,"points":{"p":{"state":1}}}`},
		{"point twice", status, `{` + statusHead + `,"points":{"p":{"state":"active"},"p":{"state":"normal"}}}`},
		{"point in capitals", status, `{` + statusHead + `,"points":{"P":{}}}`},
		{"age negative", status, `{` + statusHead + `,"points":{"p":{"age":-1}}}`},
		{"points an array", status, `{` + statusHead + `,"points":[]}`},
		{"no session", status, `{"v":1,"device":"621202104-01","state":"online"}`},
		{"nested past what JSON takes", batch, `{` + batchHead + `,"events":[],"x":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`},
	} {
		v, err := decoders[tt.decoder]([]byte(tt.payload))
		if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: got %+v, %v, want ErrMalformed or ErrTooLarge", tt.name, v, err)
		}
		if !reflect.ValueOf(v).IsNil() {
			t.Errorf("%s: got %+v with an error, want nil", tt.name, v)
		}
	}
}

func TestDecodeAccepts(t *testing.T) {
	want := testBatch(Event{Seq: 1, Type: "a.b", Point: "p-1", Data: json.RawMessage(`{"键":"}]\"\\","n":[{}]}`)}, Event{Seq: 9, Type: "a.b"})
	want.Epoch, want.Extra = "e", Extra{"x": json.RawMessage(`"}]\\"`), `"\`: json.RawMessage(`null`), "旗": json.RawMessage(`-1.5e+3`)}
	for i := range want.Events {
		e := &want.Events[i]
		e.Device, e.Epoch, e.Lane = want.Device, want.Epoch, want.Lane
	}
	for _, tt := range []struct{ name, payload string }{
		{"events before the head", `{"events":[{"type":"a.b","data":{"键":"}]\"\\","n":[{}]},"point":"p-1","seq":1},{"seq":9,"type":"a.b"}],` +
			`"x":"}]\\","\"\\":null,"旗":-1.5e+3,"lane":"state","epoch":"e","device":"621202104-01","v":1}`},
		{"white space and escapes", "{\r\n\t\"\\u0076\" : 1 , \"device\":\"621202104\\u002d01\", \"epoch\" :\"e\",\"lane\":\"st\\u0061te\" ,\n" +
			`"events" : [ {"seq":1, "type":"a.b" ,"point":"p\u002d1","data": {"键":"}]\"\\","n":[{}]} } , {"seq":9,"type":"a.b"} ] ,` +
			`"x": "}]\\" , "\"\\" :null, "\u65d7" : -1.5e+3 } ` + "\n"},
	} {
		got, err := DecodeBatch([]byte(tt.payload))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		} else if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", tt.name, got, want)
		}
	}
}

// TestDecodeNewer: what a newer contract may add must not stop an older program.
func TestDecodeNewer(t *testing.T) {
	a, err := DecodeAck([]byte(`{"v":1,"epoch":"e","lanes":{"alarm":5,"bulk":"9"}}`))
	if err != nil || !reflect.DeepEqual(a.Lanes, map[Lane]uint64{Alarm: 5}) {
		t.Errorf("ack with a newer lane: got %+v, %v", a, err)
	}
	s, err := DecodeStatus([]byte(`{` + statusHead + `,"points":{"p":{"state":"melting","hue":3}},"peripherals":{"q":{"ok":true,"hue":3}}}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Points["p"]; got != (PointStatus{State: Unknown, Age: Never}) {
		t.Errorf("point in a newer state: got %+v, want Unknown", got)
	}
	if got := s.Peripherals["q"]; got != (PeripheralStatus{OK: true, Age: Never}) {
		t.Errorf("peripheral with a newer field: got %+v", got)
	}
}

func TestDeepData(t *testing.T) {
	const depth = 2000
	data := `{"a":` + strings.Repeat("[", depth) + strings.Repeat("]", depth) + `}`
	e, err := ParseEvent([]byte(`{"seq":1,"type":"a.b","data":` + data + `,"point":"p"}`))
	if err != nil || string(e.Data) != data || e.Point != "p" {
		t.Errorf("got point %q and %d bytes of data, %v, want p and %d", e.Point, len(e.Data), err, len(data))
	}
}

func TestTimes(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"2026-11-23T08:15:30.123Z", "2026-11-23T08:15:30.123Z"},
		{"2026-11-23T08:15:30Z", "2026-11-23T08:15:30.000Z"},
		{"2026-11-23T08:15:30.1239999Z", "2026-11-23T08:15:30.123Z"}, // cut, never into the future
		{"2026-11-23T16:15:30.123+08:00", "2026-11-23T08:15:30.123Z"},
		{"2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000Z"},
		{"1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z"},
		{"1969-12-31T23:00:00-02:00", "1970-01-01T01:00:00.000Z"},
		{"9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"},
		{"1969-12-31T23:59:59.999Z", ""},
		{"1970-01-01T00:00:00+08:00", ""}, // 1969 in UTC
		{"9999-12-31T23:59:59-08:00", ""}, // 10000 in UTC
		{"10000-01-01T00:00:00Z", ""},
		{"0001-01-01T00:00:00Z", ""},
		{"2026-12-31T23:59:60Z", ""}, // a leap second: no clock of ours shows one
		{"2025-02-29T00:00:00Z", ""},
		{"2026-11-23T24:00:00Z", ""},
		{"2026-11-23t08:15:30z", ""},
		{"2026-11-23 08:15:30Z", ""},
		{"2026-11-23T08:15:30", ""},
		{"2026-11-23", ""},
		{"", ""},
	} {
		e, err := ParseEvent([]byte(`{"seq":1,"type":"a.b","time":"` + tt.in + `"}`))
		if tt.want == "" {
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("time %q: got %v, %v, want ErrMalformed", tt.in, e.Time, err)
			}
			continue
		}
		if got := e.Time.Format(timeFormat); err != nil || got != tt.want || e.Time.Location() != time.UTC {
			t.Errorf("time %q: got %s, %v, want %s", tt.in, got, err, tt.want)
		}
	}
}

// TestDecodedOwnsItsBytes: an MQTT client reuses its buffers.
func TestDecodedOwnsItsBytes(t *testing.T) {
	for _, m := range goldenMessages() {
		payload, err := m.encode(m.want)
		if err != nil {
			t.Fatal(err)
		}
		v, err := m.decode(payload)
		if err != nil {
			t.Fatal(err)
		}
		clear(payload)
		if !reflect.DeepEqual(v, m.want) {
			t.Errorf("%s: changes with the buffer it was decoded from", m.name)
		}
	}
}

// TestEncodeConcurrently: the pooled compressors must not share their output.
func TestEncodeConcurrently(t *testing.T) {
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			want := testBatch(doorEvents(20 + n)...)
			for range 10 {
				payload, err := want.Encode()
				if err != nil {
					t.Error(err)
					return
				}
				got, err := DecodeBatch(payload)
				if err != nil || len(got.Events) != len(want.Events) {
					t.Errorf("got %d events, %v, want %d", len(got.Events), err, len(want.Events))
					return
				}
			}
		})
	}
	all.Wait()
}

func TestEncodeRefusesDisorder(t *testing.T) {
	for _, seqs := range [][2]uint64{{1, 1}, {2, 1}} {
		events := doorEvents(2)
		events[0].Seq, events[1].Seq = seqs[0], seqs[1]
		_, err := testBatch(events...).Encode()
		wantErr(t, "Encode out of order", err, ErrMalformed)
	}
}
