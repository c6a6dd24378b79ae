package agent

import (
	"context"
	"crypto/tls"
	"net"
	"net/url"

	"github.com/longan-edge/longan/agent/internal/dial"
	firmwareconfig "github.com/longan-edge/longan/firmware-config"
)

// Dialer returns what opens the real connections to a site's brokers, for
// Config.Dial. Certificates are verified by the clock, which is to be that of the
// Config as well: it gets better while the agent runs.
func Dialer(site *firmwareconfig.Site, clk *Clock) func(ctx context.Context, broker *url.URL) (net.Conn, error) {
	const sessions = 8 // as many as a site has brokers
	return (&dial.Dialer{CA: site.Uplink.CA, Now: clk.Now, Sessions: tls.NewLRUClientSessionCache(sessions)}).Dial
}
