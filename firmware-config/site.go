// Package firmwareconfig says what a board is told to be: the site file of a
// center, and the profile of the board it runs on.
package firmwareconfig

import (
	"time"

	"github.com/longan-edge/longan"
)

// Site is a checked site file, with every terminal label resolved to a port of
// the board. It is what the agent runs on.
type Site struct {
	Device      longan.DeviceID
	Name        string // of the center, for people
	Board       string // the profile's name
	Uplink      Uplink
	Peripherals []Peripheral
}

// Uplink is the way to the city.
type Uplink struct {
	Brokers      []string      // URLs, tried in order: mqtt://host:1883 or mqtts://host:8883
	Username     string        // the device id unless set
	PasswordFile string        // path of a file whose first line is the password; "" is none
	CA           string        // path of a PEM file: who may have signed a broker's certificate; "" is whom the system trusts
	Heartbeat    time.Duration // between heartbeats and MQTT keepalives
}

// Peripheral is one device wired to the board.
type Peripheral struct {
	Name   string
	Label  string // for people; the name unless set
	Driver string // contact, modbus, escpos …
	Port   string // a UART's device path, resolved from its terminal label; "" for GPIO drivers
	Baud   int
	Parity string // none, even or odd
	// Address of a bus slave.
	Address int
	// Poll is the time between two readings of the peripheral.
	Poll time.Duration
	// Timeout is the time for one answer, of drivers that ask.
	Timeout time.Duration
	// Settings are the driver's own.
	Settings Settings
	Points   []Point
	Outputs  []Output
}

// Point is one signal of a peripheral.
type Point struct {
	Name  string
	Label string // for people; the name unless set
	Kind  Kind
	// Signal is what the driver calls it: "di1" at a modbus module, "paper-out"
	// at a printer, and for contact the resolved GPIO line.
	Signal string
	// NormallyClosed: at rest the circuit is closed, so open is Active.
	NormallyClosed bool
	Debounce       time.Duration // of contact; how long a level must hold
	Pull           string        // of contact: up, down, none
	Register       *Register     // of a register: what its count means; nil for other signals
}

// Register is what the count of a point at a register means.
type Register struct {
	Signed bool    // two's complement
	Scale  float64 // what one count is worth
	Unit   string  // for people
	// Above and Below are the limits beyond which the point is active, in units;
	// nil is none. Hysteresis is how far back within it is normal again.
	Above, Below *float64
	Hysteresis   float64
}

// Output is one relay of a peripheral.
type Output struct {
	Name   string
	Label  string
	Signal string // "do1", or "hr1" with Set
	Set    *Set   // of a register; nil for other outputs
	Relay  *Relay // of a relay on a GPIO line, whose Signal is the line; else nil
}

// Relay is how a relay on a GPIO line is switched.
type Relay struct {
	ActiveLow bool // the low level switches it on
	On        bool // its safe state is on
	Hold      bool // it holds through a restart of the agent
}

// Set is how a register is switched.
type Set struct {
	On, Off  uint16
	Multiple bool // the slave knows only "write multiple registers"
}

// Kind is what a point means, and so which events it makes.
type Kind string

// The kinds of points.
const (
	KindDoor      Kind = "door"
	KindPanic     Kind = "panic"
	KindIntrusion Kind = "intrusion"
	KindFire      Kind = "fire"
	KindTamper    Kind = "tamper"
	KindMains     Kind = "mains"
	KindKiosk     Kind = "kiosk"
	KindInput     Kind = "input" // anything else
)

// Kinds lists all kinds.
var Kinds = [...]Kind{KindDoor, KindPanic, KindIntrusion, KindFire, KindTamper, KindMains, KindKiosk, KindInput}

// Alarm reports whether an active point of this kind is an alarm.
func (k Kind) Alarm() bool {
	switch k {
	case KindPanic, KindIntrusion, KindFire, KindTamper, KindMains:
		return true
	}
	return false
}
