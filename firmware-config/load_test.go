package firmwareconfig

import (
	"testing"
	"time"
)

func TestExample(t *testing.T) {
	s, err := Parse("site.example.toml", Example(), English)
	if err != nil {
		t.Fatal(err)
	}
	if s.Device != "621202107-01" || len(s.Peripherals) != 3 || s.Uplink.Username != "621202107-01" {
		t.Errorf("got %+v", s)
	}
	if p := s.Peripherals[2].Points[0]; p.Signal != "pinctrl-bcm2711:17" || p.Debounce != 30*time.Millisecond {
		t.Errorf("got point %+v", p)
	}
}
