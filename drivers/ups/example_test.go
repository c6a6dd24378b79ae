package ups_test

import (
	"context"
	"fmt"

	"github.com/longan-edge/longan/drivers"
	"github.com/longan-edge/longan/drivers/porttest"
	"github.com/longan-edge/longan/drivers/ups"
)

// A UPS that has lost its mains. It is asked twice, because one answer could be
// noise.
func Example() {
	var ports porttest.Ports
	status := []byte("(000.0 220.0 220.0 040 50.0 24.6 25.0 10000001\r")
	ports.Script("/dev/ttyS2",
		porttest.Expect([]byte("Q1\r")...), porttest.Reply(status...),
		porttest.Expect([]byte("Q1\r")...), porttest.Reply(status...))

	u := ups.New(&ports, "/dev/ttyS2", ups.Config{
		Points: map[ups.Signal]string{ups.Mains: "mains", ups.Load: "ups-load"},
	})
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	err := u.Run(ctx, func(_ context.Context, r drivers.Reading) error {
		fmt.Println(r.Point, r.State, r.Value, "-", r.Detail)
		if r.Point == "ups-load" {
			stop()
		}
		return nil
	})
	fmt.Println(err)
	// Output:
	// mains active 0 - input 0 V, output 220 V, load 40 %, battery 24.6 V, temperature 25 °C, mains lost
	// ups-load normal 40 - 40 %
	// context canceled
}
