package contact_test

import (
	"context"
	"fmt"
	"time"

	"periph.io/x/conn/v3/gpio"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/drivers"
	"github.com/longan-edge/longan/drivers/contact"
	"github.com/longan-edge/longan/drivers/porttest"
)

// A panic button, wired normally closed, that somebody presses.
func Example() {
	var ports porttest.Ports // on a board: hw.New
	button := ports.AddLine("gpio:4")
	button.Set(gpio.Low)

	driver := contact.New(&ports, []contact.Input{{
		Point: "panic-button", Line: "gpio:4",
		NormallyClosed: true, Pull: gpio.PullUp, Debounce: 30 * time.Millisecond, Urgent: true,
	}}, contact.Options{})

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	err := driver.Run(ctx, func(_ context.Context, r drivers.Reading) error {
		fmt.Println(r.Point, r.State)
		switch r.State {
		case longan.Normal:
			button.Set(gpio.High) // pressed, or the wire is cut
		case longan.Active:
			cancel()
		}
		return nil
	})
	fmt.Println(err)
	// Output:
	// panic-button normal
	// panic-button active
	// context canceled
}
