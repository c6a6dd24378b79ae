package brokers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/longan-edge/longan/sim"
)

// Kind is a make of broker.
type Kind string

// The kinds.
const (
	// Embedded is the broker in longan-cloud. It comes with a city: its bridge
	// and its store, which is what its data folder holds.
	Embedded Kind = "embedded"
	// Mosquitto is Eclipse mosquitto, as Debian packages it.
	Mosquitto Kind = "mosquitto"
	// NATS is nats-server with JetStream and MQTT, built from its Go module.
	NATS Kind = "nats"
)

// Kinds returns all kinds.
func Kinds() []Kind { return []Kind{Embedded, Mosquitto, NATS} }

// Find returns the path of the program of a kind, for Options.Program. What can
// be built from source is built: longan-cloud into dir, nats-server into Go's
// build cache. An error that is ErrMissing says what to install.
func Find(ctx context.Context, kind Kind, dir string) (string, error) {
	switch kind {
	case Embedded:
		return sim.FindProgram(ctx, dir, "longan-cloud")
	case Mosquitto:
		path, err := exec.LookPath("mosquitto")
		if err != nil {
			path, err = exec.LookPath("/usr/sbin/mosquitto") // not on the path of users
		}
		if err != nil {
			return "", fmt.Errorf("%w: apt-get install mosquitto", ErrMissing)
		}
		return path, nil
	case NATS:
		return findNATS(ctx)
	}
	return "", fmt.Errorf("no broker %q", kind)
}

// findNATS builds nats-server with the go command. It has a module file of its
// own, so that nothing of it is in ours.
func findNATS(ctx context.Context) (string, error) {
	env := append(os.Environ(), "CGO_ENABLED=0", "GOOS=", "GOARCH=") // for this machine, whatever the test is built for
	cmd := exec.CommandContext(ctx, "go", "env", "GOMOD")
	cmd.Env = env
	mod, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%w: go env GOMOD: %w", ErrMissing, err)
	}
	root := filepath.Dir(strings.TrimSpace(string(mod)))
	// -n prints the path and runs nothing.
	cmd = exec.CommandContext(ctx, "go", "tool", "-n", "-modfile="+filepath.Join("cross", "nats.mod"), "nats-server")
	cmd.Env, cmd.Dir = env, root
	path, err := cmd.Output()
	if err != nil {
		why := ""
		if exit, ok := err.(*exec.ExitError); ok {
			why = string(exit.Stderr)
		}
		return "", fmt.Errorf("%w: cross/test.sh tools builds nats-server: %w %s", ErrMissing, err, why)
	}
	return strings.TrimSpace(string(path)), nil
}

// configure writes a broker's configuration and returns its arguments.
func (k Kind) configure(b *Broker) (args []string, err error) {
	file := filepath.Join(b.options.Dir, string(k)+".conf")
	host, port, _ := strings.Cut(b.Addr, ":")
	content := ""
	switch k {
	case Embedded:
		return []string{"run", "-mqtt", b.Addr, "-http", "", "-data", b.Dir, "-insecure-demo", "-log-level", "warn"}, nil
	case Mosquitto:
		// As root mosquitto would become another user; "user root" keeps it as it is.
		content = fmt.Sprintf("listener %s %s\nallow_anonymous true\npersistence true\npersistence_location %s/\nuser root\n", port, host, b.Dir)
		args = []string{"-c", file}
	case NATS:
		content = fmt.Sprintf("server_name: longan\nlisten: \"127.0.0.1:-1\"\njetstream { store_dir: %q }\nmqtt { listen: %q }\n", b.Dir, b.Addr)
		args = []string{"-c", file}
	default:
		return nil, fmt.Errorf("no broker %q", k)
	}
	if b.noAcks {
		rights, err := k.noAcks(b.options.Dir)
		if err != nil {
			return nil, err
		}
		content += rights
	}
	return args, os.WriteFile(file, []byte(content), 0o600)
}

// noAcks returns what keeps everybody from hearing acks. mosquitto then grants
// the subscription and delivers nothing, nats-server refuses it with code 0x80.
func (k Kind) noAcks(dir string) (string, error) {
	switch k {
	case Mosquitto:
		rights := filepath.Join(dir, "rights")
		content := "pattern write longan/#\npattern read longan/v1/+/+/up/#\npattern read longan/v1/+/+/status\n"
		return fmt.Sprintf("acl_file %s\n", rights), os.WriteFile(rights, []byte(content), 0o600)
	case NATS: // a level of a topic is a token of a subject
		return `no_auth_user: board
authorization { users: [ { user: board, password: board, permissions: { subscribe: { deny: "longan.v1.*.*.ack" } } } ] }
`, nil
	}
	return "", fmt.Errorf("%s can't refuse acks", k)
}
