package spool

import (
	"errors"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/longan-edge/longan"
)

func TestAlarmsAreKeptInMemoryWhileTheDiskTakesNothing(t *testing.T) {
	dir := t.TempDir()
	var broken atomic.Bool
	s, err := Open(dir, Options{disk: func() error {
		if broken.Load() {
			return syscall.ENOSPC
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	appendN(t, s, longan.Alarm, 2)
	epoch := s.Epoch()
	broken.Store(true)

	put := func(l longan.Lane, typ string) error {
		e := testEvent(l, typ, "panic-button")
		return s.Append(t.Context(), Entry{Event: e, Key: typ, State: longan.Active})
	}
	if err := put(longan.Alarm, "alarm.raised"); !errors.Is(err, ErrNotDurable) {
		t.Errorf("alarm: %v, want ErrNotDurable", err)
	}
	if err := put(longan.State, longan.DeviceFault); !errors.Is(err, ErrNotDurable) {
		t.Errorf("the fault itself: %v, want ErrNotDurable", err)
	}
	if err := put(longan.State, "door.opened"); err == nil || errors.Is(err, ErrNotDurable) {
		t.Errorf("door: %v, want a refusal", err)
	}
	<-s.Trouble()
	if h := s.Health(); h.Err == nil || h.InMemory != 2 {
		t.Errorf("health %+v, want an error and 2 in memory", h)
	}
	if got := s.States(); got["alarm.raised"] != longan.Active || got["door.opened"] != longan.Unknown {
		t.Errorf("states %v", got)
	}
	streams := s.Streams()
	inMemory := streams[len(streams)-2]
	if inMemory.Epoch() == epoch {
		t.Fatal("numbers of the disk's epoch were given out in memory")
	}
	if got, _ := history(t, inMemory, longan.Alarm); len(got) != 1 {
		t.Errorf("in memory %v", got)
	}
	inMemory.Free(longan.Alarm, 1) // the city has it

	broken.Store(false)
	appendN(t, s, longan.Alarm, 1)
	if h := s.Health(); h.Err != nil || h.InMemory != 0 {
		t.Errorf("health %+v after the disk is back", h)
	}
	if s.Epoch() != epoch {
		t.Errorf("epoch %s, want %s again", s.Epoch(), epoch)
	}
	if got, _ := history(t, inMemory, longan.State); len(got) != 1 {
		t.Errorf("the fault did not move to disk: %v", got)
	}
	s.Close()
	s = openTest(t, dir)
	streams = s.Streams()
	if len(streams) != 2 || streams[0].Epoch() != inMemory.Epoch() || streams[0].Lane(longan.State).Backlog() != 1 {
		t.Errorf("after a restart %d streams", len(streams))
	}
	if got := s.States(); got[longan.DeviceFault] != longan.Active {
		t.Errorf("states %v", got)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	s := openTest(t, "/dev/null/spool")
	if s.Health().Err == nil {
		t.Fatal("a folder that can't be made is no trouble")
	}
	kept := 0
	for range 2 * maxMemory {
		err := s.Append(t.Context(), Entry{Event: testEvent(longan.Alarm, "alarm.raised", "panic-button")})
		if errors.Is(err, ErrNotDurable) {
			kept++
		}
	}
	if kept != maxMemory {
		t.Errorf("%d alarms kept, want %d", kept, maxMemory)
	}
	st := s.Streams()[0]
	if got, last := history(t, st, longan.Alarm); len(got) != maxMemory || last != maxMemory || st.Epoch() != s.Epoch() {
		t.Errorf("%d alarms to send", len(got))
	}
	st.Free(longan.Alarm, 100)
	if err := s.Append(t.Context(), Entry{Event: testEvent(longan.Alarm, "alarm.raised", "panic-button")}); !errors.Is(err, ErrNotDurable) {
		t.Errorf("after an ack made room: %v", err)
	}
}

func TestInUse(t *testing.T) {
	dir := t.TempDir()
	openTest(t, dir)
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrInUse) {
		t.Errorf("a second process: %v, want ErrInUse", err)
	}
}
