package porttest

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/longan-edge/longan/drivers"
)

// Record is Ports that pass everything on to other Ports, real ones as well,
// and remember the bytes of their serial lines.
type Record struct {
	drivers.Ports

	mu    sync.Mutex
	steps map[string][]Step
}

// Serial implements [drivers.Ports].
func (r *Record) Serial(ctx context.Context, name string, mode drivers.SerialMode) (drivers.Serial, error) {
	s, err := r.Ports.Serial(ctx, name, mode)
	if err != nil {
		return nil, err
	}
	return &recorded{Serial: s, to: r, name: name}, nil
}

// Steps returns the recording of the named UART, for [Ports.Script]: one step
// for all that passed in one direction before the other one spoke.
func (r *Record) Steps(name string) []Step {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Step(nil), r.steps[name]...)
}

// Transcript returns the recording as text that [ParseTranscript] reads.
func (r *Record) Transcript(name string) string {
	var b strings.Builder
	for _, s := range r.Steps(name) {
		fmt.Fprintln(&b, s)
	}
	return b.String()
}

func (r *Record) add(name string, kind stepKind, data []byte) {
	if len(data) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.steps == nil {
		r.steps = make(map[string][]Step)
	}
	all := r.steps[name]
	if n := len(all); n > 0 && all[n-1].kind == kind {
		all[n-1].data = append(all[n-1].data, data...)
		return
	}
	r.steps[name] = append(all, Step{kind: kind, data: append([]byte(nil), data...)})
}

type recorded struct {
	drivers.Serial
	to   *Record
	name string
}

func (s *recorded) Read(b []byte) (int, error) {
	n, err := s.Serial.Read(b)
	s.to.add(s.name, reply, b[:n])
	return n, err
}

func (s *recorded) Write(b []byte) (int, error) {
	n, err := s.Serial.Write(b)
	s.to.add(s.name, expect, b[:n])
	return n, err
}

// ParseTranscript reads steps, one a line: "> 01 03" is what the driver sends,
// "< 01 03" what the device answers, "delay 50ms", "silence 1s", "unplug".
// Empty lines and what follows a "#" are skipped.
func ParseTranscript(text string) ([]Step, error) {
	var steps []Step
	lines := bufio.NewScanner(strings.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line, _, _ := strings.Cut(lines.Text(), "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		step, err := parseStep(line)
		if err != nil {
			return nil, fmt.Errorf("transcript line %d: %w", n, err)
		}
		steps = append(steps, step)
	}
	return steps, lines.Err()
}

func parseStep(line string) (Step, error) {
	verb, rest, _ := strings.Cut(line, " ")
	switch verb {
	case ">", "<":
		data, err := hex.DecodeString(strings.ReplaceAll(rest, " ", ""))
		if verb == ">" {
			return Expect(data...), err
		}
		return Reply(data...), err
	case "delay", "silence":
		d, err := time.ParseDuration(strings.TrimSpace(rest))
		if verb == "delay" {
			return Delay(d), err
		}
		return Silence(d), err
	case "unplug":
		return Unplug(), nil
	}
	return Step{}, fmt.Errorf("%q: want one of > < delay silence unplug", verb)
}
