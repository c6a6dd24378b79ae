package video_test

import (
	"context"
	"fmt"
	"net"

	"github.com/longan-edge/longan/drivers"
	"github.com/longan-edge/longan/drivers/video"
)

// A camera that wants a password is alive.
func Example() {
	dial := func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		go func() {
			defer far.Close()
			request := make([]byte, 256)
			n, err := far.Read(request)
			if err != nil {
				return
			}
			fmt.Printf("%q\n", request[:n])
			fmt.Fprint(far, "RTSP/1.0 401 Unauthorized\r\nCSeq: 1\r\n\r\n")
		}()
		return near, nil
	}
	camera := video.New(video.Config{Dial: dial, Address: "192.168.1.64", Point: "hall-camera"})
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	err := camera.Run(ctx, func(_ context.Context, r drivers.Reading) error {
		fmt.Println(r.Point, r.State, "-", r.Detail)
		stop()
		return nil
	})
	fmt.Println(err)
	// Output:
	// "OPTIONS rtsp://192.168.1.64:554/ RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: longan\r\n\r\n"
	// hall-camera normal - RTSP 401
	// context canceled
}
