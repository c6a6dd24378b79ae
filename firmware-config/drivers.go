package firmwareconfig

import (
	"cmp"
	"fmt"
	"io"
	"strings"
)

// DriversCommand is "longan-agent drivers [NAME]": args are the words after
// "drivers". Without a name it lists all drivers with their settings, with one it
// prints a site file that has such a peripheral, ready to be changed. It returns
// the exit status, as CheckCommand does.
func DriversCommand(args []string, stdout, stderr io.Writer, getenv func(string) string) int {
	lang := LanguageFrom(getenv)
	switch {
	case len(args) == 0:
		for i := range driverTable {
			fmt.Fprint(stdout, driverTable[i].describe(lang))
		}
		fmt.Fprintln(stdout, say("要一个例子：longan-agent drivers modbus", "for an example: longan-agent drivers modbus").in(lang))
		return 0
	case len(args) == 1 && !strings.HasPrefix(args[0], "-"):
		if d := driverNamed(args[0]); d != nil {
			fmt.Fprint(stdout, d.example(nil))
			return 0
		}
		fmt.Fprintln(stderr, say("没有驱动 %q。可用的：%s", "no driver %q. There are: %s", clip(args[0]), strings.Join(driverNames(), " ")).in(lang))
		return checkWrong
	}
	fmt.Fprintln(stderr, say("用法：longan-agent drivers [驱动]", "usage: longan-agent drivers [DRIVER]").in(lang))
	return checkWrong
}

// Samples returns an example of a site file for every driver, by its name. files
// replaces the paths of the settings it names.
func Samples(files map[string]string) map[string]string {
	all := map[string]string{}
	for i := range driverTable {
		all[driverTable[i].name] = driverTable[i].example(files)
	}
	return all
}

// describe returns what a driver is for and what it takes.
func (d *driverSpec) describe(lang Language) string {
	var b strings.Builder
	line := func(key, value string, about text) {
		fmt.Fprintf(&b, "  %-14s %-18s %s\n", key, value, about.in(lang))
	}
	fmt.Fprintf(&b, "%s  %s\n", d.name, d.about.in(lang))
	if d.port {
		line("port", "", say("串口端子", "terminal of the UART"))
		line("baud", fmt.Sprint(d.baud), say("波特率", "bits per second"))
		if !d.fixedParity {
			line("parity", d.parity, say("校验：none even odd", "none, even, odd"))
		}
	}
	if d.highAddress > 0 {
		line("address", fmt.Sprint(d.lowAddress), say("地址 %d 到 %d，几个外设可以共用一个端口", "%d to %d; several may share a port", d.lowAddress, d.highAddress))
	}
	if d.poll > 0 {
		line("poll", short(d.poll), say("两次读取的间隔", "time between two readings"))
	}
	if d.timeout > 0 {
		line("timeout", short(d.timeout), say("等一次应答的时间", "for one answer"))
	}
	for i := range d.settings {
		line(d.settings[i].name, d.settings[i].value(lang), d.settings[i].about)
	}
	switch {
	case d.rule != nil:
		line("signal", d.rule.sample, d.rule.hint)
	case d.lines:
		line("signal", "", say("输入端子", "terminal of an input"))
	case d.relays:
		line("signal", "", say("输出的端子；active high|low，safe off|on，restart safe|hold", "terminal of the output; active high|low, safe off|on, restart safe|hold"))
	default:
		signals := d.inputs
		if d.registers {
			signals = d.withRegisters(signals)
		}
		line("signal", "", text{list(signals), list(signals)})
	}
	if len(d.outputs) > 0 {
		line("output", "", text{list(d.outputs), list(d.outputs)})
	}
	b.WriteByte('\n')
	return b.String()
}

// value returns the default of a setting, as it is shown.
func (k *setting) value(lang Language) string {
	switch {
	case k.required:
		return say("（必填）", "(required)").in(lang)
	case k.kind == settingTime:
		return short(k.time)
	case k.kind == settingFlag:
		return "false"
	}
	return k.text
}

// example returns a site file with a peripheral of the driver.
func (d *driverSpec) example(files map[string]string) string {
	var b strings.Builder
	b.WriteString(`[center]
device = "621202107-01"
name = "马街镇综治中心"

[uplink]
brokers = ["mqtts://city.example:8883"]

[board.uart]
RS485-1 = "/dev/serial/by-path/platform-soc-usb-0:1.1:1.0-port0"
[board.line]
DI1 = "pinctrl-bcm2711:17"
DI7 = "pinctrl-bcm2711:16"
DI8 = "pinctrl-bcm2711:26"
RELAY1 = "pinctrl-bcm2711:18"

[[peripheral]]
`)
	fmt.Fprintf(&b, "name = %q\ndriver = %q\n", d.name, d.name)
	if d.port {
		fmt.Fprintf(&b, "port = \"RS485-1\"\nbaud = %d\n", d.baud)
	}
	if d.highAddress > 0 {
		fmt.Fprintf(&b, "address = %d\n", max(d.lowAddress, 1))
	}
	for i := range d.settings {
		k := &d.settings[i]
		if k.kind == settingFlag {
			continue
		}
		value := k.sample
		switch k.kind {
		case settingTime:
			value = fmt.Sprintf("%q", short(k.time))
		case settingChoice:
			value = fmt.Sprintf("%q", k.text)
		case settingFile:
			if path := files[k.name]; path != "" {
				value = fmt.Sprintf("%q", path)
			}
		}
		fmt.Fprintf(&b, "%s = %s\n", k.name, value)
	}
	if d.relays {
		b.WriteString("  [[peripheral.output]]\n  name = \"siren\"\n  label = \"警号\"\n  signal = \"RELAY1\"\n")
		return b.String()
	}
	signal := "DI1"
	switch {
	case d.rule != nil:
		signal = d.rule.sample
	case !d.lines:
		signal = d.inputs[0]
	}
	kind := cmp.Or(d.kindOf(signal), KindInput)
	fmt.Fprintf(&b, "  [[peripheral.point]]\n  name = %q\n  kind = %q\n  signal = %q\n", d.name+"-1", kind, signal)
	return b.String()
}
