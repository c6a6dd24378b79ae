package longan

// Batch carries consecutive events of one stream to the city:
//
//	{"v":1,"device":"621202104-01","epoch":"9f86d081884c7d65","lane":"state","oldest":17,"events":[{"seq":17,…},…]}
//
// Events are in ascending order of Seq. Oldest is the lowest sequence number
// that the board still keeps in this lane: what lies below it was acknowledged
// to the board once, or has been reported lost, and will not come again. By it
// a city whose store was restored from a backup sees the hole, instead of
// waiting for ever.
type Batch struct {
	Device DeviceID
	Epoch  string
	Lane   Lane
	Oldest uint64
	Events []Event
	Extra  Extra
}

// Encode returns the batch's message, compressed when that pays. It returns an
// error that wraps ErrMalformed or ErrTooLarge when the batch breaks the
// contract.
func (b *Batch) Encode() ([]byte, error) {
	raw := make([][]byte, len(b.Events))
	last := uint64(0)
	for i := range b.Events {
		e := &b.Events[i]
		if err := e.Validate(); err != nil {
			return nil, err
		}
		if err := checkOrder(last, e.Seq); err != nil {
			return nil, err
		}
		last = e.Seq
		raw[i] = e.AppendJSON(nil)
	}
	return b.EncodeRaw(raw)
}

// EncodeRaw is Encode for events that are JSON already, as a spool keeps them:
// b.Events is not used. The caller vouches that each is what AppendJSON wrote
// for an event that Validate passed, and for their ascending order.
func (b *Batch) EncodeRaw(events [][]byte) ([]byte, error) {
	if err := b.checkHead(len(events)); err != nil {
		return nil, err
	}
	size := 256 // of a usual head
	for _, e := range events {
		size += len(e) + 1
	}
	o := newObject(make([]byte, 0, min(size, MaxPayload)))
	o.uint("v", Version)
	o.str("device", string(b.Device))
	o.str("epoch", b.Epoch)
	o.str("lane", b.Lane.String())
	o.uint("oldest", b.Oldest)
	o.key("events")
	o.buf = append(o.buf, '[')
	for i, e := range events {
		if len(e) > MaxEvent {
			return nil, tooLarge("event", len(e), MaxEvent)
		}
		if i > 0 {
			o.buf = append(o.buf, ',')
		}
		o.buf = append(o.buf, e...)
	}
	o.buf = append(o.buf, ']')
	return pack(o.end(b.Extra))
}

func (b *Batch) checkHead(events int) error {
	if _, err := ParseDeviceID(string(b.Device)); err != nil {
		return err
	}
	if err := checkName("epoch", b.Epoch, false); err != nil {
		return err
	}
	if int(b.Lane) >= len(Lanes) {
		return malformed("lane: want alarm, state or sample")
	}
	if events > MaxBatch {
		return tooLarge("batch", events, MaxBatch)
	}
	return checkUint("oldest", b.Oldest)
}

// DecodeBatch returns the batch in a message. Every event has its stream filled
// in. Errors wrap ErrMalformed, ErrTooLarge or ErrVersion.
func DecodeBatch(payload []byte) (*Batch, error) {
	data, err := open(payload)
	if err != nil {
		return nil, err
	}
	b := &Batch{Lane: noLane}
	var events []byte
	err = eachField(data, func(key string, val []byte) (err error) {
		switch key {
		case "v": // open has seen to it
		case "device":
			b.Device, err = parseDevice(val)
		case "epoch":
			b.Epoch, err = parseString(val)
		case "lane":
			b.Lane, err = parseLane(val)
		case "oldest":
			b.Oldest, err = parseUint(val)
		case "events":
			events = val
		default:
			err = b.Extra.keep(key, val)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := b.checkHead(0); err != nil {
		return nil, err
	}
	if err := b.parseEvents(events); err != nil {
		return nil, err
	}
	return b, nil
}

// noLane stands for a lane that was not given: the zero Lane is Alarm, and
// nobody may take silence for an alarm.
const noLane = Lane(0xff)

func (b *Batch) parseEvents(data []byte) error {
	if data == nil {
		return malformed("batch has no events")
	}
	var last uint64
	texts := known{}
	return eachItem(data, func(val []byte) error {
		if len(b.Events) == MaxBatch {
			return tooLarge("batch", MaxBatch+1, MaxBatch)
		}
		e, err := parseEvent(val, texts)
		if err != nil {
			return err
		}
		if err := checkOrder(last, e.Seq); err != nil {
			return err
		}
		last = e.Seq
		e.Device, e.Epoch, e.Lane = b.Device, b.Epoch, b.Lane
		b.Events = append(b.Events, e)
		return nil
	})
}

func checkOrder(last, seq uint64) error {
	if seq <= last {
		return malformed("seq %d follows %d: want ascending order", seq, last)
	}
	return nil
}

func parseDevice(val []byte) (DeviceID, error) {
	s, err := parseString(val)
	if err != nil {
		return "", err
	}
	return ParseDeviceID(s)
}

func parseLane(val []byte) (Lane, error) {
	s, err := parseString(val)
	if err != nil {
		return 0, err
	}
	return ParseLane(s)
}
