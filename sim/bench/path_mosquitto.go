package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// errNoMosquitto: the broker that is also the peer is not there.
var errNoMosquitto = errors.New("没有 mosquitto，请先安装 / mosquitto is not installed: apt-get install mosquitto")

// findMosquitto returns the path of Debian's mosquitto, which is not on the path
// of users.
func findMosquitto() (string, error) {
	for _, name := range []string{"mosquitto", "/usr/sbin/mosquitto"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errNoMosquitto
}

// brokerConfig is the broker that boards and peer share: no limit to its queues,
// nothing kept. As root mosquitto would become another user; "user root" keeps it
// as it is.
const brokerConfig = `listener %d 127.0.0.1
allow_anonymous true
persistence false
user root
max_queued_messages 0
max_queued_bytes 0
max_inflight_messages 0
log_dest stderr
log_type error
`

// bridgeConfig is the peer: a local broker with a bridge, the queue limits lifted,
// which saves its queue to disk when it ends and every half hour, the default.
const bridgeConfig = `listener %d 127.0.0.1
allow_anonymous true
persistence true
persistence_location %s/
user root
max_queued_messages 0
max_queued_bytes 0
max_inflight_messages 0
log_dest stderr
log_type error
connection city
address %s
topic ev/# out 1
cleansession false
notifications false
restart_timeout 1
`

// broker starts the broker and returns its address once it listens.
func (p *Path) broker(ctx context.Context, dir string) (*exec.Cmd, string, error) {
	return p.mosquitto(ctx, dir, "broker.conf", func(port int) string { return fmt.Sprintf(brokerConfig, port) })
}

// bridge starts the peer, whose bridge connects to target.
func (p *Path) bridge(ctx context.Context, dir, target string) (*exec.Cmd, string, error) {
	return p.mosquitto(ctx, dir, "bridge.conf", func(port int) string { return fmt.Sprintf(bridgeConfig, port, dir, target) })
}

func (p *Path) mosquitto(ctx context.Context, dir, name string, config func(port int) string) (*exec.Cmd, string, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, "", err
	}
	tcp, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, "", err
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(config(tcp.Port)), 0o600); err != nil {
		return nil, "", fmt.Errorf("write %s: %w", name, err)
	}
	cmd, err := start(ctx, p.mosquittoPath, "-c", path)
	if err != nil {
		return nil, "", err
	}
	err = until(ctx, 20*time.Second, func() error {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			conn.Close()
		}
		return err
	})
	if err != nil {
		stop(cmd)
		return nil, "", fmt.Errorf("mosquitto does not listen: %w: %s", err, cmd.Stderr)
	}
	return cmd, address, nil
}

// until calls try until it succeeds, for some time at most, and returns its last
// error then.
func until(ctx context.Context, most time.Duration, try func() error) error {
	deadline := time.Now().Add(most)
	for {
		err := try()
		if err == nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("in %s not yet: %w", most, err)
		}
		pause(ctx, 10*time.Millisecond)
	}
}

// pause waits, or less when ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
