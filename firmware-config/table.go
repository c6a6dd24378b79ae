package firmwareconfig

import (
	"slices"
	"strconv"
	"time"
)

// driverSpec is what a site file may say about the peripherals of one driver.
type driverSpec struct {
	name string
	// port: the peripheral hangs on a UART, and takes port, baud and parity.
	port   bool
	baud   int    // default
	parity string // default
	// address: the peripheral is one of several on a bus; 0 is the driver
	// knows no addresses.
	lowAddress, highAddress int
	// poll is the default time between two readings; 0 is the driver is told
	// of changes and takes no poll.
	poll time.Duration
	// lines: signals are terminal labels of the board, and points take
	// debounce and pull.
	lines bool
	// timeout is the default time for an answer; 0 is the driver takes none.
	timeout time.Duration
	// registers: a point may be a register as well, ir1 or hr1 up to 65536, and an
	// output a holding register.
	registers bool
	// fixedParity: the peripheral's protocol has one parity, that of the row.
	fixedParity bool
	// relays: outputs are on lines of the board.
	relays bool
	// settings are the driver's own keys.
	settings []setting
	// rule says what the signals of points are, where they can't be listed.
	rule *signalRule
	// inputs are the signals that a point may have, outputs those that an
	// output may have.
	inputs, outputs []string
	// signalLabel is the Chinese name of each input, for the points that a
	// peripheral gets when the file gives none; nil is it must give some.
	signalLabel []string
	// kind of its points when the file gives none, kinds that of each of inputs;
	// "" and none is it must give one.
	kind  Kind
	kinds []Kind
	// about says what it is for.
	about text
}

// kindOf returns the kind that a point at a signal has when the file gives none.
func (d *driverSpec) kindOf(signal string) Kind {
	if i := slices.Index(d.inputs, signal); i >= 0 && i < len(d.kinds) {
		return d.kinds[i]
	}
	return d.kind
}

// driverTable is every driver that a site file can name. To add a driver, add its
// row to one of the three; a key that many drivers need goes into peripheral.go.
var driverTable = slices.Concat(boardDrivers[:], serialDrivers[:], networkDrivers[:])

// signalRule is what signals must look like.
type signalRule struct {
	ok     func(string) bool
	sample string
	hint   text
}

// numbered returns prefix1 to prefixN.
func numbered(prefix string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = prefix + strconv.Itoa(i+1)
	}
	return all
}

// driverNamed returns the row of a driver, or nil.
func driverNamed(name string) *driverSpec {
	for i := range driverTable {
		if driverTable[i].name == name {
			return &driverTable[i]
		}
	}
	return nil
}

func driverNames() []string {
	names := make([]string, len(driverTable))
	for i := range driverTable {
		names[i] = driverTable[i].name
	}
	return names
}

// Bounds of what a site file may ask for.
const (
	minPoll = 20 * time.Millisecond
	maxPoll = 10 * time.Second // beyond, a dead peripheral shows too late

	minTimeout = 20 * time.Millisecond
	maxTimeout = 2 * time.Second // beyond, a dead slave holds the others of its line up

	defaultDebounce = 50 * time.Millisecond // a door reed bounces 30 to 50 ms
	minDebounce     = time.Millisecond
	maxDebounce     = 10 * time.Second

	defaultHeartbeat = 10 * time.Second // the city calls a link stale after two
	minHeartbeat     = time.Second
	maxHeartbeat     = time.Minute
)

// bauds is the table of tarm/serial, which is that of Linux termios: nothing
// else can be set.
var bauds = [...]int{
	50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 9600, 19200, 38400, 57600, 115200,
	230400, 460800, 500000, 576000, 921600, 1000000, 1152000, 1500000, 2000000, 2500000, 3000000, 3500000, 4000000,
}
