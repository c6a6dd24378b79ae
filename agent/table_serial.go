package agent

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/longan-edge/longan/drivers"
	"github.com/longan-edge/longan/drivers/contact"
	"github.com/longan-edge/longan/drivers/idreader"
	"github.com/longan-edge/longan/drivers/osdp"
	"github.com/longan-edge/longan/drivers/relay"
	"github.com/longan-edge/longan/drivers/scanner"
	"github.com/longan-edge/longan/drivers/ups"
	"github.com/longan-edge/longan/drivers/wiegand"
	firmwareconfig "github.com/longan-edge/longan/firmware-config"
)

// pointAt returns the name of the point at a signal, "" when there is none.
func pointAt(p firmwareconfig.Peripheral, signal string) string {
	for _, pt := range p.Points {
		if pt.Signal == signal {
			return pt.Name
		}
	}
	return ""
}

func (t *table) relay(p firmwareconfig.Peripheral) (drivers.Driver, error) {
	var outputs []relay.Output
	for _, o := range p.Outputs {
		outputs = append(outputs, relay.Output{Name: o.Name, Line: o.Signal, ActiveLow: o.Relay.ActiveLow, On: o.Relay.On, Hold: o.Relay.Hold})
	}
	return relay.New(t.cfg.Ports, outputs), nil
}

func (t *table) ups(p firmwareconfig.Peripheral) (drivers.Driver, error) {
	cfg := ups.Config{Mode: serialMode(p), Poll: p.Poll, Points: map[ups.Signal]string{}}
	for _, pt := range p.Points {
		cfg.Points[ups.Signal(pt.Signal)] = pt.Name
	}
	return ups.New(t.cfg.Ports, p.Port, cfg), nil
}

func (t *table) scanner(p firmwareconfig.Peripheral) (drivers.Driver, error) {
	key, err := cardKey(t.cfg.Dir)
	if err != nil {
		return nil, err
	}
	return scanner.New(t.cfg.Ports, p.Port, scanner.Config{Mode: serialMode(p), Point: pointAt(p, "scanner"), Key: key}), nil
}

func (t *table) idreader(p firmwareconfig.Peripheral) (drivers.Driver, error) {
	return idreader.New(t.cfg.Ports, p.Port, idreader.Config{
		Mode: serialMode(p), Point: pointAt(p, "module"), Poll: p.Poll, CountCards: p.Settings.Flag("count_cards"),
	}), nil
}

func (t *table) wiegand(p firmwareconfig.Peripheral) (drivers.Driver, error) {
	key, err := cardKey(t.cfg.Dir)
	if err != nil {
		return nil, err
	}
	pull, err := contact.ParsePull(p.Settings.Text("pull"))
	if err != nil {
		return nil, err
	}
	return wiegand.New(t.cfg.Ports, wiegand.Config{
		Point: pointAt(p, "reader"), D0: p.Settings.Text("d0"), D1: p.Settings.Text("d1"), Pull: pull,
		CardKey: key, Keypad: p.Settings.Flag("keypad"), Poll: p.Poll,
	})
}

func (t *table) osdp(p firmwareconfig.Peripheral) (drivers.Driver, error) {
	line := t.readers[p.Port]
	if line == nil {
		line = osdp.NewLine(t.cfg.Ports, p.Port, serialMode(p))
		t.readers[p.Port] = line
	}
	r := osdp.Reader{
		Address: p.Address, Online: pointAt(p, "online"), Tamper: pointAt(p, "tamper"), Power: pointAt(p, "power"),
		Installation: p.Settings.Flag("installation"), Plain: p.Settings.Flag("plain"), Checksum: p.Settings.Flag("checksum"), Timeout: p.Timeout,
	}
	if file := p.Settings.Text("key_file"); file != "" {
		text, err := firstLine(file)
		if err == nil {
			r.Key, err = hex.DecodeString(text)
		}
		if err != nil {
			return nil, fmt.Errorf("read key of the secure channel: %w", err)
		}
	}
	for _, pt := range p.Points {
		if n, err := strconv.Atoi(strings.TrimPrefix(pt.Signal, "in")); err == nil {
			r.Inputs = append(r.Inputs, osdp.Input{Point: pt.Name, Number: n, NormallyClosed: pt.NormallyClosed})
		}
	}
	for _, o := range p.Outputs {
		switch o.Signal {
		case "led":
			r.LED = o.Name
		case "buzzer":
			r.Buzzer = o.Name
		}
	}
	key, err := cardKey(t.cfg.Dir)
	if err != nil {
		return nil, err
	}
	return osdp.NewOn(line, osdp.Config{Mode: serialMode(p), Poll: p.Poll, CardKey: key, Readers: []osdp.Reader{r}})
}
