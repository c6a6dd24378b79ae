package sim

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/longan-edge/longan/sim/peripheral"
)

// appliance is one more peripheral of a full center: the device, its section in
// the site file, what happens at it, and how it fails.
type appliance struct {
	name  string // of the peripheral; its points begin with it
	site  string // its section
	serve func(ctx context.Context) error
	play  func(ctx context.Context) // something happens
	fail  func() error
	heal  func() error
	away  time.Duration // how long it fails
}

// away is how long an appliance fails where nothing else asks for longer.
const away = 6 * time.Second

// plugged is an appliance on a serial line: it fails by being unplugged, and comes
// back as another pseudo-terminal behind the same name.
func plugged(dir, name, section string, serve func(context.Context, peripheral.Port) error, play func(context.Context)) (*appliance, error) {
	pty, err := peripheral.OpenPTYAt(filepath.Join(dir, "tty-"+name))
	if err != nil {
		return nil, err
	}
	return &appliance{
		name: name, site: strings.ReplaceAll(section, "PORT", pty.Path()), play: play, away: away,
		serve: func(ctx context.Context) error {
			defer pty.Close()
			for ctx.Err() == nil {
				_ = serve(ctx, pty) // ends with every unplugging
				sleepUntil(ctx, time.Now().Add(20*time.Millisecond))
			}
			return nil
		},
		fail: pty.Unplug, heal: pty.Replug,
	}, nil
}

// serialAppliances makes those on pseudo-terminals.
func serialAppliances(dir string) ([]*appliance, error) {
	meter := peripheral.NewModule(peripheral.ModuleConfig{Address: 2, Registers: 4, Holding: 4})
	relays := peripheral.NewModule(peripheral.ModuleConfig{Address: 3, Inputs: 4, Coils: 4})
	reader := peripheral.NewOSDPReader(peripheral.OSDPConfig{Address: 1, Inputs: 2})
	codes, ids, power := peripheral.NewScanner(), peripheral.NewIDReader(), peripheral.NewUPS()
	var all []*appliance
	for _, a := range []struct {
		name, site string
		serve      func(context.Context, peripheral.Port) error
		play       func(context.Context)
	}{
		{"bus", busSite, peripheral.Chain{meter, relays}.Serve, func(ctx context.Context) {
			meter.SetRegister(1, 512)
			relays.SetInput(1, true)
			sleepUntil(ctx, time.Now().Add(time.Second))
			meter.SetRegister(1, 221)
			relays.SetInput(1, false)
		}},
		{"reader", readerSite, reader.Serve, func(context.Context) { reader.Card("10000110010000111000001111") }},
		{"codes", codesSite, codes.Serve, func(ctx context.Context) { _ = codes.Scan(ctx, "6901234567892") }}, // unplugged: nobody scans
		{"ids", idsSite, ids.Serve, func(ctx context.Context) {
			ids.SetCard(true)
			sleepUntil(ctx, time.Now().Add(3*time.Second))
			ids.SetCard(false)
		}},
		{"power", powerSite, power.Serve, func(ctx context.Context) {
			power.SetMains(false)
			sleepUntil(ctx, time.Now().Add(4*time.Second))
			power.SetMains(true)
		}},
	} {
		one, err := plugged(dir, a.name, a.site, a.serve, a.play)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

// networkAppliances makes those on the center's network, on loopback.
func networkAppliances(dir string) ([]*appliance, error) {
	var addresses [3]string // of the board for panels and kiosks, and of the camera
	for i := range addresses {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		addresses[i] = l.Addr().String()
		if i < 2 {
			l.Close()
			continue
		}
		camera := peripheral.NewCamera()
		cameraUp := &appliance{
			name: "camera", site: strings.ReplaceAll(cameraSite, "ADDRESS", addresses[i]), away: 2 * away,
			serve: func(ctx context.Context) error { return camera.Serve(ctx, l) },
			play:  func(context.Context) {},
			fail:  func() error { camera.SetOff(true); return nil },
			heal:  func() error { camera.SetOff(false); return nil },
		}
		token := filepath.Join(dir, "kiosk.token")
		if err := os.WriteFile(token, []byte(kioskToken+"\n"), 0o600); err != nil {
			return nil, fmt.Errorf("write kiosk token: %w", err)
		}
		kiosk := newKioskProgram(addresses[1])
		return []*appliance{panelAppliance(addresses[0]), {
			name: "kiosk", site: strings.NewReplacer("ADDRESS", addresses[1], "TOKEN", token).Replace(kioskSite), away: 20 * time.Second,
			serve: kiosk.run, play: kiosk.count,
			fail: func() error { kiosk.silent.Store(true); return nil },
			heal: func() error { kiosk.silent.Store(false); return nil },
		}, cameraUp}, nil
	}
	return nil, nil // not reached
}

// panelAppliance is an alarm panel that reports to address over TCP.
func panelAppliance(address string) *appliance {
	panel := peripheral.NewPanel(peripheral.PanelConfig{
		Account: "1234", Heartbeat: 5 * time.Second, Timeout: 2 * time.Second,
		Dial: func(ctx context.Context) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", address)
		},
	})
	return &appliance{
		name: "panel", site: strings.ReplaceAll(panelSite, "ADDRESS", address), away: 30 * time.Second,
		serve: panel.Run,
		play: func(ctx context.Context) {
			panel.Report("BA", 15, 1)
			sleepUntil(ctx, time.Now().Add(2*time.Second))
			panel.Report("BR", 15, 1)
		},
		fail: func() error { panel.SetFault(peripheral.Silent); return nil },
		heal: func() error { panel.SetFault(peripheral.NoFault); return nil },
	}
}

const kioskToken = "the token of this board"

// post sends a message of a kiosk's program, and reports whether it was taken.
func post(ctx context.Context, address, path, body string) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return false
	}
	request.Header.Set("Authorization", "Bearer "+kioskToken)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	answer.Body.Close()
	return answer.StatusCode == http.StatusNoContent
}
