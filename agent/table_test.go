package agent

import (
	"testing"

	firmwareconfig "github.com/longan-edge/longan/firmware-config"
)

func TestAlarmsFirst(t *testing.T) {
	points := []firmwareconfig.Point{
		{Name: "a", Kind: firmwareconfig.KindDoor}, {Name: "b", Kind: firmwareconfig.KindPanic},
		{Name: "c", Kind: firmwareconfig.KindKiosk}, {Name: "d", Kind: firmwareconfig.KindFire},
	}
	got := ""
	for _, p := range alarmsFirst(points) {
		got += p.Name
	}
	if want := "bdac"; got != want {
		t.Errorf("order %s, want %s", got, want)
	}
}
