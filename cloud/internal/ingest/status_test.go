package ingest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/longan-edge/longan"
)

// deafStore takes no status as long as it is deaf.
type deafStore struct {
	Store
	hangs, fails atomic.Bool
}

func (s *deafStore) SaveStatus(ctx context.Context, now time.Time, all ...*longan.Status) error {
	if s.hangs.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	if s.fails.Load() {
		return errors.New("disk is full")
	}
	return s.Store.SaveStatus(ctx, now, all...)
}

// TestADeafStoreHidesNoBoard: a disk that fails or hangs keeps statuses from
// being saved, and none from being shown.
func TestADeafStoreHidesNoBoard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		deaf := &deafStore{}
		x := newBench(t, func(c *Config) { deaf.Store, c.Store = c.Store, deaf })
		<-x.Ready()
		n := 0
		tell := func() {
			t.Helper()
			n++
			s := &longan.Status{Device: mawei, Session: "s1", N: uint64(n), State: longan.Online, Full: true, Name: fmt.Sprint(n)}
			payload, err := s.Encode()
			if err != nil {
				t.Fatal(err)
			}
			x.publish(longan.Topic{Device: mawei, Kind: longan.TopicStatus}, false, payload)
			x.expect("status s1 retained false")
			time.Sleep(2 * saveEvery)
		}
		saved := func() string {
			devices, err := x.seam.Devices(t.Context())
			if err != nil || len(devices) != 1 {
				t.Fatalf("saved %+v, %v", devices, err)
			}
			return devices[0].Name
		}
		tell()
		deaf.fails.Store(true)
		tell()
		tell()
		if got := saved(); got != "1" {
			t.Errorf("saved %s while the store fails, want 1", got)
		}
		deaf.fails.Store(false)
		time.Sleep(saveEvery)
		synctest.Wait()
		if got := saved(); got != "3" {
			t.Errorf("saved %s when the store was back, want the latest, 3", got)
		}
		deaf.hangs.Store(true)
		tell()
		tell() // shown, with the store still hanging
	})
}
