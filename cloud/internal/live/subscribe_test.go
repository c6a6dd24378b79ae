package live

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/longan-edge/longan"
)

// TestRunAges watches a whole life in virtual time, through a subscription
// only: nobody asks the view.
func TestRunAges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := New(Config{})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- v.Run(ctx) }()
		v.ApplyStatus(heartbeat("a", 1, 0), false)
		sub := v.Subscribe(ctx)
		began := time.Now()
		for _, want := range []struct {
			after time.Duration
			state State
		}{{DefaultStaleAfter, Stale}, {DefaultOfflineAfter, Offline}} {
			<-sub.Ready()
			if got := time.Since(began); got < want.after || got > want.after+DefaultTick {
				t.Errorf("notified after %v, want %v", got, want.after)
			}
			changes, _ := sub.Take()
			if len(changes) != 1 || changes[0].Kind != ChangeCenter || changes[0].Device != board {
				t.Errorf("changes: got %+v", changes)
			}
			if c, _ := v.Center(board); c.State != want.state {
				t.Errorf("state: got %s, want %s", c.State, want.state)
			}
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: got %v, want context canceled", err)
		}
		synctest.Wait()
		if len(v.subs) != 0 {
			t.Errorf("subscriptions after their context ended: %d", len(v.subs))
		}
	})
}

func TestChangesCoalesce(t *testing.T) {
	v, now := newView(t)
	sub := v.Subscribe(t.Context())
	v.ApplyStatus(full("a", 1, 0, longan.Normal, 0), false)
	v.ApplyStatus(full("a", 2, time.Second, longan.Active, 0), false)
	v.ApplyStatus(heartbeat("a", 3, 2*time.Second), false)
	<-sub.Ready()
	changes, rev := sub.Take()
	if len(changes) != 1 || changes[0].Kind != ChangeCenter {
		t.Errorf("got %+v, want one change of the center", changes)
	}
	if _, want := v.Rev(); rev != want {
		t.Errorf("rev: got %d, want %d", rev, want)
	}
	now.t = now.t.Add(time.Second)
	v.ApplyStatus(heartbeat("a", 4, 3*time.Second), false)
	if changes, _ = sub.Take(); len(changes) != 1 || changes[0].Kind != ChangeHeard {
		t.Errorf("a heartbeat: got %+v, want heard", changes)
	}
	v.ApplyStatus(full("a", 5, 4*time.Second, longan.Active, 0), false)
	if changes, _ = sub.Take(); len(changes) != 1 || changes[0].Kind != ChangeAges {
		t.Errorf("the same full status again: got %+v, want ages", changes)
	}
	sub.Close()
	v.ApplyStatus(full("a", 6, 5*time.Second, longan.Normal, 0), false)
	if changes, _ = sub.Take(); len(changes) != 0 {
		t.Errorf("after Close: got %+v", changes)
	}
}

func TestSlowClientGetsResync(t *testing.T) {
	v, _ := newView(t)
	slow := v.Subscribe(t.Context())
	for seq := uint64(1); seq <= 2*DefaultQueue; seq++ {
		v.ApplyEvents([]longan.Event{alarmEvent("e", seq, longan.AlarmRaised, "p", "fire")})
	}
	changes, _ := slow.Take()
	if len(changes) != 1 || changes[0].Kind != ChangeResync {
		t.Fatalf("got %d changes, the first %v; want one resync", len(changes), changes[0].Kind)
	}
	v.ApplyEvents([]longan.Event{alarmEvent("e", 9999, longan.AlarmRestored, "p", "fire")})
	changes, _ = slow.Take()
	if len(changes) != 2 || changes[0].Kind != ChangeAlarm || changes[0].Alarm.Type != longan.AlarmRestored || changes[0].Alarm.Seq != 9999 {
		t.Errorf("after the resync: got %+v", changes)
	}
}

func TestSince(t *testing.T) {
	v, _ := newView(t)
	v.ApplyStatus(full("a", 1, 0, longan.Normal, 0), false)
	instance, rev := v.Rev()
	if d, ok := v.Since(instance, rev); !ok || len(d.Centers)+len(d.Alarms) != 0 {
		t.Errorf("nothing happened: got %+v, %t", d, ok)
	}
	v.ApplyEvents([]longan.Event{
		alarmEvent("e", 1, longan.AlarmRaised, "panic-button", "panic"),
		alarmEvent("e", 2, longan.AlarmRestored, "panic-button", "panic"),
	})
	d, ok := v.Since(instance, rev)
	if !ok || len(d.Centers) != 1 || len(d.Alarms) != 2 || d.Alarms[0].Type != longan.AlarmRaised || d.Alarms[1].Seq != 2 {
		t.Errorf("an alarm came and went: got %+v, %t", d, ok)
	}
	for name, try := range map[string]struct {
		instance string
		rev      uint64
	}{"another instance": {"other", rev}, "the future": {instance, d.Rev + 1}} {
		if _, ok := v.Since(try.instance, try.rev); ok {
			t.Errorf("%s: got an answer, want none", name)
		}
	}
	for seq := uint64(3); seq < 3+recentAlarms; seq++ {
		v.ApplyEvents([]longan.Event{alarmEvent("e", seq, longan.AlarmRaised, "panic-button", "panic")})
	}
	if _, ok := v.Since(instance, rev); ok {
		t.Errorf("more alarms than are remembered: got an answer, want none")
	}
}

func TestStreams(t *testing.T) {
	v, _ := newView(t)
	v.ApplyStreams(board, "epoch-0", []Stream{{Lane: longan.State, Acked: 9, Max: 9, Holes: []Hole{{From: 3, To: 5, Reason: "full"}}}})
	v.ApplyStreams(board, "epoch-1", []Stream{{Lane: longan.State, Acked: 2, Max: 4}})
	v.ApplyStreams(board, "epoch-1", []Stream{{Lane: longan.Alarm, Acked: 1, Max: 1}})
	v.ApplyStatus(heartbeat("a", 1, 0), false)
	c := get(t, v)
	want := []struct {
		epoch    string
		lane     longan.Lane
		current  bool
		complete bool
	}{{"epoch-1", longan.Alarm, true, true}, {"epoch-1", longan.State, true, false}, {"epoch-0", longan.State, false, false}}
	if len(c.Streams) != len(want) {
		t.Fatalf("streams: got %+v", c.Streams)
	}
	for i, w := range want {
		got := c.Streams[i]
		if got.Epoch != w.epoch || got.Lane != w.lane || got.Current != w.current || got.Complete() != w.complete {
			t.Errorf("stream %d: got %+v, want %+v", i, got, w)
		}
	}
	_, rev := v.Rev()
	v.ApplyStreams(board, "epoch-1", []Stream{{Lane: longan.Alarm, Acked: 1, Max: 1}})
	if _, now := v.Rev(); now != rev {
		t.Errorf("the same streams again changed the revision")
	}
}
