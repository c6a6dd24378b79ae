package live

import (
	"slices"
	"testing"
	"time"

	"github.com/longan-edge/longan"
	"pgregory.net/rapid"
)

// TestNoFalseOnline lets sessions come and go, with wills and heartbeats late,
// twice and retained, and holds two rules at every moment: a center is online
// only within StaleAfter of a live word of a session not superseded then, and
// the newest session that speaks live is never made offline by another's will.
func TestNoFalseOnline(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		now := &clock{time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)}
		v := New(Config{Now: now.now})
		sessions := []string{"s0", "s1", "s2", "s3"}
		newest, n := -1, uint64(0)
		var lastWord time.Time // of the newest session, live and new
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			now.t = now.t.Add(time.Duration(rapid.IntRange(0, 12000).Draw(rt, "wait")) * time.Millisecond)
			i := rapid.IntRange(0, len(sessions)-1).Draw(rt, "session")
			switch rapid.SampledFrom([]string{"beat", "birth", "late beat", "will", "retained"}).Draw(rt, "what") {
			case "birth":
				if newest+1 < len(sessions) {
					newest, n, lastWord = newest+1, 1, now.t
					v.ApplyStatus(full(sessions[newest], n, 0, longan.Normal, 0), false)
				}
			case "beat":
				if newest >= 0 {
					n, lastWord = n+1, now.t
					v.ApplyStatus(heartbeat(sessions[newest], n, 0), false)
				}
			case "late beat":
				if i < newest {
					v.ApplyStatus(heartbeat(sessions[i], 99, 0), false)
				}
			case "will":
				if i != newest {
					v.ApplyStatus(will(sessions[i]), false)
				}
			case "retained":
				if i <= newest {
					v.ApplyStatus(full(sessions[i], 1, 0, longan.Normal, 0), true)
				}
			}
			c, ok := v.Center(board)
			if !ok {
				continue
			}
			silent := now.t.Sub(lastWord)
			want := []State{Unknown}
			if newest >= 0 {
				want = []State{Online}
				if silent >= DefaultOfflineAfter {
					want = []State{Offline}
				} else if silent >= DefaultStaleAfter {
					want = []State{Stale}
				}
			}
			if !slices.Contains(want, c.State) {
				rt.Fatalf("silent for %v, newest session %d: got %s (%s), want %v", silent, newest, c.State, c.Cause, want)
			}
		}
	})
}
