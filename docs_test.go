package longan_test

import (
	"os"
	"regexp"
	"testing"

	"github.com/longan-edge/longan"
)

// TestMQTTPage holds the examples of docs/mqtt.md against the decoders.
func TestMQTTPage(t *testing.T) {
	page, err := os.ReadFile("docs/mqtt.md")
	if err != nil {
		t.Fatal(err)
	}
	decoders := map[string]func([]byte) error{
		"batch":  func(b []byte) error { _, err := longan.DecodeBatch(b); return err },
		"ack":    func(b []byte) error { _, err := longan.DecodeAck(b); return err },
		"status": func(b []byte) error { _, err := longan.DecodeStatus(b); return err },
	}
	examples := regexp.MustCompile("(?s)<!-- (\\w+) -->\n```json\n(.*?)```").FindAllSubmatch(page, -1)
	if len(examples) != 4 { // one a message, and a refusal
		t.Errorf("%d examples, want 4", len(examples))
	}
	for _, e := range examples {
		decode := decoders[string(e[1])]
		if decode == nil {
			t.Errorf("no decoder for an example %q", e[1])
		} else if err := decode(e[2]); err != nil {
			t.Errorf("%s: %v", e[1], err)
		}
	}
}
