package modbus_test

import (
	"context"
	"fmt"

	"github.com/longan-edge/longan/drivers"
	"github.com/longan-edge/longan/drivers/modbus"
	"github.com/longan-edge/longan/drivers/porttest"
)

// A module at address 1 with a door contact at DI1, closed at rest, and a panic
// button at DI8, which somebody presses.
func Example() {
	var ports porttest.Ports
	ports.Script("/dev/ttyS1",
		porttest.Expect(0x01, 0x02, 0x00, 0x00, 0x00, 0x08, 0x79, 0xcc),
		porttest.Reply(0x01, 0x02, 0x01, 0x81, 0x61, 0xe8))

	module := modbus.New(&ports, "/dev/ttyS1", modbus.Config{
		Mode:    drivers.SerialMode{Baud: 9600, RS485: true},
		Address: 1,
		Inputs: []modbus.Input{
			{Point: "front-door", Number: 1, NormallyClosed: true},
			{Point: "panic", Number: 8},
		},
		Outputs: []modbus.Output{{Name: "siren", Number: 1}},
	})
	ctx, stop := context.WithCancel(context.Background())
	err := module.Run(ctx, func(_ context.Context, r drivers.Reading) error {
		fmt.Println(r.Point, r.State, "-", r.Detail)
		if r.Point == "panic" {
			stop()
		}
		return nil
	})
	fmt.Println(err)
	// Output:
	// front-door normal - di1 on
	// panic active - di8 on
	// context canceled
}
