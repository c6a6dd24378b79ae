package agent

import (
	"errors"
	"log/slog"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/agent/internal/spool"
	"github.com/longan-edge/longan/drivers"
)

// newTestCenter is the center of a board whose spool is in dir, without drivers.
func newTestCenter(t *testing.T, dir string) *center {
	t.Helper()
	sp, err := spool.Open(dir, spool.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sp.Close() })
	site := newBoard(t, dir).site()
	return newCenter(Config{Site: site, Clock: testClock(), Log: slog.New(slog.DiscardHandler)}, sp)
}

func wantPoint(t *testing.T, c *center, name string, want longan.PointState) {
	t.Helper()
	if got := c.status().Points[name].State; got != want {
		t.Errorf("the status says %s is %v, want %v", name, got, want)
	}
}

// TestStatusTellsThePresentWithoutADisk: what can't be stored is seen all the
// same, or an open door would be shown closed.
func TestStatusTellsThePresentWithoutADisk(t *testing.T) {
	dir := t.TempDir() + "/data"
	if err := os.WriteFile(dir, nil, 0o600); err != nil { // a file where the folder should be
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		c := newTestCenter(t, dir)
		if err := c.report(t.Context(), "board-inputs", drivers.Health{OK: true}); err != nil {
			t.Fatal(err) // nothing to store: it was never reported down
		}
		if err := c.emit(t.Context(), "board-inputs", drivers.Reading{Point: "front-door", State: longan.Normal}); err != nil {
			t.Fatal(err) // nothing to store: that is where it begins
		}
		wantPoint(t, c, "front-door", longan.Normal)
		err := c.emit(t.Context(), "board-inputs", drivers.Reading{Point: "front-door", State: longan.Active})
		if err == nil {
			t.Error("an event was accepted without a disk")
		}
		wantPoint(t, c, "front-door", longan.Active)
		select {
		case <-c.changed:
		default:
			t.Error("the uplink was not told")
		}
		if err := c.report(t.Context(), "board-inputs", drivers.Health{Err: errors.New("cut")}); err == nil {
			t.Error("a fault was accepted without a disk")
		}
		wantPoint(t, c, "front-door", longan.Unknown)
		if c.status().Peripherals["board-inputs"].OK {
			t.Error("the status says that the peripheral is well")
		}
	})
}

// TestSilenceIsUnknown: a driver that neither reads nor fails must not leave its
// last reading standing as the present.
func TestSilenceIsUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCenter(t, t.TempDir())
		if err := c.report(t.Context(), "board-inputs", drivers.Health{OK: true}); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := c.emit(t.Context(), "board-inputs", drivers.Reading{Point: "front-door", State: longan.Normal}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(silentAfter + silentPolls*time.Second)
			wantPoint(t, c, "front-door", longan.Normal)
			if p := c.status().Peripherals["board-inputs"]; !p.OK {
				t.Errorf("peripheral %+v, want OK", p)
			}
			time.Sleep(time.Second)
			wantPoint(t, c, "front-door", longan.Unknown)
			if p := c.status().Peripherals["board-inputs"]; p.OK || p.Error == "" {
				t.Errorf("peripheral %+v, want not OK and why", p)
			}
		}
	})
}

// TestASignOfLifeKeepsAPeripheralFresh: outputs alone have no point to read.
func TestASignOfLifeKeepsAPeripheralFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCenter(t, t.TempDir())
		if err := c.report(t.Context(), "board-inputs", drivers.Health{OK: true}); err != nil {
			t.Fatal(err)
		}
		for range 10 {
			if err := c.emit(t.Context(), "board-inputs", drivers.Reading{State: longan.Normal}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(silentAfter)
		}
		if p := c.status().Peripherals["board-inputs"]; !p.OK || p.Age != silentAfter {
			t.Errorf("the peripheral is %+v, want well and read %v ago", p, silentAfter)
		}
		time.Sleep(silentAfter)
		if p := c.status().Peripherals["board-inputs"]; p.OK {
			t.Errorf("silent for %v the peripheral is %+v", 2*silentAfter, p)
		}
	})
}
