package modbus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/drivers"
)

// Config is what a Module needs to know. Zero values take the defaults.
type Config struct {
	Mode    drivers.SerialMode // of the line; Baud is 9600 by default
	Address int                // of the slave, 1 to 247
	Poll    time.Duration      // between two polls, 100 ms by default
	Timeout time.Duration      // for one answer, 300 ms by default; the time of its characters comes on top
	Retries int                // how often a failed request is repeated, 2 by default; negative is never
	Inputs  []Input            // discrete inputs, read with function 2, emitted in this order
	Coils   []Input            // relays read back as points, with function 1
	// Registers are input registers, read with function 4, Holding holding
	// registers, read with function 3.
	Registers, Holding []Register
	Outputs            []Output // what Act switches: relays, with function 5, and registers
}

// Input is a point at a discrete input or a coil.
type Input struct {
	Point  string // name of the point
	Number int    // 1-based: 1 is di1, or do1 of a coil
	// NormallyClosed: the circuit is closed at rest, so off is Active.
	NormallyClosed bool
}

// Output is a relay, or a holding register that switches something.
type Output struct {
	Name   string // as Act is called with it
	Number int    // 1-based: 1 is do1, or hr1
	// Register: it is a holding register, which Act sets to On or Off with
	// function 6, or with function 16 where Multiple is set, for slaves that know
	// no other.
	Register, Multiple bool
	On, Off            uint16
}

// Module is one slave: a digital I/O module, or anything else with registers.
type Module struct {
	line *Line
	cfg  Config
	acts chan act

	mu      sync.Mutex
	running chan struct{} // closed when the Run that is connected ends; nil while none is
}

// act is a request of Act on its way to Run.
type act struct {
	ctx     context.Context
	request request
	result  chan error // has room for the result
}

var (
	_ drivers.Driver   = (*Module)(nil)
	_ drivers.Actuator = (*Module)(nil)
)

// New returns the driver of the slave cfg.Address, alone on the named port. It
// opens nothing; a configuration that can't work is reported by Run.
func New(ports drivers.Ports, port string, cfg Config) *Module {
	return NewOn(NewLine(ports, port, cfg.Mode), cfg)
}

// NewOn is New for one of several slaves on a line; cfg.Mode is the line's.
func NewOn(line *Line, cfg Config) *Module {
	return &Module{line: line, cfg: cfg.withDefaults(), acts: make(chan act)}
}

// Run implements drivers.Driver. It emits every point at each poll. When the
// module does not answer rightly after all retries, all points are emitted as
// Unknown; the error then wraps drivers.ErrSilent if nothing came back, and an
// Exception if the module refused.
func (m *Module) Run(ctx context.Context, emit drivers.Emit) error {
	spans, err := m.plan()
	if err != nil {
		return m.fail(ctx, emit, err)
	}
	b, err := m.line.open(ctx)
	if err != nil {
		return m.fail(ctx, emit, err)
	}
	defer m.line.close(b)
	return m.serve(ctx, b, spans, emit)
}

// exchange is the line's, with this slave's patience.
func (m *Module) exchange(ctx context.Context, b *bus, r request) ([]byte, error) {
	return m.line.exchange(ctx, b, r, m.cfg.Timeout, m.cfg.Retries)
}

// serve polls and acts until something fails.
func (m *Module) serve(ctx context.Context, b *bus, spans []span, emit drivers.Emit) error {
	ticker := time.NewTicker(m.cfg.Poll)
	defer ticker.Stop()
	if err := m.poll(ctx, b, spans, emit); err != nil {
		return err
	}
	defer m.connected()()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
			if err := m.poll(ctx, b, spans, emit); err != nil {
				return err
			}
		case a := <-m.acts:
			err := a.ctx.Err() // nobody waits for it any more
			if err == nil {
				_, err = m.exchange(ctx, b, a.request)
			}
			if ctx.Err() != nil {
				err = drivers.ErrNotRunning
			}
			a.result <- err
			if errors.Is(err, errLost) {
				return m.fail(ctx, emit, err)
			}
		}
	}
}

// connected lets Act in, until the returned function is called.
func (m *Module) connected() (end func()) {
	running := make(chan struct{})
	m.mu.Lock()
	m.running = running
	m.mu.Unlock()
	return func() {
		m.mu.Lock()
		m.running = nil
		m.mu.Unlock()
		close(running)
	}
}

func (m *Module) poll(ctx context.Context, b *bus, spans []span, emit drivers.Emit) error {
	for i := range spans {
		pdu, err := m.exchange(ctx, b, spans[i].request)
		if err != nil {
			return m.fail(ctx, emit, fmt.Errorf("read %s: %w", spans[i].name, err))
		}
		for _, r := range spans[i].readings(pdu) {
			if err := emit(ctx, r); err != nil {
				return err
			}
		}
	}
	if len(m.points()) == 0 { // outputs alone: that they answer is all there is to tell
		return emit(ctx, drivers.Reading{State: longan.Normal})
	}
	return nil
}

// fail emits all points as Unknown and returns err, unless ctx has ended.
func (m *Module) fail(ctx context.Context, emit drivers.Emit, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	err = fmt.Errorf("modbus slave %d on %s: %w", m.cfg.Address, m.line, err)
	for _, point := range m.points() {
		r := drivers.Reading{Point: point, State: longan.Unknown, Detail: detail(err)}
		if err := emit(ctx, r); err != nil {
			return err
		}
	}
	return err
}

// points returns the names of all points.
func (m *Module) points() (names []string) {
	for _, points := range [][]Input{m.cfg.Inputs, m.cfg.Coils} {
		for _, p := range points {
			names = append(names, p.Point)
		}
	}
	for _, points := range [][]Register{m.cfg.Registers, m.cfg.Holding} {
		for _, p := range points {
			names = append(names, p.Point)
		}
	}
	return names
}

// detail cuts an error to the length of a reading's detail.
func detail(err error) string {
	s := err.Error()
	return s[:min(len(s), longan.MaxLabel)]
}

// Act implements drivers.Actuator: it switches the relay of that name and
// returns once the module has confirmed it. It takes its turn between two
// requests of the poll. It fails with drivers.ErrNotRunning unless the module
// has answered since Run was called, with drivers.ErrSilent, an Exception, or
// ctx.Err(), after which the relay may or may not have switched.
func (m *Module) Act(ctx context.Context, output string, on bool) error {
	err := m.act(ctx, output, on)
	if err != nil {
		return fmt.Errorf("switch %s: %w", output, err)
	}
	return nil
}

func (m *Module) act(ctx context.Context, output string, on bool) error {
	r, err := m.write(output, on)
	if err != nil {
		return err
	}
	m.mu.Lock()
	running := m.running
	m.mu.Unlock()
	if running == nil {
		return drivers.ErrNotRunning
	}
	a := act{ctx: ctx, request: r, result: make(chan error, 1)}
	select {
	case m.acts <- a:
	case <-running:
		return drivers.ErrNotRunning
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-a.result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// write returns the request that switches the named output.
func (m *Module) write(output string, on bool) (request, error) {
	for _, o := range m.cfg.Outputs {
		if o.Name == output {
			if m.cfg.Address < 1 || m.cfg.Address > 247 {
				return request{}, fmt.Errorf("address %d: want a slave of 1 to 247", m.cfg.Address)
			}
			return o.write(byte(m.cfg.Address), on)
		}
	}
	return request{}, fmt.Errorf("slave %d has no output of that name", m.cfg.Address)
}

// write returns the request that switches o.
func (o Output) write(slave byte, on bool) (request, error) {
	value := o.Off
	if on {
		value = o.On
	}
	switch {
	case !o.Register:
		return writeCoil(slave, o.Number-1, on)
	case o.Multiple:
		return writeRegisters(slave, o.Number-1, []uint16{value})
	}
	return writeRegister(slave, o.Number-1, value)
}
