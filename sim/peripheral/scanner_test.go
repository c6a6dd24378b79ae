//go:build linux

package peripheral

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/longan-edge/longan/drivers"
	"github.com/longan-edge/longan/drivers/scanner"
)

// TestOurDriverCountsWhatOurScannerReads: each code is one event, also behind
// noise, a code that was cut short and a replug.
func TestOurDriverCountsWhatOurScannerReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewScanner()
		if err := s.Scan(t.Context(), "x"); err == nil {
			t.Error("a scanner that is not plugged in has sent something")
		}
		var mu sync.Mutex
		codes := 0
		d := scanner.New(pipes{t: t, device: s}, "pipe", scanner.Config{Point: "scanner", Key: []byte("sixteen bytes or more")})
		scan := func(want int, step string) {
			t.Helper()
			time.Sleep(time.Second)
			if err := s.Scan(t.Context(), "6901234567892"); err != nil {
				t.Errorf("%s: %v", step, err)
			}
			time.Sleep(time.Second)
			mu.Lock()
			defer mu.Unlock()
			if codes != want {
				t.Errorf("%s: %d codes, want %d", step, codes, want)
			}
		}
		run := func(steps func()) {
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() {
				done <- d.Run(ctx, func(_ context.Context, r drivers.Reading) error {
					mu.Lock()
					defer mu.Unlock()
					if r.Happened != nil {
						codes++
					}
					return nil
				})
			}()
			steps()
			cancel()
			<-done
		}
		run(func() {
			scan(1, "first")
			s.FailNext(1, HalfFrame) // no suffix: the silence ends it
			scan(2, "cut short")
			s.FailNext(1, Silent)
			scan(2, "nothing sent")
			scan(3, "again")
		})
		run(func() { scan(4, "after a replug") })
	})
}
