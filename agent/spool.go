package agent

import "github.com/longan-edge/longan/agent/internal/spool"

// The board's spool as it is, for tests, benchmarks and tools. An agent opens
// its own: nobody else may have it open then.
type (
	// Spool is an open spool.
	Spool = spool.Spool
	// SpoolOptions are the options of a spool; the zero value is ready to use.
	SpoolOptions = spool.Options
	// SpoolEntry is an event to append, and what it leaves behind.
	SpoolEntry = spool.Entry
)

// OpenSpool opens or creates the spool in dir. Its only error says that another
// process has it open; a damaged file is mended. The caller must Close it.
func OpenSpool(dir string, opts SpoolOptions) (*Spool, error) { return spool.Open(dir, opts) }
