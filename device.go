package longan

import "fmt"

// DeviceID names a board: the 9-digit code of its township or the 12-digit code
// of its village in the statistical division codes (统计用区划代码), "-", and two
// digits that count the boards there: "621202104-01". It is the MQTT client id
// and the common name of the board's certificate.
type DeviceID string

// ParseDeviceID returns s as a DeviceID, or an error that says what a device id
// looks like.
func ParseDeviceID(s string) (DeviceID, error) {
	code := len(s) - 3
	if (code != 9 && code != 12) || s[code] != '-' || !digits(s[:code]) || !digits(s[code+1:]) {
		return "", malformed("device id %q: want a 9 or 12 digit division code, \"-\" and two digits, like 621202104-01", clip(s))
	}
	return DeviceID(s), nil
}

// County returns the 6-digit code of the county, the third level of a topic. It
// is "" for a DeviceID that ParseDeviceID would refuse.
func (d DeviceID) County() string {
	if _, err := ParseDeviceID(string(d)); err != nil {
		return ""
	}
	return string(d[:6])
}

// Township returns the 9-digit code of the township, or "".
func (d DeviceID) Township() string {
	if _, err := ParseDeviceID(string(d)); err != nil {
		return ""
	}
	return string(d[:9])
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// ValidName reports whether s can name a point, a peripheral, an epoch, a
// session or a boot: 1 to MaxName characters of a-z, 0-9 and "-".
func ValidName(s string) bool {
	if s == "" || len(s) > MaxName {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// checkName returns an error that names the field unless s is a valid name or,
// where optional, empty.
func checkName(field, s string, optional bool) error {
	if (optional && s == "") || ValidName(s) {
		return nil
	}
	if len(s) > MaxName {
		return tooLarge(field, len(s), MaxName)
	}
	return malformed("%s %q: want 1 to %d of a-z, 0-9 and -", field, clip(s), MaxName)
}

// clip shortens foreign text for an error message.
func clip(s string) string {
	const most = 40
	if len(s) <= most {
		return s
	}
	return fmt.Sprintf("%s… (%d bytes)", s[:most], len(s))
}
