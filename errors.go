package longan

import (
	"errors"
	"fmt"
)

// Sentinels for what a receiver does differently; match them with errors.Is.
var (
	// ErrTooLarge: a message, or a part of it, exceeds a limit of the contract.
	ErrTooLarge = errors.New("too large")
	// ErrVersion: the message is of a contract version that this program does
	// not know; upgrade the receiver before the sender.
	ErrVersion = errors.New("unknown contract version")
	// ErrMalformed: the bytes are not a message of this contract.
	ErrMalformed = errors.New("malformed")
)

// malformed returns an error that wraps ErrMalformed and says what is wrong.
func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
}

// tooLarge returns an error that wraps ErrTooLarge and names the part.
func tooLarge(part string, size, limit int) error {
	return fmt.Errorf("%s: %d bytes or items, limit %d: %w", part, size, limit, ErrTooLarge)
}
