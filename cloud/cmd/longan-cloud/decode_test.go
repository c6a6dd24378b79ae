package main

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/longan-edge/longan"
)

func TestDecode(t *testing.T) {
	ack, err := (&longan.Ack{Epoch: "9f86d081884c7d65", Lanes: map[longan.Lane]uint64{longan.Alarm: 5, longan.State: 120}, Credit: 1600}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	if ack[0] == '{' {
		t.Fatal("the message is plain: there is nothing to decode")
	}
	const want = `{"v":1,"epoch":"9f86d081884c7d65","lanes":{"alarm":5,"state":120},"credit":1600}`
	for _, tt := range []struct {
		in, out string
		status  int
	}{
		{"", "", 0},
		{hex.EncodeToString(ack) + "\n\n", want + "\n", 0},
		{"longan/v1/621202/621202104-01/ack " + hex.EncodeToString(ack), "longan/v1/621202/621202104-01/ack " + want + "\n", 0},
		{"longan/v1/x 0g", "longan/v1/x 0g  看不懂", exitFailed},
		{"longan/v1/x 01", "longan/v1/x 01  看不懂", exitFailed},
	} {
		var out, errs bytes.Buffer
		if got := decode(strings.NewReader(tt.in), &out, &errs); got != tt.status || !strings.HasPrefix(out.String(), tt.out) {
			t.Errorf("decode(%q) = %d %q %s, want %d %q", tt.in, got, &out, &errs, tt.status, tt.out)
		}
	}
	if got := decode(strings.NewReader(strings.Repeat("a", maxLine+1)), &bytes.Buffer{}, &bytes.Buffer{}); got != exitFailed {
		t.Errorf("a line without end: status %d, want %d", got, exitFailed)
	}
}
