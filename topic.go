package longan

import "strings"

// TopicKind is what a topic carries.
type TopicKind string

// The kinds of topic. up/<lane>, status and result go from the board to the
// city, the others from the city to the board.
const (
	TopicUp     TopicKind = "up"
	TopicStatus TopicKind = "status"
	TopicAck    TopicKind = "ack"
	TopicCmd    TopicKind = "cmd"
	TopicResult TopicKind = "result"
	TopicConfig TopicKind = "config"
)

const topicRoot = "longan/v1/"

// Topic is one MQTT topic of the contract:
//
//	longan/v1/<county>/<device>/up/<lane>
//	longan/v1/<county>/<device>/{status,ack,cmd,result,config}
//
// The county level lets several bridges share the work on any broker without
// shared subscriptions.
type Topic struct {
	Device DeviceID
	Kind   TopicKind
	Lane   Lane // only for TopicUp
}

// String returns the topic's name.
func (t Topic) String() string {
	s := topicRoot + t.Device.County() + "/" + string(t.Device) + "/" + string(t.Kind)
	if t.Kind == TopicUp {
		s += "/" + t.Lane.String()
	}
	return s
}

// ParseTopic returns the parts of a topic name, or an error that wraps
// ErrMalformed. The county must be the device's own.
func ParseTopic(name string) (Topic, error) {
	rest, ok := strings.CutPrefix(name, topicRoot)
	if !ok {
		return Topic{}, malformed("topic %q: does not begin with %s", clip(name), topicRoot)
	}
	parts := strings.Split(rest, "/")
	if len(parts) < 3 || len(parts) > 4 {
		return Topic{}, malformed("topic %q: want longan/v1/<county>/<device>/<kind>", clip(name))
	}
	device, err := ParseDeviceID(parts[1])
	if err != nil {
		return Topic{}, err
	}
	if device.County() != parts[0] {
		return Topic{}, malformed("topic %q: device %s is not of county %s", clip(name), device, clip(parts[0]))
	}
	t := Topic{Device: device, Kind: TopicKind(parts[2])}
	switch t.Kind {
	case TopicUp:
		if len(parts) != 4 {
			return Topic{}, malformed("topic %q: lane missing", clip(name))
		}
		if t.Lane, err = ParseLane(parts[3]); err != nil {
			return Topic{}, err
		}
		return t, nil
	case TopicStatus, TopicAck, TopicCmd, TopicResult, TopicConfig:
		if len(parts) == 3 {
			return t, nil
		}
	}
	return Topic{}, malformed("topic %q: unknown kind", clip(name))
}

// UpFilter is the subscription for all batches of a county, or of all counties
// when county is "".
func UpFilter(county string) string { return topicRoot + orAny(county) + "/+/up/+" }

// StatusFilter is the subscription for the status of all devices of a county,
// or of all counties when county is "".
func StatusFilter(county string) string { return topicRoot + orAny(county) + "/+/status" }

func orAny(county string) string {
	if county == "" {
		return "+"
	}
	return county
}
