package scanner_test

import (
	"context"
	"fmt"

	"github.com/longan-edge/longan/drivers"
	"github.com/longan-edge/longan/drivers/porttest"
	"github.com/longan-edge/longan/drivers/scanner"
)

// A bar code is held to the reader: what leaves the driver is its hash.
func Example() {
	var ports porttest.Ports
	ports.Script("/dev/ttyS3", porttest.Reply([]byte("6901234567892\r\n")...))

	s := scanner.New(&ports, "/dev/ttyS3", scanner.Config{Point: "window-scanner", Key: []byte("a key that stays on the board")})
	ctx, stop := context.WithCancel(context.Background())
	err := s.Run(ctx, func(_ context.Context, r drivers.Reading) error {
		if r.Happened == nil {
			fmt.Println(r.Point, r.State)
			return nil
		}
		fmt.Println(r.Point, r.State, "-", r.Detail)
		fmt.Println(r.Happened.Type, string(r.Happened.Data))
		stop()
		return nil
	})
	fmt.Println(err)
	// Output:
	// window-scanner normal
	// window-scanner normal - a code of 13 bytes
	// code.scanned {"code":"37d7a9b8c87e7674","length":13}
	// context canceled
}
