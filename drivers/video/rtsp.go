package video

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Bounds of an answer. Cameras send a few hundred bytes.
const (
	maxLine  = 1 << 10
	maxLines = 64
	// maxFrames bounds the interleaved frames of a stream before the answer.
	maxFrames = 16
)

var (
	errNotRTSP = errors.New("what answers is no RTSP server")
	errLong    = errors.New("the answer does not end")
)

// request returns the request for the options of the server at address.
func request(address string) []byte {
	return fmt.Appendf(nil, "OPTIONS rtsp://%s/ RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: longan\r\n\r\n", address)
}

// readAnswer reads an answer to its empty line and returns its status.
func readAnswer(from io.Reader) (status int, err error) {
	r := bufio.NewReaderSize(from, maxLine)
	if err := skipFrames(r); err != nil {
		return 0, err
	}
	line, err := readLine(r)
	if err != nil {
		return 0, err
	}
	if status, err = parseStatus(line); err != nil {
		return 0, err
	}
	for range maxLines {
		line, err := readLine(r)
		if err != nil {
			return 0, err
		}
		if line == "" {
			return status, nil
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok && line[0] != ' ' && line[0] != '\t' {
			return 0, fmt.Errorf("%w: header %.40q", errNotRTSP, line)
		}
		// One without a number is an answer all the same: there is only one request.
		if strings.EqualFold(strings.TrimSpace(name), "CSeq") && strings.TrimSpace(value) != "1" {
			return 0, fmt.Errorf("%w: it answers request %.20q instead of 1", errNotRTSP, strings.TrimSpace(value))
		}
	}
	return 0, errLong
}

// skipFrames passes over interleaved binary data: $, a channel, and a length.
func skipFrames(r *bufio.Reader) error {
	for range maxFrames {
		b, err := r.Peek(1)
		if err != nil {
			return cut(err)
		}
		if b[0] != '$' {
			return nil
		}
		var head [4]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return cut(err)
		}
		if _, err := r.Discard(int(head[2])<<8 | int(head[3])); err != nil {
			return cut(err)
		}
	}
	return errLong
}

func readLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", errLong
	case err != nil:
		return "", cut(err)
	}
	return string(bytes.TrimRight(line, "\r\n")), nil
}

// cut says what the end of a connection means before the end of an answer.
func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("it closes the connection without a whole answer")
	}
	return fmt.Errorf("read the answer: %w", err)
}

// parseStatus reads "RTSP/1.0 200 OK".
func parseStatus(line string) (int, error) {
	version, rest, _ := strings.Cut(line, " ")
	code, _, _ := strings.Cut(rest, " ")
	major, ok := strings.CutPrefix(version, "RTSP/")
	if !ok || len(major) != 3 || major[1] != '.' {
		return 0, fmt.Errorf("%w: it says %.40q", errNotRTSP, line)
	}
	status, err := strconv.Atoi(code)
	if err != nil || len(code) != 3 || status < 100 || status > 599 {
		return 0, fmt.Errorf("%w: status %.20q", errNotRTSP, code)
	}
	return status, nil
}

// serves reports whether a status shows a server that works.
func serves(status int) bool {
	return status < 500 || status == 501 || status == 505 || status == 551
}
