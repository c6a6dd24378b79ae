package hw_test

import (
	"context"
	"fmt"
	"log/slog"

	"periph.io/x/conn/v3/gpio"

	"github.com/longan-edge/longan/drivers"
	"github.com/longan-edge/longan/drivers/hw"
)

// A machine without the port says so, and what to do.
func Example() {
	ports, err := hw.New(hw.Options{Log: slog.Default()})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	_, err = ports.Serial(ctx, "/dev/ttyNone", drivers.SerialMode{Baud: 9600})
	fmt.Println(err)
	_, err = ports.Serial(ctx, "/dev/null", drivers.SerialMode{Baud: 9600})
	fmt.Println(err)
	_, err = ports.Line(ctx, "DI1", drivers.LineMode{Output: true, Initial: gpio.High})
	fmt.Println(err != nil)
	// Output:
	// open /dev/ttyNone: no such port: no such file or directory
	// open /dev/null: no such port: not a serial port
	// true
}
