package agent

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/drivers"
	"github.com/longan-edge/longan/drivers/dc09"
	"github.com/longan-edge/longan/drivers/kioskpc"
	"github.com/longan-edge/longan/drivers/video"
	firmwareconfig "github.com/longan-edge/longan/firmware-config"
)

// listen returns the listener of a setting.
func (t *table) listen(address string) func(context.Context) (net.Listener, error) {
	return func(ctx context.Context) (net.Listener, error) { return t.cfg.Network.Listen(ctx, "tcp", address) }
}

func (t *table) kioskpc(p firmwareconfig.Peripheral) (drivers.Driver, error) {
	token, err := firstLine(p.Settings.Text("token_file"))
	if err != nil {
		return nil, fmt.Errorf("read token: %w", err)
	}
	cfg := kioskpc.Config{
		Listen: t.listen(p.Settings.Text("listen")), Token: token,
		Silence: p.Settings.Time("silence"), Points: map[string]string{},
	}
	for _, pt := range p.Points {
		cfg.Points[pt.Signal] = pt.Name
	}
	return kioskpc.New(cfg), nil
}

func (t *table) video(p firmwareconfig.Peripheral) (drivers.Driver, error) {
	return video.New(video.Config{
		Dial: t.cfg.Network.DialContext, Address: p.Settings.Text("address"), ConnectOnly: p.Settings.Flag("connect_only"),
		Poll: p.Poll, Point: pointAt(p, "alive"),
	}), nil
}

// dc09 makes the receiver of the panels whose accounts the signals name.
func (t *table) dc09(p firmwareconfig.Peripheral) (drivers.Driver, error) {
	keys, err := pairs(p.Settings.Text("keys_file"))
	if err != nil {
		return nil, fmt.Errorf("read keys of panels: %w", err)
	}
	for account, key := range keys { // digits are of either case
		keys[strings.ToUpper(account)] = key
	}
	address := p.Settings.Text("listen")
	cfg := dc09.Config{
		Listen: t.listen(address),
		ListenPacket: func(ctx context.Context) (net.PacketConn, error) {
			return t.cfg.Network.ListenPacket(ctx, "udp", address)
		},
		Now: t.sureTime,
	}
	index := map[string]int{} // of accounts
	for _, pt := range p.Points {
		account, code, ok := strings.Cut(pt.Signal, "/")
		account = strings.ToUpper(account)
		i, known := index[account]
		if !known {
			i = len(cfg.Accounts)
			index[account] = i
			a := dc09.Account{Number: account, Silence: p.Settings.Time("silence")}
			if text := keys[account]; text != "" {
				if a.Key, err = dc09.ParseKey(text); err != nil {
					return nil, fmt.Errorf("key of panel %s: %w", account, err)
				}
			}
			cfg.Accounts = append(cfg.Accounts, a)
		}
		if !ok {
			cfg.Accounts[i].Point = pt.Name
			continue
		}
		signal, err := dc09.ParseSignal(code)
		if err != nil {
			return nil, err
		}
		cfg.Accounts[i].Points = append(cfg.Accounts[i].Points, dc09.Point{Point: pt.Name, Signal: signal, Last: t.last[pt.Name]})
	}
	return dc09.New(cfg), nil
}

// sureTime is how panels' times are judged: only by a clock that somebody keeps
// right.
func (t *table) sureTime() (now time.Time, sure bool) {
	s := t.cfg.Clock.Now()
	return s.Time, s.Quality == longan.ClockNTP || s.Quality == longan.ClockCity
}
