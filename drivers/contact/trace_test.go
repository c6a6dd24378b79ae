package contact_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/gpio"

	"github.com/longan-edge/longan/drivers/contact"
	"github.com/longan-edge/longan/drivers/porttest"
)

// TestTraces plays bounce traces: one opening and one closing of a contact must
// be one Active and one Normal, whatever the contact does in between.
func TestTraces(t *testing.T) {
	for _, test := range []struct {
		trace string
		input contact.Input
		want  []string
		pulse bool // the last reading tells of short pulses
	}{
		{trace: "reed-door", input: contact.Input{NormallyClosed: true},
			want: []string{"normal@50ms", "active@1.051s", "normal@3.09s"}},
		{trace: "panic-button", input: contact.Input{Urgent: true},
			want: []string{"normal@50ms", "active@1s", "normal@1.453s"}},
		{trace: "panic-button", input: contact.Input{},
			want: []string{"normal@50ms", "active@1.056s", "normal@1.453s"}},
		{trace: "bad-switch", input: contact.Input{Urgent: true},
			want: []string{"normal@50ms", "active@1s", "normal@2.196s"}},
		{trace: "bad-switch", input: contact.Input{Debounce: 100 * time.Millisecond},
			want: []string{"normal@100ms", "active@1.271s", "normal@2.246s"}},
		{trace: "loose-wire", input: contact.Input{NormallyClosed: true},
			want: []string{"normal@50ms"}, pulse: true},
		{trace: "mains-hum", input: contact.Input{},
			want: []string{"normal@50ms", "fault@3s", "normal@5.036s"}},
	} {
		t.Run(fmt.Sprintf("%s urgent=%v", test.trace, test.input.Urgent), func(t *testing.T) {
			changes := readTrace(t, test.trace)
			synctest.Test(t, func(t *testing.T) {
				var ports porttest.Ports
				var l log
				wire := ports.AddLine("a")
				wire.Set(levels[changes[0].closed])
				in := test.input
				in.Point, in.Line, in.Pull = "p", "a", gpio.PullUp
				end := run(t, &ports, &l, in)
				for _, c := range changes {
					time.Sleep(c.at - time.Since(l.start))
					wire.Set(levels[c.closed])
				}
				time.Sleep(time.Second)
				end()
				if got := l.changes("p"); !slices.Equal(got, test.want) {
					t.Errorf("got %v, want %v", got, test.want)
				}
				if got := l.last(t).Detail; strings.Contains(got, "短脉冲") != test.pulse {
					t.Errorf("detail: got %q, want short pulses: %v", got, test.pulse)
				}
			})
		})
	}
}

type change struct {
	at     time.Duration
	closed bool
}

// readTrace reads lines of "microseconds closed(1)/open(0)".
func readTrace(t *testing.T, name string) (changes []change) {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		var us, closed int
		if _, err := fmt.Sscan(line, &us, &closed); err != nil {
			t.Fatalf("%s: %q: %v", name, line, err)
		}
		changes = append(changes, change{time.Duration(us) * time.Microsecond, closed == 1})
	}
	return changes
}
