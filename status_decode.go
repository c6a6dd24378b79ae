package longan

import "time"

// DecodeStatus returns the status in a message.
func DecodeStatus(payload []byte) (*Status, error) {
	data, err := open(payload)
	if err != nil {
		return nil, err
	}
	s := &Status{}
	var version uint64
	err = eachField(data, func(key string, val []byte) (err error) {
		if key == "v" {
			version, err = parseUint(val)
			return err
		}
		return s.field(key, val)
	})
	if err != nil {
		return nil, err
	}
	if err := checkVersion(version); err != nil {
		return nil, err
	}
	return s, s.validate()
}

func (s *Status) field(key string, val []byte) (err error) {
	switch key {
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
		s.Backlog = ack.Lanes
	default:
		err = s.Extra.keep(key, val)
	}
	return err
}

func (s *Status) parsePoints(data []byte) error {
	s.Points = map[string]PointStatus{}
	return eachField(data, func(name string, val []byte) error {
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
	s.Peripherals = map[string]PeripheralStatus{}
	return eachField(data, func(name string, val []byte) error {
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
