package agent

import (
	"strings"
	"testing"

	firmwareconfig "github.com/longan-edge/longan/firmware-config"
)

func TestAlarmsFirst(t *testing.T) {
	points := []firmwareconfig.Point{
		{Name: "a", Kind: firmwareconfig.KindDoor}, {Name: "b", Kind: firmwareconfig.KindPanic},
		{Name: "c", Kind: firmwareconfig.KindKiosk}, {Name: "d", Kind: firmwareconfig.KindFire},
	}
	var got strings.Builder
	for _, p := range alarmsFirst(points) {
		got.WriteString(p.Name)
	}
	if want := "bdac"; got.String() != want {
		t.Errorf("order %s, want %s", got.String(), want)
	}
}
