package store

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/longan-edge/longan"
)

// alarmStep is one event that arrives: its stream, number and what it says.
type alarmStep struct {
	epoch string
	seq   uint64
	typ   string
	point string
	cause string
}

func TestOpenAlarms(t *testing.T) {
	const up, down = longan.AlarmRaised, longan.AlarmRestored
	tests := []struct {
		name  string
		steps []alarmStep
		open  []string // epoch/seq
	}{
		{"none", nil, nil},
		{"raised", []alarmStep{{"a", 1, up, "panic", "panic"}}, []string{"a/1"}},
		{"restored", []alarmStep{{"a", 1, up, "panic", "panic"}, {"a", 2, down, "panic", "panic"}}, nil},
		{"raised again", []alarmStep{{"a", 1, up, "panic", "panic"}, {"a", 2, down, "panic", "panic"}, {"a", 3, up, "panic", "panic"}}, []string{"a/3"}},
		{"its restored is lost", []alarmStep{{"a", 1, up, "panic", "panic"}, {"a", 3, up, "panic", "panic"}}, []string{"a/3"}},
		{"another point", []alarmStep{{"a", 1, up, "panic", "panic"}, {"a", 2, down, "smoke", "fire"}}, []string{"a/1"}},
		{"another cause", []alarmStep{{"a", 1, up, "zone", "intrusion"}, {"a", 2, up, "zone", "tamper"}, {"a", 3, down, "zone", "tamper"}}, []string{"a/1"}},
		{"restored of any cause", []alarmStep{{"a", 1, up, "zone", "intrusion"}, {"a", 2, up, "zone", "tamper"}, {"a", 3, down, "zone", ""}}, nil},
		{"raised without a cause", []alarmStep{{"a", 1, up, "zone", ""}, {"a", 2, down, "zone", "tamper"}}, nil},
		{"restored in a later epoch", []alarmStep{{"a", 1, up, "panic", "panic"}, {"b", 1, down, "panic", "panic"}}, nil},
		{"the raise comes late", []alarmStep{{"a", 2, down, "panic", "panic"}, {"a", 1, up, "panic", "panic"}}, nil},
		{"an older raise comes late", []alarmStep{{"a", 2, down, "panic", "panic"}, {"a", 3, up, "panic", "panic"}, {"a", 1, up, "panic", "panic"}}, []string{"a/3"}},
		{"an older restored comes late", []alarmStep{{"a", 1, up, "panic", "panic"}, {"a", 3, up, "panic", "panic"}, {"a", 2, down, "panic", "panic"}}, []string{"a/3"}},
		{"two points", []alarmStep{{"a", 1, up, "panic", "panic"}, {"a", 2, up, "smoke", "fire"}}, []string{"a/1", "a/2"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Open(t.Context(), t.TempDir()+"/city.db", Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close() })
			now := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
			for i, st := range tt.steps {
				b := &longan.Batch{Device: "621202104-01", Epoch: st.epoch, Lane: longan.Alarm, Oldest: 1,
					Events: []longan.Event{{Seq: st.seq, Type: st.typ, Point: st.point, Data: json.RawMessage(fmt.Sprintf(`{"cause":%q}`, st.cause))}}}
				other := *b
				other.Device, other.Events = "621202105-01", []longan.Event{{Seq: uint64(i + 1), Type: down, Point: st.point, Data: b.Events[0].Data}}
				if _, err := s.Ingest(t.Context(), []*longan.Batch{b, &other}, now); err != nil {
					t.Fatal(err)
				}
			}
			open, err := s.OpenAlarms(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range open {
				got = append(got, fmt.Sprintf("%s/%d", e.Epoch, e.Seq))
			}
			if !slices.Equal(got, tt.open) {
				t.Errorf("open: got %v, want %v", got, tt.open)
			}
		})
	}
}
