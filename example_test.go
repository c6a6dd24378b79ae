package longan_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/longan-edge/longan"
)

// A board builds a batch from what its spool holds.
func ExampleBatch_Encode() {
	batch := longan.Batch{
		Device: "621202104-01",
		Epoch:  "9f86d081884c7d65",
		Lane:   longan.Alarm,
		Oldest: 5,
		Events: []longan.Event{{
			Seq:   5,
			Type:  longan.AlarmRaised,
			Point: "panic-button",
			Time:  time.Date(2026, 11, 23, 8, 15, 30, 123e6, time.UTC),
			Clock: longan.ClockNTP,
			Data:  json.RawMessage(`{"cause":"panic"}`),
		}},
	}
	payload, err := batch.Encode()
	if err != nil {
		fmt.Println(err)
		return
	}
	data, err := longan.JSON(payload) // as a person would read it
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(data))
	// Output:
	// {"v":1,"device":"621202104-01","epoch":"9f86d081884c7d65","lane":"alarm","oldest":5,"events":[{"seq":5,"type":"alarm.raised","point":"panic-button","time":"2026-11-23T08:15:30.123Z","clock":"ntp","data":{"cause":"panic"}}]}
}

// The city decodes a batch, stores it and answers with an ack.
func ExampleDecodeBatch() {
	payload := []byte(`{"v":1,"device":"621202104-01","epoch":"9f86d081884c7d65","lane":"state","oldest":17,"events":[` +
		`{"seq":17,"type":"door.opened","point":"front-door"},{"seq":18,"type":"door.closed","point":"front-door"}]}`)
	batch, err := longan.DecodeBatch(payload)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, e := range batch.Events {
		fmt.Println(e.Device, e.Lane, e.Seq, e.Type, e.Point)
	}
	last := batch.Events[len(batch.Events)-1].Seq
	ack := longan.Ack{Epoch: batch.Epoch, Lanes: map[longan.Lane]uint64{batch.Lane: last}}
	answer, err := ack.Encode()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(answer))
	// Output:
	// 621202104-01 state 17 door.opened front-door
	// 621202104-01 state 18 door.closed front-door
	// {"v":1,"epoch":"9f86d081884c7d65","lanes":{"state":18}}
}

// A message of a newer contract is told from a broken one.
func ExampleDecodeBatch_version() {
	_, err := longan.DecodeBatch([]byte(`{"v":2,"device":{"new":"form"}}`))
	fmt.Println(errors.Is(err, longan.ErrVersion), err)
	// Output:
	// true unknown contract version: v 2, this program knows 1 (malformed)
}

func ExampleParseTopic() {
	topic, err := longan.ParseTopic("longan/v1/621202/621202104-01/up/alarm")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(topic.Device, topic.Kind, topic.Lane)
	fmt.Println(longan.Topic{Device: topic.Device, Kind: longan.TopicAck})
	fmt.Println(longan.UpFilter("621202"))
	// Output:
	// 621202104-01 up alarm
	// longan/v1/621202/621202104-01/ack
	// longan/v1/621202/+/up/+
}

func ExampleLookupTownship() {
	t, ok := longan.LookupTownship(longan.DeviceID("621202104-01").Township())
	fmt.Println(t.CountyName, t.Name, ok)
	// Output:
	// 武都区 汉王镇 true
}
