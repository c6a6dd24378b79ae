package dc09

import (
	"bytes"
	"fmt"
	"strings"
)

// event is one thing that a panel reports, without what tells of people.
type event struct {
	code string // "BA" of SIA; "E130", "R130", "P130" of Contact ID: event, restoral, still so
	zone string // as sent; "" where the panel names none, or a user
	area string // as sent, or ""
}

// String returns the event for people.
func (e event) String() string {
	s := e.code
	if e.zone != "" {
		s += " zone " + e.zone
	}
	if e.area != "" {
		s += " area " + e.area
	}
	return s
}

// json returns the data of a panel.event. No value has anything to escape.
func (e event) json(account string) []byte {
	b := fmt.Appendf(nil, `{"code":"%s"`, e.code)
	if e.zone != "" {
		b = fmt.Appendf(b, `,"zone":"%s"`, e.zone)
	}
	if e.area != "" {
		b = fmt.Appendf(b, `,"area":"%s"`, e.area)
	}
	return fmt.Appendf(b, `,"account":"%s"}`, account)
}

// mostEvents bounds the events of one message.
const mostEvents = 32

// parseEvents reads the data of a message with this token. The account within is
// mostly that of the header; a panel may have another one for each of its areas.
func parseEvents(token string, data []byte) (account string, events []event, err error) {
	data = bytes.TrimPrefix(data, []byte{'|'})
	inner, text, ok := bytes.Cut(data, []byte{'|'})
	account = strings.ToUpper(strings.TrimPrefix(string(inner), "#"))
	if !ok || !within(account, 3, 16, hexadecimal) {
		return "", nil, fmt.Errorf("%w: want #account|event", errContent)
	}
	if token == "ADM-CID" {
		e, err := parseContactID(string(text))
		return account, []event{e}, err
	}
	events, err = parseSIA(string(text))
	return account, events, err
}

// parseContactID reads "1130 01 015": qualifier and code, group, zone or user.
// SIA DC-05.
func parseContactID(s string) (event, error) {
	fields := strings.Split(s, " ")
	if len(fields) != 3 || !within(fields[0], 4, 4, hexadecimal) || !within(fields[1], 2, 2, hexadecimal) || !within(fields[2], 3, 3, hexadecimal) {
		return event{}, fmt.Errorf("%w: want Contact ID as 1130 01 015", errContent)
	}
	e := event{code: strings.ToUpper(fields[0][1:]), zone: fields[2], area: fields[1]}
	if user(e.code) {
		e.zone = ""
	}
	switch fields[0][0] {
	case '1':
		e.code = "E" + e.code
	case '3':
		e.code = "R" + e.code
	case '6':
		e.code = "P" + e.code
	default:
		return event{}, fmt.Errorf("%w: want Contact ID with qualifier 1, 3 or 6", errContent)
	}
	return e, nil
}

// parseSIA reads the blocks of SIA DC-03 that stand between bars: N and O hold
// events, all others text.
func parseSIA(s string) (events []event, err error) {
	for block := range strings.SplitSeq(s, "|") {
		if block == "" || (block[0] != 'N' && block[0] != 'O') {
			continue
		}
		area := ""
		for block = block[1:]; block != ""; {
			var e event
			e, area, block = siaItem(block, area)
			if e.code == "" {
				continue
			}
			if events = append(events, e); len(events) > mostEvents {
				return nil, fmt.Errorf("%w: more than %d events", errContent, mostEvents)
			}
		}
	}
	if len(events) == 0 {
		return nil, fmt.Errorf("%w: want SIA events as Nri1/BA01", errContent)
	}
	return events, nil
}

// siaItem reads one item of a block, up to the next slash: modifiers, of which
// only the area is kept (the others are times, users and devices), and an event.
// The text that an event may have is passed over, for it can be a name.
func siaItem(s, area string) (e event, _, rest string) {
	for len(s) >= 2 && lower(s[0]) && lower(s[1]) {
		value := s[2:]
		n := 0
		for n < len(value) && (decimal(value[n]) || value[n] == ':' || value[n] == '-') {
			n++
		}
		name := ""
		if n < len(value) && value[n] == '^' { // the name of the area or of the user
			var ended bool
			if name, _, ended = strings.Cut(value[n+1:], "^"); !ended {
				return e, area, ""
			}
			name = "^" + name + "^"
		}
		if s[:2] == "ri" {
			area = ""
			if within(value[:n], 1, 4, decimal) {
				area = value[:n]
			}
		}
		s = value[n+len(name):]
	}
	if len(s) >= 2 && upper(s[0]) && upper(s[1]) {
		e = event{code: s[:2], area: area}
		s = s[2:]
		n := 0
		for n < len(s) && hexadecimal(s[n]) && !lower(s[n]) {
			n++
		}
		switch {
		case n > 4:
		case areaNumber(e.code) && n > 0:
			e.area = s[:n]
		case !areaNumber(e.code) && !user(e.code):
			e.zone = s[:n]
		}
		s = s[n:]
	}
	return e, area, passText(s)
}

// passText returns what follows the slash that ends an item. Text stands between
// two equal marks, and can hold a slash.
func passText(s string) string {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '/':
			return s[i+1:]
		case '^', '*', '"':
			if end := strings.IndexByte(s[i+1:], s[i]); end >= 0 {
				i += 1 + end
			}
		}
	}
	return ""
}

// areaNumber reports whether the number of an event of SIA is that of an area.
func areaNumber(code string) bool {
	return len(code) == 2 && strings.Contains("BV CA CD CG CI CT CW FI FK NF NM OA OG OI", code)
}

// user reports whether the number of a code, of SIA or of Contact ID, may be that
// of a user, a card or a schedule. What is not known to be a zone is taken for one.
func user(code string) bool {
	if len(code) == 3 {
		return contactIDUser(code)
	}
	switch code {
	case "DF", "DL", "DH", "DR", "DT": // a door's own
		return false
	case "EE", "RX", "NL", "AB", "ZY":
		return true
	}
	switch code[0] {
	case 'A', 'B', 'E', 'F', 'G', 'H', 'I', 'K', 'M', 'P', 'Q', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z':
		return code[1] == 'C' // a user cancelled it
	}
	return true // C and O: who armed and disarmed; D: cards; J: codes
}

func contactIDUser(code string) bool {
	switch code {
	case "121", "313", "574": // duress, engineer reset, group bypass
		return true
	case "423", "426": // door forced, door propped open
		return false
	}
	switch code[0] {
	case '1', '3', '5':
		return false
	}
	return true
}
