package hw

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"golang.org/x/sys/unix"
	"periph.io/x/conn/v3/driver/driverreg"
	"periph.io/x/host/v3/gpioioctl"

	"github.com/longan-edge/longan/drivers"
)

// Options of the real ports. The zero value is right for a board.
type Options struct {
	// Log hears what is missing or tolerated; nil is silence.
	Log *slog.Logger
}

// Ports are the board's ports. It is safe for concurrent use.
type Ports struct {
	log    *slog.Logger
	kernel kernel
	names  map[string]address // lines by the names that periph gives them

	direction sync.Map // names of the RS-485 ports that were opened before
}

var _ drivers.Ports = (*Ports)(nil)

// New finds the board's GPIO chips and lines. A board without any is no error:
// its serial ports work, and requesting a line says that there is none. New is
// called once, before other goroutines open files.
func New(opts Options) (*Ports, error) {
	p := &Ports{log: opts.Log, kernel: linux()}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	names, err := discover()
	if err != nil {
		return nil, fmt.Errorf("find GPIO chips: %w", err)
	}
	p.names = names
	if len(names) == 0 {
		p.log.Debug("no named GPIO lines")
	}
	return p, nil
}

// discover lets periph look for chips and returns the named lines of all.
func discover() (map[string]address, error) {
	restore, err := keepStdin()
	if err != nil {
		return nil, err
	}
	_, initErr := driverreg.Init()
	if err := restore(); err != nil {
		return nil, err
	}
	if initErr != nil {
		return nil, initErr
	}
	names := make(map[string]address)
	for _, chip := range gpioioctl.Chips {
		for _, line := range chip.Lines() {
			if line.Name() != "" {
				names[line.Name()] = address{chip.Label(), uint32(line.Number())}
			}
		}
	}
	return names, nil
}

// keepStdin returns a function that opens descriptor 0 again if it was closed
// meanwhile. A process without a standard input gets /dev/null: gpioioctl takes
// descriptor 0 for "none".
func keepStdin() (restore func() error, err error) {
	saved, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 3)
	if errors.Is(err, unix.EBADF) {
		saved, err = unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil && saved == 0 {
			return func() error { return nil }, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("keep standard input: %w", err)
	}
	return func() error {
		defer unix.Close(saved)
		if _, err := unix.FcntlInt(0, unix.F_GETFD, 0); !errors.Is(err, unix.EBADF) {
			return nil
		}
		if err := unix.Dup3(saved, 0, 0); err != nil {
			return fmt.Errorf("restore standard input: %w", err)
		}
		return nil
	}, nil
}
