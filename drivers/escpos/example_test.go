package escpos_test

import (
	"context"
	"fmt"

	"github.com/longan-edge/longan/drivers"
	"github.com/longan-edge/longan/drivers/escpos"
	"github.com/longan-edge/longan/drivers/porttest"
)

// A printer whose paper has run out.
func Example() {
	var ports porttest.Ports
	ports.Script("/dev/ttyS2",
		porttest.Expect(0x10, 0x04, 2), porttest.Reply(0x32),
		porttest.Expect(0x10, 0x04, 4), porttest.Reply(0x7e))

	printer := escpos.New(&ports, "/dev/ttyS2", escpos.Config{
		Mode:   drivers.SerialMode{Baud: 19200},
		Points: map[escpos.Signal]string{escpos.Cover: "kiosk-cover", escpos.PaperOut: "kiosk-paper"},
	})
	ctx, stop := context.WithCancel(context.Background())
	err := printer.Run(ctx, func(_ context.Context, r drivers.Reading) error {
		fmt.Println(r.Point, r.State, "-", r.Detail)
		if r.Point == "kiosk-paper" {
			stop()
		}
		return nil
	})
	fmt.Println(err)
	// Output:
	// kiosk-cover normal - DLE EOT 2: 32, stopped without paper
	// kiosk-paper active - DLE EOT 4: 7e, near end, no paper
	// context canceled
}
