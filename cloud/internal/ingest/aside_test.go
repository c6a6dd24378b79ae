package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/cloud/internal/store"
)

// letters lists the dead letters, the latest first.
func (x *bench) letters() (out []string) {
	x.t.Helper()
	letters, err := x.seam.DeadLetters(x.t.Context(), "", 0)
	if err != nil {
		x.t.Fatal(err)
	}
	for _, l := range letters {
		out = append(out, fmt.Sprintf("%s %s %s ×%d", l.Device, l.Lane, l.Reason, l.Tries))
	}
	return out
}

func refusal(lane longan.Lane, payload []byte, reason string) string {
	return fmt.Sprintf("refused %s %08x %s", lane, crc32.Checksum(payload, crc32.MakeTable(crc32.Castagnoli)), reason)
}

// TestWhatIsNotOfTheContractIsSetAside: garbage is kept for an operator, and the
// board is told; but not that of a newer contract, which the city will take one
// day.
func TestWhatIsNotOfTheContractIsSetAside(t *testing.T) {
	foreign, err := (&longan.Batch{Device: "621202104-09", Epoch: epoch, Lane: longan.State}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name    string
		payload []byte
		reason  string
		letter  string
	}{
		{"garbage", []byte("\x00garbage"), longan.RefusedMalformed, "bad-message"},
		{"empty", nil, longan.RefusedMalformed, "bad-message"},
		{"too large", bytes.Repeat([]byte(" "), longan.MaxPayload+1), longan.RefusedMalformed, "bad-message"},
		{"other device", foreign, longan.RefusedForeign, "wrong-device"},
		{"newer", []byte(`{"v":9}`), "", "bad-message"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := newBench(t, nil)
				<-x.Ready()
				x.publish(longan.Topic{Device: mawei, Kind: longan.TopicUp, Lane: longan.Sample}, false, test.payload)
				time.Sleep(2 * asideEvery)
				var want []string
				if test.reason != "" {
					want = []string{refusal(longan.Sample, test.payload, test.reason)}
				}
				x.expect(want...)
				if got, want := x.letters(), []string{fmt.Sprintf("%s sample %s ×1", mawei, test.letter)}; !slices.Equal(got, want) {
					t.Errorf("letters %q, want %q", got, want)
				}
				x.send(longan.State, 1, 1)
				x.expect("commit state", "show 1 state", "stream state 1/1 holes 0", "ack alarm 0 state 1")
			})
		})
	}
}

// TestAFloodOfGarbage from one board costs one dead letter and one ack a second,
// and nobody else waits.
func TestAFloodOfGarbage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newBench(t, nil)
		<-x.Ready()
		topic := longan.Topic{Device: mawei, Kind: longan.TopicUp, Lane: longan.Alarm}
		const seconds = 10
		for i := range seconds * 50 {
			x.publish(topic, false, fmt.Appendf(nil, "garbage %d", i))
			time.Sleep(time.Second / 50)
		}
		time.Sleep(2 * asideEvery)
		synctest.Wait()
		refused := 0
		for _, s := range x.take() {
			if strings.HasPrefix(s, "refused") {
				refused++
			}
		}
		if n := len(x.letters()); n != refused || n < seconds-1 || n > seconds+2 {
			t.Errorf("%d letters and %d refusals in %d s, want one a second", n, refused, seconds)
		}
		if got := x.Metrics.Refusals()["bad-message"]; got != seconds*50 {
			t.Errorf("%d counted, want all", got)
		}
	})
}

// TestPoison: a batch that the store refuses while it takes others is set aside
// and refused after some tries, and what comes behind it goes on. Alarms do not
// wait for it.
func TestPoison(t *testing.T) {
	for _, alone := range []bool{true, false} {
		t.Run(fmt.Sprintf("alone=%v", alone), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := newBench(t, nil)
				<-x.Ready()
				hold := make(chan bool)
				x.seam.failWith(func(batches []*longan.Batch) error {
					<-hold
					if slices.ContainsFunc(batches, func(b *longan.Batch) bool { return b.Lane == longan.Sample }) {
						return fmt.Errorf("constraint: %w", store.ErrRefused)
					}
					return nil
				})
				x.send(longan.State, 1, 1)
				synctest.Wait()
				poison := x.payload(longan.Sample, 1, 1)
				x.publish(longan.Topic{Device: mawei, Kind: longan.TopicUp, Lane: longan.Sample}, false, poison)
				if !alone {
					x.send(longan.State, 2, 2)
				}
				synctest.Wait()
				close(hold)
				time.Sleep(retryFirst / 4) // the first try has failed
				x.take()
				x.send(longan.Alarm, 1, 1)
				synctest.Wait()
				if steps := x.take(); !slices.Contains(steps, "ack alarm 1 state 1") {
					t.Errorf("got %q: want the alarm acknowledged at once", steps)
				}
				time.Sleep(10 * time.Second)
				synctest.Wait()
				steps := x.take()
				if want := refusal(longan.Sample, poison, longan.RefusedByStore); !slices.Contains(steps, want) {
					t.Errorf("got %q, want %s", steps, want)
				}
				if !alone && !slices.Contains(steps, "ack alarm 1 state 2") {
					t.Errorf("got %q: want the state batch acknowledged", steps)
				}
				if got, want := x.letters(), []string{string(mawei) + " sample store-refuses ×1"}; !slices.Equal(got, want) {
					t.Errorf("letters %q, want %q", got, want)
				}
				x.send(longan.State, 2, 3)
				synctest.Wait()
				if steps := x.take(); steps[len(steps)-1] != "ack alarm 1 state 3" {
					t.Errorf("got %q: want it to go on", steps)
				}
			})
		})
	}
}

// TestAStoreThatFailsRefusesNothing: while nothing can be written, no board is
// told to give up anything, and all is stored in the end.
func TestAStoreThatFailsRefusesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newBench(t, nil)
		<-x.Ready()
		x.seam.failWith(func([]*longan.Batch) error { return errors.New("disk is full") })
		x.send(longan.State, 1, 2)
		x.send(longan.Sample, 1, 2)
		x.send(longan.Alarm, 1, 1)
		time.Sleep(5 * time.Minute)
		x.seam.failWith(nil)
		time.Sleep(2 * retryMost)
		synctest.Wait()
		steps := slices.DeleteFunc(x.take(), func(s string) bool { return s == "store fails" })
		if len(steps) == 0 || steps[0] != "commit alarm" || slices.ContainsFunc(steps, func(s string) bool { return strings.HasPrefix(s, "refused") }) {
			t.Errorf("got %q: want the alarm first and no refusal", steps)
		}
		if c, err := x.seam.Counts(t.Context()); err != nil || c.Events != 5 || c.DeadLetters != 0 {
			t.Errorf("%+v, %v: want 5 events and no dead letter", c, err)
		}
	})
}

// TestWhatTheStoreDoesNotTake: a batch that the store never takes, nobody knows
// why, does not hold up the others. Its board is not told to give it up.
func TestWhatTheStoreDoesNotTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newBench(t, nil)
		<-x.Ready()
		bad := errors.New("constraint failed")
		hold := make(chan bool)
		x.seam.failWith(func(batches []*longan.Batch) error {
			<-hold
			if slices.ContainsFunc(batches, func(b *longan.Batch) bool { return b.Lane == longan.Sample }) {
				return bad
			}
			return nil
		})
		x.send(longan.State, 1, 1)
		synctest.Wait()
		x.send(longan.Sample, 1, 1)
		x.send(longan.State, 2, 2)
		synctest.Wait()
		close(hold)
		time.Sleep(time.Minute)
		synctest.Wait()
		if steps := x.take(); !slices.Contains(steps, "ack alarm 0 state 2") {
			t.Errorf("got %q: want the state batch acknowledged", steps)
		}
		if got := x.Metrics.Refusals(); got["store-refuses"] != 1 {
			t.Errorf("refused %v, want the sample batch", got)
		}
		if letters := x.letters(); len(letters) != 0 {
			t.Errorf("letters %q, want none", letters)
		}
		x.send(longan.State, 3, 3)
		synctest.Wait()
		if steps := x.take(); steps[len(steps)-1] != "ack alarm 0 state 3" {
			t.Errorf("got %q: want it to go on", steps)
		}
	})
}
