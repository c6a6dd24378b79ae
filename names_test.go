package longan

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestParseDeviceID(t *testing.T) {
	for _, tt := range []struct{ id, county, township string }{
		{"621202104-01", "621202", "621202104"},
		{"621202104-00", "621202", "621202104"},
		{"621221104-99", "621221", "621221104"},
		{"621202104201-07", "621202", "621202104"},
		{"", "", ""},
		{"-01", "", ""},
		{"621202104", "", ""},
		{"621202104-1", "", ""},
		{"621202104-001", "", ""},
		{"62120210-01", "", ""},
		{"6212021041-01", "", ""},
		{"621202104_01", "", ""},
		{"62120210a-01", "", ""},
		{"621202104-0a", "", ""},
		{" 621202104-01", "", ""},
		{"621202104-01\n", "", ""},
		{"６２１２０２１０４-01", "", ""}, // full-width digits
		{"621202104/01", "", ""},
		{"+++++++++-##", "", ""},
		{strings.Repeat("6", 1<<16), "", ""},
	} {
		d, err := ParseDeviceID(tt.id)
		if (err == nil) != (tt.county != "") || (err != nil && !errors.Is(err, ErrMalformed)) {
			t.Errorf("ParseDeviceID(%q): got error %v", clip(tt.id), err)
		}
		if err != nil && (d != "" || len(err.Error()) > 250 || !strings.Contains(err.Error(), "621202104-01")) {
			t.Errorf("ParseDeviceID(%q): got %q, %v, want \"\" and a short error with an example", clip(tt.id), d, err)
		}
		d = DeviceID(tt.id)
		if d.County() != tt.county || d.Township() != tt.township {
			t.Errorf("%q: got county %q and township %q, want %q and %q", clip(tt.id), d.County(), d.Township(), tt.county, tt.township)
		}
	}
}

func TestValidName(t *testing.T) {
	for name, want := range map[string]bool{
		"front-door": true, "a": true, "7": true, "-": true, strings.Repeat("a", MaxName): true,
		"": false, "A": false, "a_b": false, "a.b": false, "a b": false, "a/b": false, "门": false, "a\x00": false,
		strings.Repeat("a", MaxName+1): false,
	} {
		if got := ValidName(name); got != want {
			t.Errorf("ValidName(%q) = %t, want %t", name, got, want)
		}
	}
}

func TestTopicRoundTrip(t *testing.T) {
	for _, tt := range []struct {
		topic Topic
		want  string
	}{
		{Topic{Device: testDevice, Kind: TopicUp, Lane: Alarm}, "longan/v1/621202/621202104-01/up/alarm"},
		{Topic{Device: testDevice, Kind: TopicUp, Lane: State}, "longan/v1/621202/621202104-01/up/state"},
		{Topic{Device: testDevice, Kind: TopicUp, Lane: Sample}, "longan/v1/621202/621202104-01/up/sample"},
		{Topic{Device: testDevice, Kind: TopicStatus}, "longan/v1/621202/621202104-01/status"},
		{Topic{Device: testDevice, Kind: TopicAck}, "longan/v1/621202/621202104-01/ack"},
		{Topic{Device: testDevice, Kind: TopicCmd}, "longan/v1/621202/621202104-01/cmd"},
		{Topic{Device: testDevice, Kind: TopicResult}, "longan/v1/621202/621202104-01/result"},
		{Topic{Device: "621228104201-12", Kind: TopicConfig}, "longan/v1/621228/621228104201-12/config"},
	} {
		if got := tt.topic.String(); got != tt.want {
			t.Errorf("%+v: got %s, want %s", tt.topic, got, tt.want)
		}
		got, err := ParseTopic(tt.want)
		if err != nil || got != tt.topic {
			t.Errorf("ParseTopic(%q): got %+v, %v, want %+v", tt.want, got, err, tt.topic)
		}
	}
}

func TestParseTopicRefuses(t *testing.T) {
	for _, name := range []string{
		"", "/", "longan", "longan/v1/", "longan/v1", "/longan/v1/621202/621202104-01/status",
		"longan/v2/621202/621202104-01/status",             // another version
		"LONGAN/v1/621202/621202104-01/status",             // topics are case-sensitive
		"longan/v1/621221/621202104-01/status",             // another county's device
		"longan/v1//621202104-01/status",                   // no county
		"longan/v1/+/621202104-01/status",                  // a filter, not a name
		"longan/v1/621202/+/status",                        //
		"longan/v1/621202/621202104-01",                    // no kind
		"longan/v1/621202/621202104-01/",                   //
		"longan/v1/621202/621202104-01/Status",             //
		"longan/v1/621202/621202104-01/status/",            // a level too many
		"longan/v1/621202/621202104-01/status/alarm",       //
		"longan/v1/621202/621202104-01/up",                 // no lane
		"longan/v1/621202/621202104-01/up/",                //
		"longan/v1/621202/621202104-01/up/bulk",            // no such lane
		"longan/v1/621202/621202104-01/up/alarm/x",         //
		"longan/v1/621202/621202104-01/up/#",               //
		"longan/v1/621202/621202104-1/status",              // no device id
		"longan/v1/621202/621202104-01/sta\x00tus",         //
		"longan/v1/621202/" + strings.Repeat("/", 1<<16-1), // as long as MQTT allows
	} {
		got, err := ParseTopic(name)
		if !errors.Is(err, ErrMalformed) || got != (Topic{}) {
			t.Errorf("ParseTopic(%q): got %+v, %v, want ErrMalformed", clip(name), got, err)
		}
	}
}

// matches reports whether an MQTT filter without "#" matches a topic name.
func matches(filter, name string) bool {
	f, n := strings.Split(filter, "/"), strings.Split(name, "/")
	return slices.EqualFunc(f, n, func(f, n string) bool { return f == "+" || f == n })
}

func TestFilters(t *testing.T) {
	up := Topic{Device: testDevice, Kind: TopicUp, Lane: Sample}.String()
	status := Topic{Device: testDevice, Kind: TopicStatus}.String()
	for _, tt := range []struct {
		filter     string
		up, status bool
	}{
		{UpFilter(""), true, false},
		{UpFilter("621202"), true, false},
		{UpFilter("621221"), false, false},
		{StatusFilter(""), false, true},
		{StatusFilter("621202"), false, true},
		{StatusFilter("621221"), false, false},
	} {
		if got := matches(tt.filter, up); got != tt.up {
			t.Errorf("%s matches %s: got %t", tt.filter, up, got)
		}
		if got := matches(tt.filter, status); got != tt.status {
			t.Errorf("%s matches %s: got %t", tt.filter, status, got)
		}
	}
}

func TestLanes(t *testing.T) {
	for i, l := range Lanes {
		if int(l) != i {
			t.Errorf("Lanes[%d] = %v: want the most urgent first", i, l)
		}
		text, err := l.MarshalText()
		if err != nil || string(text) != l.String() {
			t.Errorf("MarshalText of %v: got %q, %v", l, text, err)
		}
		var back Lane
		if err := back.UnmarshalText(text); err != nil || back != l {
			t.Errorf("UnmarshalText(%q): got %v, %v", text, back, err)
		}
	}
	if _, err := ParseLane("Alarm"); !errors.Is(err, ErrMalformed) {
		t.Errorf("ParseLane(Alarm): got %v, want ErrMalformed", err)
	}
	beyond := Lane(len(Lanes))
	if _, err := beyond.MarshalText(); err == nil || beyond.String() != "lane-unknown" {
		t.Errorf("lane %d: got %q, %v, want an error", beyond, beyond, err)
	}
}

func TestPointState(t *testing.T) {
	var zero PointState
	if zero != Unknown {
		t.Errorf("the zero PointState is %v, want unknown", zero)
	}
	for _, s := range []PointState{Unknown, Normal, Active, Fault} {
		text, err := s.MarshalText()
		back := Active
		if err2 := back.UnmarshalText(text); err != nil || err2 != nil || back != s {
			t.Errorf("%v: got %v, %v, %v", s, back, err, err2)
		}
	}
	for _, name := range []string{"", "Normal", "melting"} {
		s := Normal
		if err := s.UnmarshalText([]byte(name)); err != nil || s != Unknown {
			t.Errorf("UnmarshalText(%q): got %v, %v, want unknown", name, s, err)
		}
	}
	if got := PointState(200).String(); got != "unknown" {
		t.Errorf("PointState(200): got %q, want unknown", got)
	}
}

func TestTownships(t *testing.T) {
	all := Townships()
	if len(all) != 199 {
		t.Errorf("got %d townships, want 199", len(all))
	}
	if !slices.IsSortedFunc(all, func(a, b Township) int { return strings.Compare(a.Code, b.Code) }) {
		t.Error("townships are not in the order of their codes")
	}
	codes, counties, chengguan := map[string]bool{}, map[string]string{}, map[string]bool{}
	for _, u := range all {
		if codes[u.Code] {
			t.Errorf("%s stands there twice", u.Code)
		}
		codes[u.Code] = true
		d, err := ParseDeviceID(u.Code + "-01")
		if err != nil || d.County() != u.County || d.Township() != u.Code || u.County[:4] != "6212" {
			t.Errorf("%+v: is not a township of Longnan: %v", u, err)
		}
		if name, ok := counties[u.County]; ok && name != u.CountyName {
			t.Errorf("county %s is %s and %s", u.County, name, u.CountyName)
		}
		counties[u.County] = u.CountyName
		if u.Name == "" || u.CountyName == "" {
			t.Errorf("%+v: a name is missing", u)
		}
		if u.Name == "城关镇" {
			chengguan[u.County] = true
		}
		if got, ok := LookupTownship(u.Code); !ok || got != u {
			t.Errorf("LookupTownship(%s): got %+v, %t", u.Code, got, ok)
		}
	}
	if len(counties) != 9 || len(chengguan) != 8 {
		t.Errorf("got %d counties, %d of them with a 城关镇, want 9 and 8", len(counties), len(chengguan))
	}
	for _, code := range []string{"", "621202", "621202999", "621202104-01"} {
		if got, ok := LookupTownship(code); ok {
			t.Errorf("LookupTownship(%q): got %+v", code, got)
		}
	}
	// What the page shows for a center must name one center.
	seen := map[string]bool{}
	for _, u := range all {
		if k := fmt.Sprint(u.CountyName, u.Name); seen[k] {
			t.Errorf("two townships are called %s", k)
		} else {
			seen[k] = true
		}
	}
}
