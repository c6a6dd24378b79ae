package peripheral

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/longan-edge/longan/drivers/ups"
)

func TestUPSAndDriverOnAPTY(t *testing.T) {
	t.Parallel()
	u := NewUPS()
	upsHistory(t, u, ups.New(board(t), onPTY(t, u).Path(), upsConfig()))
}

func TestUPSUnplugAndReplug(t *testing.T) {
	t.Parallel()
	u := NewUPS()
	pty := onPTY(t, u)
	w := run(t, ups.New(board(t), pty.Path(), upsConfig()))
	for range 3 {
		w.await(t, "plugged", "mains=normal temperature=normal")
		if err := pty.Unplug(); err != nil {
			t.Fatal(err)
		}
		w.await(t, "unplugged", "mains=unknown temperature=unknown")
		if err := pty.Replug(); err != nil {
			t.Fatal(err)
		}
	}
	w.await(t, "plugged in the end", "mains=normal temperature=normal")
}

// nut is where Debian puts drivers and server. Its wrapper in /usr/sbin does not
// start the server while /etc/nut says MODE=none.
const nut = "/lib/nut/"

// TestNUTReadsOurUPS: the driver that most installations with such a UPS run
// accepts ours, and sees its mains go and come.
func TestNUTReadsOurUPS(t *testing.T) {
	t.Parallel()
	for _, program := range []string{nut + "nutdrv_qx", nut + "upsd"} {
		if _, err := os.Stat(program); err != nil {
			need(t, program, "nut-server nut-client")
		}
	}
	if _, err := exec.LookPath("upsc"); err != nil {
		need(t, "upsc", "nut-client")
	}
	u := NewUPS()
	pty := onPTY(t, u)
	n := newNUT(t, pty.Path())
	n.start("nutdrv_qx", "-a", "sim", "-FF", "-u", "root")
	n.start("upsd", "-F", "-u", "root")
	for _, step := range []struct {
		do   func()
		want string
	}{
		{func() {}, "OL"},
		{func() { u.SetMains(false) }, "OB"},
		{func() { u.SetBatteryLow(true) }, "OB LB"},
		{func() { u.SetBatteryLow(false); u.SetMains(true) }, "OL"},
	} {
		step.do()
		n.await("ups.status", step.want)
	}
	n.await("ups.load", "21")
	n.await("ups.temperature", "25.0")
	n.await("battery.voltage", "27.40")
	n.await("input.voltage.nominal", "220") // of F
	if u.Asked("Q1") == 0 || u.Asked("F") == 0 {
		t.Error("nutdrv_qx asked another UPS")
	}
}

// nutServer is a NUT with a configuration of its own.
type nutServer struct {
	t       *testing.T
	dir     string
	address string
}

func newNUT(t *testing.T, port string) *nutServer {
	// The path of a socket in it must be short, and t.TempDir's is not.
	dir, err := os.MkdirTemp("", "nut")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	host, number, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"ups.conf":   fmt.Sprintf("[sim]\n\tdriver = nutdrv_qx\n\tport = %s\n\tpollinterval = 1\n", port),
		"upsd.conf":  fmt.Sprintf("LISTEN %s %s\n", host, number),
		"upsd.users": "",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return &nutServer{t: t, dir: dir, address: address}
}

// start runs a program of NUT until the test ends, and its output if it failed.
func (n *nutServer) start(program string, args ...string) {
	n.t.Helper()
	c := exec.Command(nut+program, args...)
	c.Env = append(os.Environ(), "NUT_CONFPATH="+n.dir, "NUT_STATEPATH="+n.dir, "NUT_ALTPIDPATH="+n.dir)
	out, err := c.StderrPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		n.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for s := bufio.NewScanner(out); s.Scan(); {
			n.t.Logf("%s: %s", program, s.Text())
		}
	}()
	n.t.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGTERM)
		late := time.AfterFunc(10*time.Second, func() { _ = c.Process.Kill() })
		defer late.Stop()
		<-done
		_ = c.Wait() // says that it was ended
	})
}

// await waits until upsc says that the variable has the value.
func (n *nutServer) await(variable, want string) {
	n.t.Helper()
	got := ""
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		ctx, cancel := context.WithTimeout(n.t.Context(), 10*time.Second)
		c := exec.CommandContext(ctx, "upsc", "sim@"+n.address, variable)
		out, err := c.Output()
		cancel()
		if got = strings.TrimSpace(string(out)); err == nil && got == want {
			return
		}
		<-time.After(100 * time.Millisecond)
	}
	n.t.Fatalf("upsc %s: got %q, want %q", variable, got, want)
}
