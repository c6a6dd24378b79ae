package agent

import (
	"context"
	"net"
)

// Network is the center's own network, where alarm panels and kiosks report and
// cameras are. It exists so that tests and the simulator can stand in for it;
// net.ListenConfig and net.Dialer are the machine's.
type Network interface {
	Listen(ctx context.Context, network, address string) (net.Listener, error)
	ListenPacket(ctx context.Context, network, address string) (net.PacketConn, error)
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// systemNetwork is that of the machine.
type systemNetwork struct {
	net.ListenConfig
	net.Dialer
}
