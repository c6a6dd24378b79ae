package link_test

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/longan-edge/longan/sim/link"
)

// A board reaches a city over a slow link, and what that costs on the wire is
// counted.
func ExampleLink_Dial() {
	var port link.Exchange
	listener, err := port.Listen()
	if err != nil {
		panic(err)
	}
	defer listener.Close()
	go func() {
		city, err := listener.Accept()
		if err != nil {
			return
		}
		io.Copy(city, city)
		city.Close()
	}()

	l := link.New(1, link.Conditions{Bandwidth: 2_000_000, Latency: 5 * time.Millisecond})
	board, err := l.Dial(context.Background(), &port)
	if err != nil {
		panic(err)
	}
	defer board.Close()
	board.Write([]byte("hello"))
	io.ReadFull(board, make([]byte, 5))
	toCity, toBoard := l.Counts()
	fmt.Println(toCity.IP(), toBoard.IP())
	// Output: 57 57
}

// A day of lossy 4G with the link down from noon until two.
func ExampleSchedule_With() {
	const hour = time.Hour
	s := link.LossyMobile().Schedule(7, 24*hour).With(12*hour, 2*hour, link.Conditions{Down: true})
	fmt.Println(s.At(11*hour).Down, s.At(13*hour).Down, s.At(14*hour).Down)
	// Output: false true false
}
