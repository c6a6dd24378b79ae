//go:build linux

package peripheral

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/drivers"
	"github.com/longan-edge/longan/drivers/idreader"
)

// TestOurDriverWatchesOurReaderAndReadsNobody lays cards on the reader, breaks it
// and silences it. At the end no card was chosen or read.
func TestOurDriverWatchesOurReaderAndReadsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader := NewIDReader()
		d := idreader.New(pipes{t: t, device: reader}, "pipe", idreader.Config{Point: "id-reader", CountCards: true})
		var mu sync.Mutex
		var state longan.PointState
		cards := 0
		errs := make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		run := func() {
			errs <- d.Run(ctx, func(_ context.Context, r drivers.Reading) error {
				mu.Lock()
				defer mu.Unlock()
				if state = r.State; r.Happened != nil {
					if cards++; r.Happened.Data != nil || r.Happened.Type != idreader.TypePresented {
						t.Errorf("a card is told of as %+v", r.Happened)
					}
				}
				return nil
			})
		}
		go run()
		for _, step := range []struct {
			name  string
			do    func()
			state longan.PointState
			cards int
		}{
			{"at rest", func() {}, longan.Normal, 0},
			{"a card", func() { reader.SetCard(true) }, longan.Normal, 1},
			{"it lies there", func() { time.Sleep(time.Minute) }, longan.Normal, 1},
			{"taken away", func() { reader.SetCard(false) }, longan.Normal, 1},
			{"another", func() { reader.SetCard(true) }, longan.Normal, 2},
			{"the self test fails", func() { reader.SetBroken(true) }, longan.Fault, 2},
			{"mended, without a card", func() { reader.SetCard(false); reader.SetBroken(false) }, longan.Normal, 2},
			{"one answer broken", func() { reader.FailNext(1, WrongCRC) }, longan.Normal, 2},
			{"one answer cut short", func() { reader.FailNext(1, HalfFrame) }, longan.Normal, 2},
			{"one answer late", func() { reader.FailNext(1, Late) }, longan.Normal, 2},
		} {
			step.do()
			time.Sleep(5 * time.Second)
			mu.Lock()
			if state != step.state || cards != step.cards {
				t.Errorf("%s: %v and %d cards, want %v and %d", step.name, state, cards, step.state, step.cards)
			}
			mu.Unlock()
		}
		for _, fault := range []Fault{Silent, Babbling} {
			reader.SetFault(fault)
			began := time.Now()
			err := <-errs
			if took := time.Since(began); err == nil || took > 10*time.Second {
				t.Errorf("fault %v: %v after %v", fault, err, took)
			}
			if fault == Silent && !errors.Is(err, drivers.ErrSilent) {
				t.Errorf("silent: %v", err)
			}
			reader.SetFault(NoFault)
			go run()
			time.Sleep(5 * time.Second)
		}
		cancel()
		<-errs
		if n := reader.Reads(); n != 0 {
			t.Errorf("%d requests would have chosen or read a card", n)
		}
	})
}
