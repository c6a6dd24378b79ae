package porttest_test

import (
	"context"
	"fmt"
	"io"

	"periph.io/x/conn/v3/gpio"

	"github.com/longan-edge/longan/drivers"
	"github.com/longan-edge/longan/drivers/porttest"
)

// A device that answers one request, and what a driver sees of it.
func Example() {
	var ports porttest.Ports
	device := ports.Script("/dev/ttyS1",
		porttest.Expect(0x01, 0x02), porttest.Reply('o', 'k'), porttest.Unplug())

	s, _ := ports.Serial(context.Background(), "/dev/ttyS1", drivers.SerialMode{Baud: 9600})
	s.Write([]byte{0x01, 0x02})
	answer, err := io.ReadAll(s)
	fmt.Printf("%s, then: %v\n", answer, err)
	fmt.Println("script:", device.Close())
	// Output:
	// ok, then: read /dev/ttyS1: unplugged
	// script: <nil>
}

// A door contact that closes to ground.
func ExampleLine() {
	var ports porttest.Ports
	door := ports.AddLine("gpio:4")
	l, _ := ports.Line(context.Background(), "gpio:4", drivers.LineMode{Pull: gpio.PullUp})

	fmt.Println(l.Sense())
	door.Set(gpio.Low)
	fmt.Println(l.WaitForEdge(0), l.Read())
	// Output:
	// High <nil>
	// true Low
}
