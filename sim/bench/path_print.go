package bench

import (
	"encoding/json"
	"fmt"
	"slices"
)

// PathFigure is one line of the result: a figure of one way to the city, and the
// peer's.
type PathFigure struct {
	Name   string `json:"figure"`
	Unit   string `json:"unit"`
	Broker string `json:"broker"` // that the board and the city share
	// The medians; nil where there is none.
	Longan *float64 `json:"longan"`
	Bridge *float64 `json:"mosquitto_bridge"`
	// Ratio is longan to bridge, the median of the rounds.
	Ratio   *float64 `json:"ratio"`
	Goal    float64  `json:"goal"`
	OfRatio bool     `json:"goal_is_of_ratio,omitempty"`
	Least   bool     `json:"goal_is_least,omitempty"`
	Met     *bool    `json:"met"`
	Method  string   `json:"method"`
	// All is every single measurement.
	All map[string][]float64 `json:"all"`
	// More is what helps to read the figure: medians, by name.
	More map[string]float64 `json:"more,omitempty"`
}

// pathFigure makes a figure out of the values of a name.
func pathFigure(name, unit, via, method string, samples map[string][]values, value string) PathFigure {
	f := PathFigure{Name: name, Unit: unit, Broker: via, Method: method, All: map[string][]float64{}}
	own, peer := collect(samples[via], value), collect(samples[peerBridge], value)
	f.All["longan"], f.All["mosquitto_bridge"] = own, peer
	f.Longan, f.Bridge = medianOf(own), medianOf(peer)
	var ratios []float64
	for i := range min(len(own), len(peer)) {
		if peer[i] > 0 {
			ratios = append(ratios, own[i]/peer[i])
		}
	}
	f.Ratio = medianOf(ratios)
	return f
}

func collect(samples []values, value string) (all []float64) {
	for _, s := range samples {
		if v, ok := s[value]; ok {
			all = append(all, round(v))
		}
	}
	return all
}

// with adds medians that help to read the figure.
func (f PathFigure) with(samples map[string][]values, names ...string) PathFigure {
	f.More = map[string]float64{}
	for _, way := range []string{f.Broker, peerBridge} {
		for _, name := range names {
			key := name
			if way == peerBridge {
				key = "bridge_" + name
			}
			if m := medianOf(collect(samples[way], name)); m != nil {
				f.More[key] = *m
			}
		}
	}
	return f
}

// judge compares what was reached with the goal.
func (f PathFigure) judge() PathFigure {
	reached := f.Longan
	if f.OfRatio {
		reached = f.Ratio
	}
	if reached != nil {
		met := *reached <= f.Goal
		if f.Least {
			met = *reached >= f.Goal
		}
		f.Met = &met
	}
	return f
}

// header says what is measured.
func (p *Path) header() {
	if p.JSON {
		line, err := json.Marshal(map[string]any{
			"figure": "events", "mix": p.Mix, "raw_bytes": p.size, "deflated_bytes": round(p.deflated), "method": "64 KiB together, DEFLATE level 6",
			"events": p.Events, "repeats": p.Repeats,
		})
		if err == nil {
			fmt.Fprintf(p.Out, "%s\n", line)
		}
		return
	}
	fmt.Fprintf(p.Out, "板端到市中心入库再返回，真实进程，本机回环；对照：mosquitto 桥接（不落盘）；%d 轮，取中位数\n", p.Repeats)
	fmt.Fprintf(p.Out, "agent to the city's store and back, real processes on loopback; peer: a mosquitto bridge, nothing durable; %d rounds, medians\n", p.Repeats)
	fmt.Fprintf(p.Out, "事件 events (%s) of %d B JSON, the bridge's as long; %.0f B after DEFLATE of 64 KiB together\n", p.Mix, p.size, p.deflated)
	fmt.Fprintf(p.Out, "%-12s %-12s %-10s %10s %10s %7s %8s %4s  %s\n", "figure", "unit", "broker", "longan", "bridge", "ratio", "goal", "met", "method")
}

func (p *Path) print(f PathFigure) error {
	if p.JSON {
		line, err := json.Marshal(f)
		if err != nil {
			return fmt.Errorf("write figure: %w", err)
		}
		_, err = fmt.Fprintf(p.Out, "%s\n", line)
		return err
	}
	show := func(v *float64) string {
		if v == nil {
			return "-"
		}
		return fmt.Sprint(*v)
	}
	goal := map[bool]string{false: "≤", true: "≥"}[f.Least]
	if f.OfRatio {
		goal += "x"
	}
	goal += fmt.Sprint(f.Goal)
	met := ""
	if f.Met != nil {
		met = map[bool]string{true: "yes", false: "NO"}[*f.Met]
	}
	_, err := fmt.Fprintf(p.Out, "%-12s %-12s %-10s %10s %10s %7s %8s %4s  %s\n",
		f.Name, f.Unit, f.Broker, show(f.Longan), show(f.Bridge), show(f.Ratio), goal, met, f.Method)
	return err
}

// wanted reports whether a measurement was asked for.
func wanted(only []string, name string) bool { return len(only) == 0 || slices.Contains(only, name) }
