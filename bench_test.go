package longan

import (
	"fmt"
	"testing"
)

// benchBatches are a lone alarm, as it leaves the board at once, and what a
// board sends while it drains a backlog.
func benchBatches() map[string]*Batch {
	lone := testBatch(testEvent(5, AlarmRaised, "panic-button", `{"cause":"panic"}`))
	lone.Lane, lone.Oldest = Alarm, 5
	all := map[string]*Batch{"alarm": lone}
	for _, n := range []int{50, 500} {
		all[fmt.Sprint(n)] = testBatch(doorEvents(n)...)
	}
	return all
}

func BenchmarkEncode(b *testing.B) {
	for _, name := range []string{"alarm", "50", "500"} {
		batch := benchBatches()[name]
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			size := 0
			for b.Loop() {
				payload, err := batch.Encode()
				if err != nil {
					b.Fatal(err)
				}
				size = len(payload)
			}
			report(b, size, len(batch.Events))
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, name := range []string{"alarm", "50", "500"} {
		batch := benchBatches()[name]
		payload, err := batch.Encode()
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := DecodeBatch(payload); err != nil {
					b.Fatal(err)
				}
			}
			report(b, len(payload), len(batch.Events))
		})
	}
}

func report(b *testing.B, size, events int) {
	b.ReportMetric(float64(size)/float64(events), "bytes/event")
	b.ReportMetric(float64(b.N)*float64(events)/b.Elapsed().Seconds(), "events/s")
}
