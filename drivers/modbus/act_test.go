package modbus

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/longan-edge/longan/drivers"
	"github.com/longan-edge/longan/drivers/porttest"
)

const (
	sirenOn  = "01 05 00 00 ff 00 8c 3a"
	sirenOff = "01 05 00 00 00 00 cd ca"
)

func polled(t *testing.T) []porttest.Step {
	return []porttest.Step{porttest.Expect(unhex(t, ask)...), porttest.Reply(unhex(t, answer)...)}
}

func TestAct(t *testing.T) {
	for _, test := range []struct {
		name   string
		steps  func(t *testing.T) []porttest.Step // after the first poll
		output string
		on     bool
		want   error
	}{
		{"on", func(t *testing.T) []porttest.Step {
			return []porttest.Step{porttest.Expect(unhex(t, sirenOn)...), porttest.Reply(unhex(t, sirenOn)...)}
		}, "siren", true, nil},
		{"off", func(t *testing.T) []porttest.Step {
			return []porttest.Step{porttest.Expect(unhex(t, sirenOff)...), porttest.Reply(unhex(t, sirenOff)...)}
		}, "siren", false, nil},
		{"repeated until confirmed", func(t *testing.T) []porttest.Step {
			return []porttest.Step{
				porttest.Expect(unhex(t, sirenOn)...), porttest.Reply(unhex(t, sirenOff)...),
				porttest.Expect(unhex(t, sirenOn)...), porttest.Reply(unhex(t, sirenOn)...),
			}
		}, "siren", true, nil},
		{"refused", func(t *testing.T) []porttest.Step {
			no := []porttest.Step{porttest.Expect(unhex(t, sirenOn)...), porttest.Reply(appendFrame(nil, 1, []byte{0x85, 4})...)}
			return append(append(no, no...), no...)
		}, "siren", true, Exception(4)},
		{"silent", func(t *testing.T) []porttest.Step {
			no := porttest.Expect(unhex(t, sirenOn)...)
			return []porttest.Step{no, no, no}
		}, "siren", true, drivers.ErrSilent},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var ports porttest.Ports
				script := ports.Script(line, append(polled(t), test.steps(t)...)...)
				b := start(t, &ports, door8())
				time.Sleep(time.Second)
				if err := b.module.Act(t.Context(), test.output, test.on); !errors.Is(err, test.want) {
					t.Errorf("got %v, want %v", err, test.want)
				}
				b.cancel()
				<-b.done
				if !errors.Is(b.err, context.Canceled) {
					t.Errorf("Run ended: %v", b.err)
				}
				if err := script.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestActOnALineThatEchoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ports porttest.Ports
		script := ports.Script(line,
			porttest.Expect(unhex(t, ask)...), porttest.Reply(unhex(t, ask+answer)...),
			porttest.Expect(unhex(t, sirenOn)...), porttest.Reply(unhex(t, sirenOn)...), // the adaptor, not the module
			porttest.Expect(unhex(t, sirenOn)...), porttest.Reply(unhex(t, sirenOn+sirenOn)...))
		b := start(t, &ports, door8())
		time.Sleep(time.Second)
		began := time.Now()
		if err := b.module.Act(t.Context(), "siren", true); err != nil || time.Since(began) < 300*time.Millisecond {
			t.Errorf("got %v after %v, want the second answer", err, time.Since(began))
		}
		b.cancel()
		<-b.done
		if err := script.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestActWhileNotRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ports porttest.Ports
		peer := ports.AddSerial(line)
		m := New(&ports, line, door8())
		if err := m.Act(t.Context(), "siren", true); !errors.Is(err, drivers.ErrNotRunning) {
			t.Errorf("before Run: got %v", err)
		}
		if err := m.Act(t.Context(), "gate", true); err == nil || errors.Is(err, drivers.ErrNotRunning) {
			t.Errorf("unknown output: got %v", err)
		}
		b := start(t, &ports, door8())
		synctest.Wait()
		if err := b.module.Act(t.Context(), "siren", true); !errors.Is(err, drivers.ErrNotRunning) {
			t.Errorf("before the first answer: got %v", err)
		}
		peer.Close()
		<-b.done
		if err := b.module.Act(t.Context(), "siren", true); !errors.Is(err, drivers.ErrNotRunning) {
			t.Errorf("after Run: got %v", err)
		}
	})
}

// Unplugging while Act waits ends both with what happened.
func TestActAndUnplug(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ports porttest.Ports
		ports.Script(line, append(polled(t), porttest.Expect(unhex(t, sirenOn)...), porttest.Unplug())...)
		b := start(t, &ports, door8())
		time.Sleep(time.Second)
		if err := b.module.Act(t.Context(), "siren", true); !errors.Is(err, drivers.ErrUnplugged) {
			t.Errorf("Act: got %v", err)
		}
		<-b.done
		if !errors.Is(b.err, drivers.ErrUnplugged) {
			t.Errorf("Run: got %v", b.err)
		}
	})
}

// An Act whose caller has given up is not carried out later.
func TestActAfterItsContextEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ports porttest.Ports
		late := append(polled(t), porttest.Expect(unhex(t, ask)...), porttest.Delay(200*time.Millisecond),
			porttest.Reply(unhex(t, answer)...), porttest.Silence(time.Minute))
		script := ports.Script(line, late...)
		cfg := door8()
		cfg.Poll = 2 * time.Minute
		b := start(t, &ports, cfg)
		time.Sleep(2*time.Minute + 50*time.Millisecond) // in the second poll
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if err := b.module.Act(ctx, "siren", true); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		time.Sleep(90 * time.Second)
		b.cancel()
		<-b.done
		if err := script.Close(); err != nil {
			t.Error(err)
		}
	})
}

// After a timeout the answer that comes too late must not pass for the answer
// to another request of the same shape: here di1 for di3000.
func TestLateAnswerIsNotForAnotherInput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ports porttest.Ports
		one, other := inputRequest(t, 0), inputRequest(t, 2999)
		script := ports.Script(line,
			porttest.Expect(one...), porttest.Delay(400*time.Millisecond), // too late, answers the repeated request
			porttest.Expect(one...), porttest.Reply(appendFrame(nil, 1, []byte{2, 1, 1})...),
			porttest.Delay(100*time.Millisecond), porttest.Reply(appendFrame(nil, 1, []byte{2, 1, 1})...),
			porttest.Expect(other...), porttest.Reply(appendFrame(nil, 1, []byte{2, 1, 0})...))
		b := start(t, &ports, Config{Address: 1, Poll: time.Hour, Inputs: []Input{{Point: "a", Number: 1}, {Point: "b", Number: 3000}}})
		time.Sleep(2 * time.Second)
		if got, want := b.states(), "a=active b=normal"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		b.cancel()
		<-b.done
		if err := script.Close(); err != nil {
			t.Error(err)
		}
	})
}

func inputRequest(t *testing.T, address int) []byte {
	return must(t)(readBits(1, ReadDiscreteInputs, address, 1)).frame()
}

func TestBabbleFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ports porttest.Ports
		peer := ports.AddSerial(line)
		stop := make(chan struct{})
		go func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
					peer.Write([]byte{0x01, 0x02, 0x55})
				}
			}
		}()
		defer close(stop)
		b := start(t, &ports, door8())
		<-b.done
		if b.err == nil || b.states() != "door=unknown button=unknown" {
			t.Errorf("got %v", b.err)
		}
	})
}
