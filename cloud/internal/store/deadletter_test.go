package store

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/longan-edge/longan"
)

func dead(device longan.DeviceID, n uint32, at time.Time) DeadLetter {
	return DeadLetter{Device: device, Lane: longan.State, ReceivedAt: at, Reason: "bad-message", Error: "malformed: x",
		CRC: n, Size: 3, Payload: []byte{'{', byte(n), '}'}}
}

func setAside(t *testing.T, s *Store, letters ...DeadLetter) {
	t.Helper()
	if err := s.SetAside(t.Context(), letters...); err != nil {
		t.Fatal(err)
	}
}

func deadLetters(t *testing.T, s *Store, device longan.DeviceID, limit int) []DeadLetter {
	t.Helper()
	letters, err := s.DeadLetters(t.Context(), device, limit)
	if err != nil {
		t.Fatal(err)
	}
	return letters
}

func TestDeadLetters(t *testing.T) {
	path := newPath(t)
	s := open(t, path, Options{})
	big := dead("621222101-01", 1<<32-1, noon)
	big.Payload = bytes.Repeat([]byte{7}, MaxDeadLetterPayload+1)
	big.Size = len(big.Payload)
	empty := dead("621222101-01", 0, noon)
	empty.Payload, empty.Size = nil, 0
	setAside(t, s)
	setAside(t, s, dead(mawei, 1, noon), dead(mawei, 2, noon.Add(time.Second)), big, empty)
	again := dead(mawei, 1, noon.Add(time.Minute))
	again.Reason, again.Error = "store-refuses", ""
	setAside(t, s, again)
	s.Close()
	s = open(t, path, Options{})

	var got strings.Builder
	for _, l := range deadLetters(t, s, "", 0) {
		fmt.Fprintf(&got, "%s %d ×%d %s %v %d; ", l.Device, l.CRC, l.Tries, l.Reason, l.ReceivedAt.Sub(noon), l.Size)
		if l.Payload != nil {
			t.Errorf("letter %d: a list has no payloads", l.ID)
		}
	}
	want := "621202104-01 1 ×2 store-refuses 1m0s 3; 621202104-01 2 ×1 bad-message 1s 3; " +
		fmt.Sprintf("621222101-01 0 ×1 bad-message 0s 0; 621222101-01 4294967295 ×1 bad-message 0s %d; ", MaxDeadLetterPayload+1)
	if got.String() != want {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
	if n := len(deadLetters(t, s, mawei, 1)); n != 1 {
		t.Errorf("%d letters, want the limit, 1", n)
	}
	list := deadLetters(t, s, "621222101-01", 0)
	whole, err := s.DeadLetter(t.Context(), list[1].ID)
	if err != nil || !bytes.Equal(whole.Payload, big.Payload[:MaxDeadLetterPayload]) {
		t.Errorf("payload of %d B, %v; want the first %d B", len(whole.Payload), err, MaxDeadLetterPayload)
	}
	if _, err := s.DeadLetter(t.Context(), 99); !errors.Is(err, ErrNotFound) {
		t.Errorf("letter 99: %v, want ErrNotFound", err)
	}
	if c, err := s.Counts(t.Context()); err != nil || c.DeadLetters != 4 {
		t.Errorf("%+v, %v: want 4 dead letters", c, err)
	}
}

// TestDeadLettersAreBounded: of a device, and of all, the oldest go first.
func TestDeadLettersAreBounded(t *testing.T) {
	s := open(t, newPath(t), Options{})
	setAside(t, s, dead("621222101-01", 1, noon.Add(-time.Hour)))
	var letters []DeadLetter
	for i := range uint32(MaxDeadLettersDevice + 20) {
		letters = append(letters, dead(mawei, i, noon.Add(time.Duration(i)*time.Second)))
	}
	setAside(t, s, letters...)
	got := deadLetters(t, s, mawei, 0)
	if len(got) != MaxDeadLettersDevice || got[len(got)-1].CRC != 20 {
		t.Errorf("%d letters, the oldest %d; want %d, 20", len(got), got[len(got)-1].CRC, MaxDeadLettersDevice)
	}
	letters = nil
	for i := range uint32(MaxDeadLetters - MaxDeadLettersDevice) {
		letters = append(letters, dead(longan.DeviceID(fmt.Sprintf("62120210%04d-01", i/50)), i, noon.Add(time.Hour)))
	}
	setAside(t, s, letters...)
	if c, err := s.Counts(t.Context()); err != nil || c.DeadLetters != MaxDeadLetters {
		t.Errorf("%+v, %v: want %d dead letters", c, err, MaxDeadLetters)
	}
	if n := len(deadLetters(t, s, "621222101-01", 0)); n != 0 {
		t.Errorf("the oldest letter of all is still there")
	}
}

// TestWhatTheStoreRefuses is told from a store that fails.
func TestWhatTheStoreRefuses(t *testing.T) {
	path := newPath(t)
	s := open(t, path, Options{BusyTimeout: time.Millisecond})
	bad := batch(longan.State, 1)
	bad.Events = []longan.Event{{Seq: 0, Type: "x.y"}} // CHECK (seq > 0)
	if _, err := s.Ingest(t.Context(), []*longan.Batch{bad}, noon); !errors.Is(err, ErrRefused) {
		t.Errorf("seq 0: %v, want ErrRefused", err)
	}
	other := open(t, path, Options{})
	tx, err := other.write.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := s.Ingest(t.Context(), []*longan.Batch{batch(longan.State, 1, 1)}, noon); err == nil || errors.Is(err, ErrRefused) {
		t.Errorf("locked: %v, want an error that is not ErrRefused", err)
	}
}
