package dial

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// How a dead link is noticed by the kernel. A link that swallows what is sent
// ends userTimeout after the first byte that nobody confirmed; on a silent one the
// kernel asks after probeAfter and every probeEvery, and gives up likewise.
const (
	userTimeout = 20 * time.Second
	probeAfter  = 15 * time.Second
	probeEvery  = 5 * time.Second
)

// dialer returns a dialer whose TCP connections don't outlive their link.
func dialer() *net.Dialer {
	return &net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: probeAfter, Interval: probeEvery, Count: int(userTimeout / probeEvery)},
		Control:         control,
	}
}

// control sets TCP_USER_TIMEOUT (tcp(7), RFC 5482), without which Linux repeats
// what nobody confirms for a quarter of an hour, and TCP_THIN_LINEAR_TIMEOUTS, with
// which it repeats six times before it doubles its timeout. A heartbeat that falls
// into a few seconds without a link is repeated soon after them then, before the
// city takes the board for dead.
func control(_, _ string, conn syscall.RawConn) error {
	var failed error
	err := conn.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout.Milliseconds()))
		// A kernel without it repeats later, which is no reason not to connect.
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_THIN_LINEAR_TIMEOUTS, 1)
	})
	if err != nil {
		return err
	}
	return failed
}
