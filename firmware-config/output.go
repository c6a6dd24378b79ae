package firmwareconfig

import (
	"maps"
	"slices"
	"strings"
)

// output reads one [[peripheral.output]].
func (s *site) output(r *reader, p *Peripheral, spec *driverSpec, signals map[string]int) {
	var o Output
	name, at := r.name("siren")
	if name != "" {
		s.claim(s.taken.outputs, name, at, duplicate(name), anotherName)
	}
	o.Name, o.Label = name, r.label(name)
	if spec.relays {
		s.relay(r, &o)
	} else if v, ok := r.required("signal", `signal = "`+spec.outputs[0]+`"`); ok {
		holding := spec.registers && isRegister(v.text) && strings.HasPrefix(v.text, holdingRegister)
		if holding {
			o.Set = r.set()
		}
		if holding || slices.Contains(spec.outputs, v.text) {
			o.Signal = v.text
			s.claim(signals, v.text, v.at, func(line int) text {
				return say("信号 %s 在第 %d 行已经用了。", "the signal %s is in use already, in line %d.", v.text, line)
			}, say("一个信号只对应一个输出。", "One signal, one output."))
		} else {
			options := spec.outputs
			if spec.registers {
				options = append(slices.Clone(options), holdingRegisters)
			}
			r.unknown(v, "signal", options)
		}
	}
	r.done(ofRegister)
	p.Outputs = append(p.Outputs, o)
}

// relay reads what is particular to an output on a GPIO line of the board: a
// relay of the profile, or any line.
func (s *site) relay(r *reader, o *Output) {
	labels := slices.Sorted(maps.Keys(s.board.Relay))
	labels = append(labels, slices.Sorted(maps.Keys(s.board.Line))...)
	sample := "RELAY1"
	if len(labels) > 0 {
		sample = labels[0]
	}
	if v, ok := r.required("signal", `signal = "`+sample+`"`); ok {
		line := s.board.Relay[v.text]
		if line == "" {
			line = s.board.Line[v.text]
		}
		if line == "" && !s.board.unknown {
			what := say("板型 %s 没有端子 %q。", "the board %s has no terminal %q.", s.out.Board, clip(v.text))
			hint := say("可用的端子：%s", "There are: %s", list(labels))
			if near := nearest(v.text, labels); near != "" {
				hint = say("是不是 %q？", "Did you mean %q?", near)
			} else if len(labels) == 0 {
				hint = say("先在 [board.line] 里定义，例如：RELAY1 = \"pinctrl-bcm2711:18\"", "Define it under [board.line] first, for example: RELAY1 = \"pinctrl-bcm2711:18\"")
			}
			r.report(v.at, what, hint)
		}
		if o.Signal = line; line != "" {
			s.claim(s.taken.lines, line, v.at, func(before int) text {
				return say("信号 %s 在第 %d 行已经用了。", "the signal %s is in use already, in line %d.", v.text, before)
			}, say("一个信号只对应一个输出。", "One signal, one output."))
		}
	}
	o.Relay = &Relay{
		ActiveLow: r.choice("active", "high", []string{"high", "low"}) == "low",
		On:        r.choice("safe", "off", []string{"off", "on"}) == "on",
		Hold:      r.choice("restart", "safe", []string{"safe", "hold"}) == "hold",
	}
}
