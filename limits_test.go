package longan

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// wantErr fails unless err wraps want; a nil want is no error.
func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got error %v, want %v", what, err, want)
	}
}

func testBatch(events ...Event) *Batch {
	return &Batch{Device: testDevice, Epoch: testEpoch, Lane: State, Events: events}
}

// deflated returns data as a message of encoding 0x01, whatever its size.
func deflated(t testing.TB, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	out.WriteByte(encodingDeflate1)
	w, err := flate.NewWriterDict(&out, flate.BestCompression, []byte(dictionary1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// padded returns an object like {"a":"xxx"} that is size bytes long.
func padded(prefix string, size int) []byte {
	return []byte(prefix + strings.Repeat("x", size-len(prefix)-2) + `"}`)
}

func TestEventLimits(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Event)
		want   error
	}{
		{"as it is", func(e *Event) {}, nil},
		{"data at MaxData", func(e *Event) { e.Data = padded(`{"a":"`, MaxData) }, nil},
		{"data past MaxData", func(e *Event) { e.Data = padded(`{"a":"`, MaxData+1) }, ErrTooLarge},
		{"data is an array", func(e *Event) { e.Data = json.RawMessage(`[1]`) }, ErrMalformed},
		{"data is cut short", func(e *Event) { e.Data = json.RawMessage(`{"a":1`) }, ErrMalformed},
		{"data is broken UTF-8", func(e *Event) { e.Data = json.RawMessage("{\"a\":\"\xff\"}") }, ErrMalformed},
		{"type at MaxName", func(e *Event) { e.Type = "a." + strings.Repeat("b", MaxName-2) }, nil},
		{"type past MaxName", func(e *Event) { e.Type = "a." + strings.Repeat("b", MaxName-1) }, ErrTooLarge},
		{"type without a dot", func(e *Event) { e.Type = "door" }, ErrMalformed},
		{"type with an empty name", func(e *Event) { e.Type = "door..opened" }, ErrMalformed},
		{"type ends in a dot", func(e *Event) { e.Type = "door." }, ErrMalformed},
		{"type of three names", func(e *Event) { e.Type = "door.opened.twice" }, nil},
		{"no type", func(e *Event) { e.Type = "" }, ErrMalformed},
		{"point at MaxName", func(e *Event) { e.Point = strings.Repeat("p", MaxName) }, nil},
		{"point past MaxName", func(e *Event) { e.Point = strings.Repeat("p", MaxName+1) }, ErrTooLarge},
		{"point in Chinese", func(e *Event) { e.Point = "正门" }, ErrMalformed},
		{"point with a slash", func(e *Event) { e.Point = "a/b" }, ErrMalformed},
		{"boot past MaxName", func(e *Event) { e.Boot = strings.Repeat("b", MaxName+1) }, ErrTooLarge},
		{"clock in capitals", func(e *Event) { e.Clock = "NTP" }, ErrMalformed},
		{"seq 0", func(e *Event) { e.Seq = 0 }, ErrMalformed},
		{"seq at the limit", func(e *Event) { e.Seq = maxUint }, nil},
		{"seq past the limit", func(e *Event) { e.Seq = maxUint + 1 }, ErrMalformed},
		{"mono negative", func(e *Event) { e.Mono = -1 }, ErrMalformed},
		{"mono at the limit", func(e *Event) { e.Mono = maxMono }, nil},
		{"mono past the limit", func(e *Event) { e.Mono = maxMono + time.Millisecond }, ErrMalformed},
		{"time 1969", func(e *Event) { e.Time = time.Unix(-1, 0) }, ErrMalformed},
		{"time 1970", func(e *Event) { e.Time = time.Unix(0, 0) }, nil},
		{"time 9999", func(e *Event) { e.Time = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC) }, nil},
		{"time 10000", func(e *Event) { e.Time = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }, ErrMalformed},
		{"time 10000 in UTC", func(e *Event) {
			e.Time = time.Date(9999, 12, 31, 23, 0, 0, 0, time.FixedZone("", -2*3600))
		}, ErrMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := testEvent(1, DoorOpened, "front-door", "")
			tt.change(&e)
			wantErr(t, "Validate", e.Validate(), tt.want)
			payload, err := testBatch(e).Encode()
			wantErr(t, "Encode", err, tt.want)
			if tt.want == nil {
				_, err = DecodeBatch(payload)
				wantErr(t, "DecodeBatch", err, nil)
			}
			_, err = ParseEvent(e.AppendJSON(nil))
			if tt.name != "mono negative" { // AppendJSON makes it 0
				wantErr(t, "ParseEvent", err, tt.want)
			}
		})
	}
}

func TestMaxEvent(t *testing.T) {
	e := testEvent(1, DoorOpened, "front-door", "")
	short := len(e.AppendJSON(nil)) + len(`,"x":""`)
	for _, tt := range []struct {
		size int
		want error
	}{{MaxEvent, nil}, {MaxEvent + 1, ErrTooLarge}} {
		e.Extra = Extra{"x": json.RawMessage(`"` + strings.Repeat("x", tt.size-short) + `"`)}
		data := e.AppendJSON(nil)
		if len(data) != tt.size {
			t.Fatalf("got an event of %d bytes, want %d", len(data), tt.size)
		}
		_, err := ParseEvent(data)
		wantErr(t, fmt.Sprintf("ParseEvent of %d bytes", tt.size), err, tt.want)
		_, err = testBatch(e).Encode()
		wantErr(t, fmt.Sprintf("Encode of %d bytes", tt.size), err, tt.want)
		_, err = DecodeBatch(fmt.Appendf(nil, `{"v":1,"device":"621202104-01","epoch":"e","lane":"state","events":[%s]}`, data))
		wantErr(t, fmt.Sprintf("DecodeBatch of %d bytes", tt.size), err, tt.want)
	}
}

func TestMaxBatch(t *testing.T) {
	payload, err := testBatch(doorEvents(MaxBatch)...).Encode()
	wantErr(t, "Encode of MaxBatch", err, nil)
	b, err := DecodeBatch(payload)
	wantErr(t, "DecodeBatch of MaxBatch", err, nil)
	if b != nil && len(b.Events) != MaxBatch {
		t.Errorf("got %d events, want %d", len(b.Events), MaxBatch)
	}
	_, err = testBatch(doorEvents(MaxBatch + 1)...).Encode()
	wantErr(t, "Encode past MaxBatch", err, ErrTooLarge)
	var events []string
	for i := range MaxBatch + 1 {
		events = append(events, fmt.Sprintf(`{"seq":%d,"type":"a.b"}`, i+1))
	}
	_, err = DecodeBatch([]byte(`{"v":1,"device":"621202104-01","epoch":"e","lane":"state","events":[` + strings.Join(events, ",") + `]}`))
	wantErr(t, "DecodeBatch past MaxBatch", err, ErrTooLarge)
}

func TestMaxPayload(t *testing.T) {
	var events []Event
	for i := range 80 { // 80 times more than 4 KB is more than 256 KB
		e := testEvent(uint64(i+1), DoorOpened, "front-door", "")
		e.Data = padded(`{"a":"`, MaxData)
		events = append(events, e)
	}
	_, err := testBatch(events...).Encode()
	wantErr(t, "Encode past MaxPayload", err, ErrTooLarge)
	_, err = testBatch(events[:60]...).Encode()
	wantErr(t, "Encode below MaxPayload", err, nil)

	const prefix = `{"v":1,"device":"621202104-01","epoch":"e","lane":"state","events":[],"x":"`
	for _, tt := range []struct {
		size int
		want error
	}{{MaxPayload, nil}, {MaxPayload + 1, ErrTooLarge}} {
		data := padded(prefix, tt.size)
		_, err = DecodeBatch(data)
		wantErr(t, fmt.Sprintf("plain, %d bytes", tt.size), err, tt.want)
		_, err = DecodeBatch(deflated(t, data))
		wantErr(t, fmt.Sprintf("compressed, %d bytes", tt.size), err, tt.want)
	}
}

// TestInflateBomb sends a message that inflates to 4 MB: the decoder must give
// up at MaxPayload, in memory too.
func TestInflateBomb(t *testing.T) {
	bomb := deflated(t, bytes.Repeat([]byte(" "), 4<<20))
	if len(bomb) > MaxPayload {
		t.Fatalf("the bomb has %d bytes, want at most %d", len(bomb), MaxPayload)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := DecodeBatch(bomb)
	runtime.ReadMemStats(&after)
	wantErr(t, "DecodeBatch", err, ErrTooLarge)
	if got := after.TotalAlloc - before.TotalAlloc; got > 8*MaxPayload {
		t.Errorf("DecodeBatch of a bomb allocates %d bytes, want at most %d", got, 8*MaxPayload)
	}
}

func TestCompressedForm(t *testing.T) {
	good := deflated(t, []byte(`{"v":1,"device":"621202104-01","epoch":"e","lane":"state","events":[]}`))
	if _, err := DecodeBatch(good); err != nil {
		t.Fatal(err)
	}
	for n := range good {
		if _, err := DecodeBatch(good[:n]); !errors.Is(err, ErrMalformed) {
			t.Errorf("cut to %d of %d bytes: got error %v, want ErrMalformed", n, len(good), err)
		}
	}
	for _, tt := range []struct {
		name    string
		payload []byte
	}{
		{"empty", nil},
		{"a byte behind the end", append(bytes.Clone(good), 0)},
		{"a second message behind the end", append(bytes.Clone(good), good...)},
		{"JSON behind the JSON", deflated(t, []byte(`{"v":1}{"v":1}`))},
		{"compressed twice", deflated(t, good)},
		{"unknown first byte", append([]byte{0x02}, good[1:]...)},
		{"no JSON", deflated(t, []byte("hello"))},
		{"array", deflated(t, []byte(`[{"v":1}]`))},
		{"white space first", []byte(` {"v":1}`)},
		{"garbage behind plain JSON", []byte(`{"v":1,"epoch":"e"}x`)},
		{"NUL behind plain JSON", []byte("{\"v\":1,\"epoch\":\"e\"}\x00")},
	} {
		for name, decode := range decoders {
			_, err := decode(tt.payload)
			wantErr(t, name+" of "+tt.name, err, ErrMalformed)
		}
	}
}

// decoders are the three that take messages from outside.
var decoders = map[string]func([]byte) (any, error){
	"DecodeBatch":  func(b []byte) (any, error) { return DecodeBatch(b) },
	"DecodeAck":    func(b []byte) (any, error) { return DecodeAck(b) },
	"DecodeStatus": func(b []byte) (any, error) { return DecodeStatus(b) },
}

func TestMaxPoints(t *testing.T) {
	for _, tt := range []struct {
		n    int
		want error
	}{{MaxPoints, nil}, {MaxPoints + 1, ErrTooLarge}} {
		points, peripherals := map[string]PointStatus{}, map[string]PeripheralStatus{}
		var list []string
		for i := range tt.n {
			name := fmt.Sprintf("p%d", i)
			points[name], peripherals[name] = PointStatus{Age: Never}, PeripheralStatus{Age: Never}
			list = append(list, fmt.Sprintf("%q:{}", name))
		}
		status := Status{Device: testDevice, Session: "s", State: Online}
		status.Points = points
		_, err := status.Encode()
		wantErr(t, fmt.Sprintf("Encode of %d points", tt.n), err, tt.want)
		status.Points, status.Peripherals = nil, peripherals
		_, err = status.Encode()
		wantErr(t, fmt.Sprintf("Encode of %d peripherals", tt.n), err, tt.want)
		for _, field := range []string{"points", "peripherals"} {
			_, err = DecodeStatus(fmt.Appendf(nil, `{"v":1,"device":"621202104-01","session":"s","state":"online",%q:{%s}}`, field, strings.Join(list, ",")))
			wantErr(t, fmt.Sprintf("DecodeStatus of %d %s", tt.n, field), err, tt.want)
		}
	}
}

func TestStatusLimits(t *testing.T) {
	long := strings.Repeat("字", MaxLabel/3+1)
	for _, tt := range []struct {
		name   string
		change func(*Status)
		want   error
	}{
		{"name at MaxLabel", func(s *Status) { s.Name = strings.Repeat("x", MaxLabel) }, nil},
		{"name past MaxLabel", func(s *Status) { s.Name = long }, ErrTooLarge},
		{"version past MaxLabel", func(s *Status) { s.Version = long }, ErrTooLarge},
		{"label past MaxLabel", func(s *Status) { s.Points = map[string]PointStatus{"p": {Label: long}} }, ErrTooLarge},
		{"detail past MaxLabel", func(s *Status) { s.Points = map[string]PointStatus{"p": {Detail: long}} }, ErrTooLarge},
		{"error past MaxLabel", func(s *Status) { s.Peripherals = map[string]PeripheralStatus{"p": {Error: long}} }, ErrTooLarge},
		{"point in capitals", func(s *Status) { s.Points = map[string]PointStatus{"P": {}} }, ErrMalformed},
		{"peripheral without a name", func(s *Status) { s.Peripherals = map[string]PeripheralStatus{"": {}} }, ErrMalformed},
		{"since 1969", func(s *Status) { s.Points = map[string]PointStatus{"p": {Since: time.Unix(-1, 0)}} }, ErrMalformed},
		{"age of 292 years", func(s *Status) { s.Points = map[string]PointStatus{"p": {Age: 1<<63 - 1}} }, nil},
		{"age below 1 ms", func(s *Status) { s.Points = map[string]PointStatus{"p": {Age: 1}} }, nil},
		{"time 10000", func(s *Status) { s.Time = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }, ErrMalformed},
		{"mono negative", func(s *Status) { s.Mono = -1 }, ErrMalformed},
		{"n past the limit", func(s *Status) { s.N = maxUint + 1 }, ErrMalformed},
		{"backlog past the limit", func(s *Status) { s.Backlog = map[Lane]uint64{Sample: maxUint + 1} }, ErrMalformed},
		{"no session", func(s *Status) { s.Session = "" }, ErrMalformed},
		{"session past MaxName", func(s *Status) { s.Session = strings.Repeat("s", MaxName+1) }, ErrTooLarge},
		{"no state", func(s *Status) { s.State = "" }, ErrMalformed},
		{"a newer state", func(s *Status) { s.State = "asleep" }, nil},
		{"no device", func(s *Status) { s.Device = "" }, ErrMalformed},
	} {
		s := Status{Device: testDevice, Session: "s", State: Online}
		tt.change(&s)
		payload, err := s.Encode()
		wantErr(t, tt.name, err, tt.want)
		if err == nil {
			_, err = DecodeStatus(payload)
			wantErr(t, tt.name+", decoded", err, nil)
		}
	}
}

func TestAckLimits(t *testing.T) {
	for _, tt := range []struct {
		name string
		ack  Ack
		want error
	}{
		{"least", Ack{Epoch: "e"}, nil},
		{"no epoch", Ack{}, ErrMalformed},
		{"epoch past MaxName", Ack{Epoch: strings.Repeat("e", MaxName+1)}, ErrTooLarge},
		{"lane past the limit", Ack{Epoch: "e", Lanes: map[Lane]uint64{Alarm: maxUint + 1}}, ErrMalformed},
		{"credit past the limit", Ack{Epoch: "e", Credit: maxUint + 1}, ErrMalformed},
		{"time 1969", Ack{Epoch: "e", Time: time.Unix(-1, 0)}, ErrMalformed},
	} {
		_, err := tt.ack.Encode()
		wantErr(t, tt.name, err, tt.want)
	}
}
