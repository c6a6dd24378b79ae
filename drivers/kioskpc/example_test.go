package kioskpc_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/longan-edge/longan/drivers"
	"github.com/longan-edge/longan/drivers/kioskpc"
)

// What a kiosk's program does: it sends a heartbeat, and sends it again until the
// answer is 204.
func Example() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	board := kioskpc.New(kioskpc.Config{
		Listen: func(context.Context) (net.Listener, error) { return l, nil },
		Token:  "the token of this board",
		Points: map[string]string{"kiosk-1": "hall-kiosk"},
	})
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	done := make(chan error)
	go func() {
		done <- board.Run(ctx, func(_ context.Context, r drivers.Reading) error {
			if r.Point != "" {
				fmt.Println(r.Point, r.State, r.Detail)
			}
			return nil
		})
	}()

	body := `{"id":"kiosk-1","seq":1,"uptime":3600,"status":"fault","code":"card-reader"}`
	request, err := http.NewRequest(http.MethodPost, "http://"+l.Addr().String()+"/v1/heartbeat", strings.NewReader(body))
	if err != nil {
		fmt.Println(err)
		return
	}
	request.Header.Set("Authorization", "Bearer the token of this board")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		fmt.Println(err)
		return
	}
	answer.Body.Close()
	fmt.Println(answer.Status)
	stop()
	fmt.Println(<-done)
	// Output:
	// hall-kiosk active card-reader
	// 204 No Content
	// context canceled
}
