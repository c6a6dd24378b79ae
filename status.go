package longan

import (
	"slices"
	"time"
)

// Link states of a board, as its Status says.
const (
	Online  = "online"
	Offline = "offline" // said by the will, or by the board before it leaves
)

// Status is what a board is now. The full one, with all points, is retained and
// is the live view's source: on reconnect the city sees the present at once,
// while history follows in order. A heartbeat is not retained and carries only
// what changes all the time, see Heartbeat. The will is a Status with State
// Offline; it counts only while its Session is the one the city knows, so a
// late will of an old session never hides a newer birth.
type Status struct {
	Device      DeviceID
	Session     string                      // random, new with every connection
	N           uint64                      // counts the statuses of a session; 0 in the will
	Epoch       string                      // of the spool, for the city to match batches
	State       string                      // Online or Offline
	Time        time.Time                   // at the board
	Clock       string                      // quality of Time
	Boot        string                      //
	Mono        time.Duration               // since boot
	Version     string                      // of the agent
	Name        string                      // of the center, as the site file gives it
	Full        bool                        // Points and Peripherals are complete
	Points      map[string]PointStatus      // by point
	Peripherals map[string]PeripheralStatus // by peripheral
	Backlog     map[Lane]uint64             // events that the city has not acknowledged
	Disk        *DiskStatus                 // of the spool, or nil
	Extra       Extra
}

// PointStatus is what a point is now.
type PointStatus struct {
	State      PointState
	Kind       string        // door, panic, kiosk …: how to show it
	Label      string        // for people, as the site file gives it
	Peripheral string        // where it comes from
	Since      time.Time     // when it took this state, at the board; zero when unknown
	Age        time.Duration // of the last good reading; negative is "never"
	Detail     string        // what the driver adds for people, may be ""
}

// PeripheralStatus is how a peripheral fares now.
type PeripheralStatus struct {
	OK     bool
	Driver string
	Label  string
	Age    time.Duration // of the last good reading; negative is "never"
	Error  string        // why it is not OK
}

// DiskStatus is how the disk fares that the board keeps its events on.
type DiskStatus struct {
	OK           bool          // it takes events
	Error        string        // why it is not OK
	Slow         time.Duration // the slowest recent write, when it was too slow; else 0
	InMemory     uint64        // events that a power cut would lose now
	WrittenToday uint64        // bytes
	Life         time.Duration // estimate for the card at the present rate, whole hours; 0 is unknown
}

// Heartbeat returns the short sign of life that a board sends between full
// statuses: on a metered link every byte of it counts. What it leaves out
// stands as in the last full status of the session.
func (s *Status) Heartbeat() *Status {
	h := &Status{Device: s.Device, Session: s.Session, N: s.N, State: s.State, Mono: s.Mono}
	for _, n := range s.Backlog {
		if n > 0 {
			h.Backlog = s.Backlog
		}
	}
	return h
}

// Encode returns the status's message.
func (s *Status) Encode() ([]byte, error) {
	if err := s.validate(); err != nil {
		return nil, err
	}
	o := newObject(nil)
	o.uint("v", Version)
	o.str("device", string(s.Device))
	o.str("session", s.Session)
	o.uint("n", s.N)
	o.str("epoch", s.Epoch)
	o.str("state", s.State)
	o.time("time", s.Time)
	o.str("clock", s.Clock)
	o.str("boot", s.Boot)
	o.uint("mono", uint64(max(0, s.Mono.Milliseconds())))
	o.str("version", s.Version)
	o.str("name", s.Name)
	if s.Full {
		o.raw("full", []byte("true"))
	}
	if len(s.Points) > 0 {
		o.raw("points", s.encodePoints())
	}
	if len(s.Peripherals) > 0 {
		o.raw("peripherals", s.encodePeripherals())
	}
	if len(s.Backlog) > 0 {
		lanes := newObject(nil)
		for _, l := range Lanes {
			lanes.uint(l.String(), s.Backlog[l])
		}
		o.raw("backlog", lanes.end(nil))
	}
	if s.Disk != nil {
		o.raw("disk", s.Disk.encode())
	}
	return pack(o.end(s.Extra))
}

func (d *DiskStatus) encode() []byte {
	o := newObject(nil)
	o.raw("ok", []byte(map[bool]string{true: "true", false: "false"}[d.OK]))
	o.str("error", d.Error)
	o.uint("slow", uint64(max(0, min(d.Slow, maxMono)).Milliseconds()))
	o.uint("memory", d.InMemory)
	o.uint("today", d.WrittenToday)
	o.uint("life", uint64(max(0, d.Life)/time.Hour))
	return o.end(nil)
}

func (s *Status) encodePoints() []byte {
	all := newObject(nil)
	for _, name := range sortedKeys(s.Points) {
		p := s.Points[name]
		o := newObject(nil)
		o.str("state", p.State.String())
		o.str("kind", p.Kind)
		o.str("label", p.Label)
		o.str("peripheral", p.Peripheral)
		o.time("since", p.Since)
		o.age(p.Age)
		o.str("detail", p.Detail)
		all.raw(name, o.end(nil))
	}
	return all.end(nil)
}

func (s *Status) encodePeripherals() []byte {
	all := newObject(nil)
	for _, name := range sortedKeys(s.Peripherals) {
		p := s.Peripherals[name]
		o := newObject(nil)
		o.raw("ok", []byte(map[bool]string{true: "true", false: "false"}[p.OK]))
		o.str("driver", p.Driver)
		o.str("label", p.Label)
		o.age(p.Age)
		o.str("error", p.Error)
		all.raw(name, o.end(nil))
	}
	return all.end(nil)
}

// age writes the age of a reading in milliseconds, 0 included; "never" is left out.
func (o *object) age(d time.Duration) {
	if d == 0 {
		o.raw("age", []byte("0"))
	} else if d > 0 {
		o.uint("age", uint64(max(1, min(d, maxMono).Milliseconds())))
	}
}

func (s *Status) validate() error {
	if _, err := ParseDeviceID(string(s.Device)); err != nil {
		return err
	}
	if err := checkName("session", s.Session, false); err != nil {
		return err
	}
	if err := checkName("state", s.State, false); err != nil {
		return err
	}
	for _, n := range [...]struct{ field, name string }{{"epoch", s.Epoch}, {"boot", s.Boot}, {"clock", s.Clock}} {
		if err := checkName(n.field, n.name, true); err != nil {
			return err
		}
	}
	if err := checkTime("time", s.Time); err != nil {
		return err
	}
	if err := checkMono(s.Mono); err != nil {
		return err
	}
	if err := checkUint("n", s.N); err != nil {
		return err
	}
	for _, l := range Lanes {
		if err := checkUint("backlog", s.Backlog[l]); err != nil {
			return err
		}
	}
	if err := s.Disk.validate(); err != nil {
		return err
	}
	return s.validateMaps()
}

func (d *DiskStatus) validate() error {
	if d == nil {
		return nil
	}
	if len(d.Error) > MaxLabel {
		return tooLarge("disk error", len(d.Error), MaxLabel)
	}
	if err := checkUint("memory", d.InMemory); err != nil {
		return err
	}
	return checkUint("today", d.WrittenToday)
}

func (s *Status) validateMaps() error {
	if n := max(len(s.Points), len(s.Peripherals)); n > MaxPoints {
		return tooLarge("points", n, MaxPoints)
	}
	texts := []string{s.Version, s.Name}
	for name, p := range s.Points {
		if err := checkName("point", name, false); err != nil {
			return err
		}
		if err := checkTime("since", p.Since); err != nil {
			return err
		}
		texts = append(texts, p.Kind, p.Label, p.Peripheral, p.Detail)
	}
	for name, p := range s.Peripherals {
		if err := checkName("peripheral", name, false); err != nil {
			return err
		}
		texts = append(texts, p.Driver, p.Label, p.Error)
	}
	if i := slices.IndexFunc(texts, func(t string) bool { return len(t) > MaxLabel }); i >= 0 {
		return tooLarge("text", len(texts[i]), MaxLabel)
	}
	return nil
}
