package dc09

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/longan-edge/longan"
)

// checkEvent holds an event to what leaves the board.
func checkEvent(t *testing.T, account string, e event) {
	t.Helper()
	var data struct{ Code, Zone, Area, Account string }
	text := e.json(account)
	if err := json.Unmarshal(text, &data); err != nil || len(text) > longan.MaxData {
		t.Errorf("%+v: got %s, %v", e, text, err)
	}
	if data.Code != e.code || data.Zone != e.zone || data.Area != e.area || data.Account != account {
		t.Errorf("%+v: got %s", e, text)
	}
	if e.code == "" || (e.zone != "" && user(e.code[max(0, len(e.code)-3):])) {
		t.Errorf("%+v: has a user's number, or no code", e)
	}
	for _, s := range []Signal{{Zone: 1}, {Code: "BA"}, {Code: "130", Zone: 15}} {
		var c conditions
		c.begin(longan.Active)
		if kind, code := s.effect(e); kind != nothing {
			c.apply(kind, code)
		}
		_ = c.state()
	}
}

func TestParseEvents(t *testing.T) {
	for _, test := range []struct {
		token, data string
		want        string // "" is an error
	}{
		{"SIA-DCS", "#1234|Nri1/BA01", "[BA zone 01 area 1]"},
		{"SIA-DCS", "|#1234|Nri1/BA01", "[BA zone 01 area 1]"},
		{"SIA-DCS", "1234|NBA015", "[BA zone 015]"},
		{"SIA-DCS", "#1234|NRR|Atest", "[RR]"},
		{"SIA-DCS", "#1234|Nri1BA01", "[BA zone 01 area 1]"},
		{"SIA-DCS", "#1234|Nti10:29id007pi01ri02/BR1", "[BR zone 1 area 02]"},
		{"SIA-DCS", "#1234|Nri1/BA01/ri2/BT2/TR3", "[BA zone 01 area 1 BT zone 2 area 2 TR zone 3 area 2]"},
		{"SIA-DCS", "#1234|NBA01|ORP", "[BA zone 01 RP]"},
		{"SIA-DCS", "#1234|Nri1/BA01^Zhang San / door^/BR02", "[BA zone 01 area 1 BR zone 02 area 1]"},
		{"SIA-DCS", `#1234|NBA01*Zhang San*/BR02"x"`, "[BA zone 01 BR zone 02]"},
		{"SIA-DCS", "#1234|NBA01^not ended/BR02", "[BA zone 01 BR zone 02]"},
		{"SIA-DCS", "#1234|NBA01^Zhang|San^", "[BA zone 01]"},
		{"SIA-DCS", "#1234|NBA12345", "[BA]"}, // more digits than a zone has
		{"SIA-DCS", "#1234|Nri12345/BA1", "[BA zone 1]"},
		{"SIA-DCS", "#1234|Nri1/CL007", "[CL area 1]"}, // who armed
		{"SIA-DCS", "#1234|Nid7/OP7", "[OP]"},
		{"SIA-DCS", "#1234|NBC7", "[BC]"},
		{"SIA-DCS", "#1234|NDG12345678", "[DG]"}, // a card
		{"SIA-DCS", "#1234|NDF2", "[DF zone 2]"},
		{"SIA-DCS", "#1234|Nri1/BV2", "[BV area 2]"}, // its number is an area's
		{"SIA-DCS", "#1234|NCG3", "[CG area 3]"},
		{"SIA-DCS", "#1234|Nri1/CG", "[CG area 1]"},
		{"SIA-DCS", "#1234|NidA1/BA01", "[BA zone 01]"},
		{"SIA-DCS", "#1234|Nri1^the hall^id7^Zhang San^ti10:29:15BA012^door / left^|Atext", "[BA zone 012 area 1]"},
		{"SIA-DCS", `#1234|Nri1BA1*"text"NM`, "[BA zone 1 area 1]"},
		{"SIA-DCS", "#1234|Nri1^not ended", ""},
		{"SIA-DCS", "#1234|", ""},
		{"SIA-DCS", "#1234|N", ""},
		{"SIA-DCS", "#1234|Nri1", ""},
		{"SIA-DCS", "#1234|Nba01", ""},
		{"SIA-DCS", "#1234|Atext", ""},
		{"SIA-DCS", "#12|NBA01", ""},
		{"SIA-DCS", "#12G4|NBA01", ""},
		{"SIA-DCS", "#1234", ""},
		{"SIA-DCS", "", ""},
		{"SIA-DCS", "#1234|N" + strings.Repeat("BA1/", mostEvents), "[" + strings.TrimSpace(strings.Repeat("BA zone 1 ", mostEvents)) + "]"},
		{"SIA-DCS", "#1234|N" + strings.Repeat("BA1/", mostEvents+1), ""},
		{"ADM-CID", "#1234|1130 01 015", "[E130 zone 015 area 01]"},
		{"ADM-CID", "#1234|3120 01 003", "[R120 zone 003 area 01]"},
		{"ADM-CID", "#1234|6301 00 000", "[P301 zone 000 area 00]"},
		{"ADM-CID", "#1234|3401 01 007", "[R401 area 01]"}, // who armed
		{"ADM-CID", "#1234|1121 01 007", "[E121 area 01]"}, // whose duress
		{"ADM-CID", "#1234|1602 00 000", "[E602 area 00]"},
		{"ADM-CID", "#1234|2130 01 015", ""},
		{"ADM-CID", "#1234|1130 01 15", ""},
		{"ADM-CID", "#1234|1130  015", ""},
		{"ADM-CID", "#1234|113001015", ""},
		{"ADM-CID", "#1234|1130 01 015 ", ""},
	} {
		account, events, err := parseEvents(test.token, []byte(test.data))
		if test.want == "" {
			if !errors.Is(err, errContent) {
				t.Errorf("%s: got %v, %v", test.data, events, err)
			}
			continue
		}
		if got := fmt.Sprint(events); err != nil || got != test.want || account != "1234" {
			t.Errorf("%s: got %s, %v, want %s", test.data, got, err, test.want)
		}
		for _, e := range events {
			checkEvent(t, "1234", e)
		}
	}
}

func TestParseSignal(t *testing.T) {
	for _, good := range []string{"zone-15", "BA", "BA-15", "130", "130-15", "CL", "AT", "401", "zone-9999"} {
		if s, err := ParseSignal(good); err != nil || s.String() != good {
			t.Errorf("%s: got %+v, %v", good, s, err)
		}
	}
	for _, bad := range []string{"", "zone", "zone-", "zone-0", "zone-x", "zone-10000", "B", "ba", "BA-0", "BAA", "13", "13A", "-15", "CL-7", "401-7", "DG-1", "BV-1"} {
		if s, err := ParseSignal(bad); err == nil || !strings.Contains(err.Error(), "want") {
			t.Errorf("%s: got %+v, %v", bad, s, err)
		}
	}
}

// TestStates plays events to one point, and tells its state after each.
func TestStates(t *testing.T) {
	for _, test := range []struct {
		signal string
		begin  longan.PointState
		events string
		want   string
	}{
		{"zone-15", longan.Unknown, "BA01 BA15 BR15", "unknown active normal"},
		{"zone-15", longan.Unknown, "BA15 BT15 BJ15 BH15", "active active active normal"},
		{"zone-15", longan.Unknown, "BT015 BR015", "fault normal"},
		{"zone-15", longan.Normal, "BB15 BA15 BR15 BU15", "fault active fault normal"},
		{"zone-15", longan.Normal, "TA15 TR15", "fault normal"},
		{"zone-15", longan.Normal, "PA15 BR15 PR15", "active active normal"},
		{"zone-15", longan.Active, "BR15", "normal"},
		{"zone-15", longan.Fault, "BA15 BR15", "active normal"},
		{"zone-15", longan.Normal, "CL15 AT15 XT15 TS15 BV15", "normal normal normal normal normal"},
		{"zone-15", longan.Unknown, "E130.015 R130.015", "active normal"},
		{"zone-15", longan.Unknown, "E120.15 E380.15 R120.15 R380.15", "active active fault normal"},
		{"zone-15", longan.Normal, "E570.15 R570.15 P110.15 E602.15", "fault normal active active"},
		{"BA", longan.Unknown, "BA01 BA02 BH02", "active active normal"},
		{"BA-1", longan.Normal, "BA02 BA1 BR02 BR001", "normal active active normal"},
		{"AT", longan.Unknown, "AR AT AR", "normal active normal"},
		{"YT", longan.Normal, "YT YR", "active normal"},
		{"CL", longan.Normal, "CL1 OP2", "active normal"},
		{"301", longan.Normal, "E301.0 R301.0 P301.0 R302.0", "active normal active active"},
		{"130-15", longan.Normal, "E130.14 E130.15 E131.15 R131.15 R130.15", "normal active active active normal"},
	} {
		s, err := ParseSignal(test.signal)
		if err != nil {
			t.Fatal(err)
		}
		var c conditions
		c.begin(test.begin)
		var got []string
		for text := range strings.FieldsSeq(test.events) {
			e := event{code: text[:2], zone: text[2:]}
			if code, zone, ok := strings.Cut(text, "."); ok {
				e = event{code: code, zone: zone}
			}
			if kind, code := s.effect(e); kind != nothing {
				c.apply(kind, code)
			}
			got = append(got, c.state().String())
		}
		if got := strings.Join(got, " "); got != test.want {
			t.Errorf("%s: %s: got %s, want %s", test.signal, test.events, got, test.want)
		}
	}
}
