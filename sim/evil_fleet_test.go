package sim

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/gpio"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/sim/link"
)

// TestTheFleetComesBackSpread: every center of the city loses the broker at the
// same moment, for ten minutes. When it is back, at most 20 connect in any second,
// and all have within a minute.
func TestTheFleetComesBackSpread(t *testing.T) {
	most, step := 20, 1 // connections a second; one in step centers is there
	if raceDetector {
		most, step = 12, 3
	}
	dir := memoryDir(t)
	oneProcessor(t)
	synctest.Test(t, func(t *testing.T) {
		city := &virtualCity{t: t, dir: dir, store: filepath.Join(dir, "none"), tally: NewTally(), log: &cityLog{}}
		e := newEvil()
		l, err := city.port.Listen()
		if err != nil {
			t.Fatal(err)
		}
		go e.serve(l)
		var boards []*virtualBoard
		townships := longan.Townships()
		for i := 0; i < len(townships); i += step {
			site := doorSite(longan.DeviceID(townships[i].Code+"-01"), time.Minute)
			site.Peripherals[0].Poll = 10 * time.Minute // longer than a site file may say
			b := city.addBoard(site, 1, link.Conditions{})
			b.ports.AddLine("chip:1").Set(gpio.Low)
			b.ports.AddLine("chip:2").Set(gpio.High)
			b.start()
			boards = append(boards, b)
		}
		time.Sleep(2 * time.Minute)
		l.Close()
		e.kick()
		time.Sleep(10 * time.Minute)
		e.misbehave(func(e *evil) { e.connects = nil })
		begin := time.Now()
		if l, err = city.port.Listen(); err != nil {
			t.Fatal(err)
		}
		go e.serve(l)
		time.Sleep(time.Minute)
		seconds, back := make([]int, 60), map[string]bool{}
		e.misbehave(func(e *evil) {
			for _, c := range e.connects {
				if !back[c.id] { // nobody acknowledges here, so that they try again
					back[c.id] = true
					seconds[int(c.at.Sub(begin)/time.Second)]++
				}
			}
		})
		t.Logf("connections a second: %s", strings.Trim(fmt.Sprint(seconds), "[]"))
		if len(back) != len(boards) {
			t.Errorf("%d of %d boards are back after a minute", len(back), len(boards))
		}
		if worst := slices.Max(seconds); worst > most {
			t.Errorf("%d connections in a second, want at most %d", worst, most)
		}
		for _, b := range boards {
			b.cancel()
		}
		for _, b := range boards {
			b.done.Wait()
		}
		l.Close()
		e.close()
	})
}
