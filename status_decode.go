package longan

import "time"

// DecodeStatus returns the status in a message.
func DecodeStatus(payload []byte) (*Status, error) {
	data, err := open(payload)
	if err != nil {
		return nil, err
	}
	s := &Status{}
	if err := eachField(data, s.field); err != nil {
		return nil, err
	}
	if err := s.validate(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Status) field(key string, val []byte) (err error) {
	switch key {
	case "v": // open has seen to it
	case "device":
		s.Device, err = parseDevice(val)
	case "session":
		s.Session, err = parseString(val)
	case "n":
		s.N, err = parseUint(val)
	case "epoch":
		s.Epoch, err = parseString(val)
	case "state":
		s.State, err = parseString(val)
	case "time":
		s.Time, err = parseTime(val)
	case "clock":
		s.Clock, err = parseString(val)
	case "boot":
		s.Boot, err = parseString(val)
	case "mono":
		s.Mono, err = parseMillis(val)
	case "version":
		s.Version, err = parseString(val)
	case "name":
		s.Name, err = parseString(val)
	case "full":
		s.Full, err = parseBool(val)
	case "points":
		err = s.parsePoints(val)
	case "peripherals":
		err = s.parsePeripherals(val)
	case "backlog":
		ack := Ack{Lanes: map[Lane]uint64{}}
		err = ack.parseLanes(val)
		if len(ack.Lanes) > 0 {
			s.Backlog = ack.Lanes
		}
	case "disk":
		s.Disk, err = parseDisk(val)
	default:
		err = s.Extra.keep(key, val)
	}
	return err
}

func parseDisk(data []byte) (*DiskStatus, error) {
	d := &DiskStatus{}
	err := eachField(data, func(key string, val []byte) (err error) {
		switch key {
		case "ok":
			d.OK, err = parseBool(val)
		case "error":
			d.Error, err = parseString(val)
		case "slow":
			d.Slow, err = parseMillis(val)
		case "memory":
			d.InMemory, err = parseUint(val)
		case "today":
			d.WrittenToday, err = parseUint(val)
		case "life":
			var hours uint64
			hours, err = parseUint(val)
			d.Life = time.Duration(min(hours, uint64(maxMono/time.Hour))) * time.Hour
		}
		return err
	})
	return d, err
}

func (s *Status) parsePoints(data []byte) error {
	return eachField(data, func(name string, val []byte) error {
		if s.Points == nil {
			s.Points = map[string]PointStatus{}
		}
		if len(s.Points) == MaxPoints {
			return tooLarge("points", MaxPoints+1, MaxPoints)
		}
		p := PointStatus{Age: -1}
		err := eachField(val, func(key string, val []byte) (err error) {
			switch key {
			case "state":
				var name string
				if name, err = parseString(val); err == nil {
					err = p.State.UnmarshalText([]byte(name))
				}
			case "kind":
				p.Kind, err = parseString(val)
			case "label":
				p.Label, err = parseString(val)
			case "peripheral":
				p.Peripheral, err = parseString(val)
			case "since":
				p.Since, err = parseTime(val)
			case "age":
				p.Age, err = parseMillis(val)
			case "detail":
				p.Detail, err = parseString(val)
			}
			return err
		})
		s.Points[name] = p
		return err
	})
}

func (s *Status) parsePeripherals(data []byte) error {
	return eachField(data, func(name string, val []byte) error {
		if s.Peripherals == nil {
			s.Peripherals = map[string]PeripheralStatus{}
		}
		if len(s.Peripherals) == MaxPoints {
			return tooLarge("peripherals", MaxPoints+1, MaxPoints)
		}
		p := PeripheralStatus{Age: -1}
		err := eachField(val, func(key string, val []byte) (err error) {
			switch key {
			case "ok":
				p.OK, err = parseBool(val)
			case "driver":
				p.Driver, err = parseString(val)
			case "label":
				p.Label, err = parseString(val)
			case "age":
				p.Age, err = parseMillis(val)
			case "error":
				p.Error, err = parseString(val)
			}
			return err
		})
		s.Peripherals[name] = p
		return err
	})
}

func parseBool(val []byte) (bool, error) {
	switch string(val) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, malformed("%s: want true or false", clip(string(val)))
}

// Never is the Age of a reading that never was.
const Never = time.Duration(-1)
