package dc09_test

import (
	"context"
	"fmt"
	"io"
	"net"

	"github.com/longan-edge/longan/drivers"
	"github.com/longan-edge/longan/drivers/dc09"
)

// A panel reports that the panic button at zone 3 is pressed, and that somebody
// has armed it.
func Example() {
	listening := make(chan string, 1)
	receiver := dc09.New(dc09.Config{
		Listen: func(ctx context.Context) (net.Listener, error) {
			var lc net.ListenConfig
			l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
			if err == nil {
				listening <- l.Addr().String()
			}
			return l, err
		},
		Accounts: []dc09.Account{{
			Number: "1234",
			Point:  "panel",
			Points: []dc09.Point{{Point: "panic-button", Signal: dc09.Signal{Code: "PA", Zone: 3}}},
		}},
	})
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	done := make(chan error)
	go func() {
		done <- receiver.Run(ctx, func(_ context.Context, r drivers.Reading) error {
			if r.Happened != nil {
				fmt.Printf("%s %s %s\n", r.Point, r.Happened.Type, r.Happened.Data)
			} else {
				fmt.Println(r.Point, r.State)
			}
			return nil
		})
	}()

	panel, err := net.Dial("tcp", <-listening)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, message := range []string{
		"\n3B470025\"SIA-DCS\"0001L0#1234[#1234|Nri1/PA03]\r",
		"\n49400026\"SIA-DCS\"0002L0#1234[#1234|Nri1/CL007]\r",
	} {
		fmt.Fprint(panel, message)
		answer := make([]byte, len("\n....0012\"ACK\"0001L0#1234[]\r"))
		if _, err := io.ReadFull(panel, answer); err != nil {
			fmt.Println(err)
			break
		}
		fmt.Printf("%q\n", answer)
	}
	panel.Close()
	stop()
	fmt.Println(<-done)
	// Output:
	// panic-button active
	// panel normal
	// "\n1BC10012\"ACK\"0001L0#1234[]\r"
	// panel panel.event {"code":"CL","area":"1","account":"1234"}
	// panic-button active
	// "\n14310012\"ACK\"0002L0#1234[]\r"
	// context canceled
}
