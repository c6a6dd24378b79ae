package drivers

import (
	"context"
	"time"

	"periph.io/x/conn/v3/gpio"
)

// EdgePorts are Ports that can hand over edges themselves, where a Line only
// hints that there were some: for signals whose edges are the data, and of
// several lines whose order counts (Wiegand). A driver that needs them asks its
// Ports for this interface and says so when they don't have it.
type EdgePorts interface {
	// Edges requests input lines of one GPIO chip together, for this driver alone,
	// at most 64. The errors are those of Ports.Line, and wrap
	// errors.ErrUnsupported where the lines are on several chips: nobody knows the
	// order of their edges then.
	Edges(ctx context.Context, names []string, mode EdgeMode) (Edges, error)
}

// EdgeMode is how lines are requested for their edges.
type EdgeMode struct {
	Pull gpio.Pull
	// Edge are the edges to hear of. With pulses shorter than the time that an
	// interrupt takes, ask for one of them: for both, kernels tell them apart by the
	// level that they find later.
	Edge gpio.Edge
}

// Edge is one edge of one line.
type Edge struct {
	Line  int        // index of the line's name in the request
	Level gpio.Level // after the edge
	// At is when it happened, on a clock of the kernel that never steps and starts
	// anywhere: differences count.
	At time.Duration
}

// Edges are the edges of requested lines, in the order in which they happened.
// Its deadline works as that of Serial.
type Edges interface {
	// Read waits for an edge and returns those that are there, as many as fit. It
	// fails with os.ErrDeadlineExceeded at the deadline and with ErrUnplugged when
	// the chip is gone. Close unblocks it.
	Read([]Edge) (int, error)
	SetReadDeadline(time.Time) error
	// Sense reads the levels of all lines, in the order of the request.
	Sense() ([]gpio.Level, error)
	// Lost returns how many edges the kernel had to drop since the request.
	Lost() uint64
	// Close gives the lines back.
	Close() error
}
