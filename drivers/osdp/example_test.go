package osdp_test

import (
	"context"
	"fmt"

	"github.com/longan-edge/longan/drivers"
	"github.com/longan-edge/longan/drivers/osdp"
	"github.com/longan-edge/longan/drivers/porttest"
)

// A reader at address 1 that knows no secure channel, to which somebody holds a
// card.
func Example() {
	var ports porttest.Ports // on a board: hw.New
	script, err := porttest.ParseTranscript(`
		> ff 53 01 09 00 04 61 00 60 23   # ID
		< ff 53 81 14 00 04 45 5a 42 43 01 00 01 00 00 00 00 01 00 b1 eb
		> ff 53 01 09 00 05 62 00 03 41   # CAP
		< ff 53 81 0b 00 05 46 03 01 01 03 14
		> ff 53 01 08 00 06 60 d8 66      # POLL
		< ff 53 81 10 00 06 50 00 00 1a 00 00 00 02 00 0e 48
	`)
	if err != nil {
		fmt.Println(err)
		return
	}
	ports.Script("/dev/ttyS1", script...)

	panel, err := osdp.New(&ports, "/dev/ttyS1", osdp.Config{
		CardKey: []byte("the board's own key"), // made on the board, and kept there
		Readers: []osdp.Reader{{Address: 1, Online: "door-reader", Plain: true}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	err = panel.Run(ctx, func(_ context.Context, r drivers.Reading) error {
		fmt.Println(r.Point, r.State)
		if h := r.Happened; h != nil {
			fmt.Printf("%s %s\n", h.Type, h.Data)
			if h.Type == "reader.insecure" {
				cancel()
			}
		}
		return nil
	})
	fmt.Println(err)
	// Output:
	// door-reader normal
	// access.card {"card":"dc7195738c6eac30","bits":26,"format":"ok"}
	// door-reader normal
	// reader.insecure {"reason":"plain"}
	// context canceled
}
