package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"io"

	"github.com/longan-edge/longan"
)

// maxLine bounds a line of decode's input: a message in hex behind its topic.
const maxLine = 2*longan.MaxPayload + 4096

// decode makes messages readable: of every line, "topic payload-in-hex" or only
// the payload, it writes the message's JSON in the payload's place. A line that
// holds no message is written as it is, with the reason.
func decode(stdin io.Reader, stdout, stderr io.Writer) int {
	lines := bufio.NewScanner(stdin)
	lines.Buffer(nil, maxLine)
	failed := false
	for lines.Scan() {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		before, payload := []byte(nil), line
		if i := bytes.LastIndexByte(line, ' '); i >= 0 {
			before, payload = line[:i+1], line[i+1:]
		}
		data := make([]byte, hex.DecodedLen(len(payload)))
		_, err := hex.Decode(data, payload)
		if err == nil {
			data, err = longan.JSON(data)
		}
		if err != nil {
			failed = true
			fmt.Fprintf(stdout, "%s  看不懂 / can't be read: %v\n", line, err)
			continue
		}
		fmt.Fprintf(stdout, "%s%s\n", before, data)
	}
	if err := lines.Err(); err != nil {
		fmt.Fprintln(stderr, "读不了输入，每行要一条十六进制消息 / read input, want one message in hex a line:", err)
		return exitFailed
	}
	if failed {
		return exitFailed
	}
	return 0
}
