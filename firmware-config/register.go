package firmwareconfig

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// What the signals of registers begin with, and what stands for all of them.
const (
	inputRegister    = "ir"
	holdingRegister  = "hr"
	inputRegisters   = "ir1...ir65536"
	holdingRegisters = "hr1...hr65536"
)

// ofRegister says of a key that only registers take it.
func ofRegister(key string) (text, bool) {
	switch key {
	case "signed", "scale", "unit", "above", "below", "hysteresis", "on", "off", "multiple":
		return say("%s 只用于寄存器（signal 是 ir 或 hr 加编号），删掉这一行。", "%s is for registers alone (whose signal is ir or hr and a number): delete it.", key), true
	}
	return text{}, false
}

// isRegister reports whether a signal is a register: ir1 to ir65536, hr1 to
// hr65536.
func isRegister(signal string) bool {
	digits, ok := strings.CutPrefix(signal, inputRegister)
	if !ok {
		digits, ok = strings.CutPrefix(signal, holdingRegister)
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	return ok && err == nil && n >= 1 && n <= 1<<16 && strconv.FormatUint(n, 10) == digits
}

// withRegisters adds to the options of a signal what stands for its registers.
func (d *driverSpec) withRegisters(options []string) []string {
	if !d.registers {
		return options
	}
	return slices.Concat(options, []string{inputRegisters, holdingRegisters})
}

// register reads what a point at a register means.
func (s *site) register(r *reader) *Register {
	g := &Register{Scale: 1}
	g.Signed = r.flag("signed")
	if v, ok := r.number("scale"); ok && v != 0 {
		g.Scale = v
	} else if ok {
		r.report(r.find("scale").value.at, say("scale 不能是 0。", "scale can't be 0."), say("例如：scale = 0.1", "For example: scale = 0.1"))
	}
	if v, ok := r.str("unit"); ok {
		g.Unit = r.short(v)
	}
	if v, ok := r.number("above"); ok {
		g.Above = &v
	}
	if v, ok := r.number("below"); ok {
		g.Below = &v
	}
	if v, ok := r.number("hysteresis"); ok {
		if g.Hysteresis = v; v < 0 {
			r.report(r.find("hysteresis").value.at, say("hysteresis 不能是负数。", "hysteresis can't be negative."), say("例如：hysteresis = 0.5", "For example: hysteresis = 0.5"))
		}
	}
	if g.Above != nil && g.Below != nil && *g.Below >= *g.Above {
		r.report(r.find("below").value.at, say("below 要小于 above：低于 below 或高于 above 才算动作。", "below must be less than above: the point is active below the one or above the other."), text{})
	}
	return g
}

// set reads how a register is switched.
func (r *reader) set() *Set {
	on, _ := r.integer("on", 1, 0, math.MaxUint16)
	off, _ := r.integer("off", 0, 0, math.MaxUint16)
	return &Set{On: uint16(on), Off: uint16(off), Multiple: r.flag("multiple")}
}

// flag returns true or false; false when the key is absent.
func (r *reader) flag(key string) bool {
	e := r.find(key)
	if e == nil {
		return false
	}
	if e.value == nil || e.value.kind != unstable.Bool {
		at := e.at
		if e.value != nil {
			at = e.value.at
		}
		r.report(at, say("%s 是 true 或 false，不加引号。", "%s is true or false, without quotes.", key), say("写成：%s = true", "Write: %s = true", key))
		return false
	}
	return e.value.text == "true"
}

// number returns a number, with or without a fraction, and whether there is one.
func (r *reader) number(key string) (float64, bool) {
	e := r.find(key)
	if e == nil {
		return 0, false
	}
	at := e.at
	if e.value != nil {
		at = e.value.at
	}
	if e.value != nil && (e.value.kind == unstable.Float || e.value.kind == unstable.Integer) {
		v, err := strconv.ParseFloat(strings.ReplaceAll(e.value.text, "_", ""), 64)
		if err == nil && !math.IsInf(v, 0) && !math.IsNaN(v) {
			return v, true
		}
	}
	r.report(at, say("%s 是一个数，不加引号。", "%s is a number, without quotes.", key), say("例如：%s = 0.5", "For example: %s = 0.5", key))
	return 0, false
}
