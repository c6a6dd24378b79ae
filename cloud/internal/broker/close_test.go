package broker

import (
	"runtime"
	"testing"
	"time"
)

// TestCloseBeforeTheFirstAccept: a broker that is closed before the server came to
// accept anything ends as well.
func TestCloseBeforeTheFirstAccept(t *testing.T) {
	b, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	l := newPipeListener()
	// On one processor the server's goroutine runs when this one waits: in Close,
	// that is after the server was told to end.
	n := runtime.GOMAXPROCS(1)
	a, err := b.listen(l, "")
	if err == nil {
		err = b.Close()
	}
	runtime.GOMAXPROCS(n)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- b.await(a) }()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the broker is closed, and Serve goes on")
	}
	select {
	case <-l.closed:
	default:
		t.Error("the listener is still open")
	}
}
