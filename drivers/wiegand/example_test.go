package wiegand_test

import (
	"context"
	"fmt"
	"time"

	"periph.io/x/conn/v3/gpio"

	"github.com/longan-edge/longan/drivers"
	"github.com/longan-edge/longan/drivers/porttest"
	"github.com/longan-edge/longan/drivers/wiegand"
)

// A reader to which somebody holds a card of 26 bits.
func Example() {
	var ports porttest.Ports // on a board: hw.New
	wires := map[rune]*porttest.Line{'0': ports.AddLine("soc:17"), '1': ports.AddLine("soc:18")}

	reader, err := wiegand.New(&ports, wiegand.Config{
		Point: "door-reader", D0: "soc:17", D1: "soc:18", Pull: gpio.PullUp,
		CardKey: []byte("the board's own key"), // made on the board, and kept there
		// This program's pulses may be late; a reader's are not.
		Gap: time.Second, Poll: time.Hour,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	err = reader.Run(ctx, func(_ context.Context, r drivers.Reading) error {
		fmt.Println(r.Point, r.State)
		if r.Happened != nil {
			fmt.Printf("%s %s\n", r.Happened.Type, r.Happened.Data)
			cancel()
			return nil
		}
		for _, bit := range "10000110010000111000001111" {
			wires[bit].Set(gpio.Low)
			wires[bit].Set(gpio.High)
			<-time.After(time.Millisecond)
		}
		return nil
	})
	fmt.Println(err)
	// Output:
	// door-reader normal
	// door-reader normal
	// access.card {"card":"dc070f7701054d20","bits":26,"format":"ok"}
	// context canceled
}
