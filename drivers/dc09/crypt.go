package dc09

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
)

// errKey is what a message looks like that was encrypted with another key.
var errKey = errors.New("it can't be decrypted: its key is another one")

// ParseKey returns the key that a panel was given: 32, 48 or 64 hexadecimal
// digits, or a text of 16, 24 or 32 characters, for AES-128, -192 or -256. Panels
// differ in what they ask for; "text:" before 32 digits says that they are the
// characters of a key and not its digits.
func ParseKey(s string) ([]byte, error) {
	text, isText := strings.CutPrefix(s, "text:")
	if !isText {
		if key, err := hex.DecodeString(s); err == nil && checkKey(key) == nil {
			return key, nil
		}
	}
	if err := checkKey([]byte(text)); err != nil {
		return nil, err
	}
	return []byte(text), nil
}

// checkKey never tells the key.
func checkKey(key []byte) error {
	switch len(key) {
	case 16, 24, 32:
		return nil
	}
	return fmt.Errorf("key of %d bytes: want 16, 24 or 32 characters, or 32, 48 or 64 hexadecimal digits", len(key))
}

// decrypt returns what stands between the opening bracket and the end of an
// encrypted message. Padding stands in front, and ends at the bar before the data
// or, where there is none, at the bracket behind it.
func decrypt(key, digits []byte) ([]byte, error) {
	text := make([]byte, hex.DecodedLen(len(digits)))
	if _, err := hex.Decode(text, digits); err != nil || len(text) == 0 || len(text)%aes.BlockSize != 0 {
		return nil, fmt.Errorf("%w: want whole blocks of 32 hexadecimal digits", errContent)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("decrypt: %w", err)
	}
	cipher.NewCBCDecrypter(block, make([]byte, aes.BlockSize)).CryptBlocks(text, text)
	start := bytes.IndexAny(text, "|]")
	if start < 0 {
		return nil, errKey
	}
	if text[start] == '|' {
		start++
	}
	return text[start:], nil
}

// seal encrypts an answer, with the time that an encrypted message must have.
func (h header) seal(token string, key []byte, now time.Time) (string, error) {
	text := "]_" + now.UTC().Format(timeLayout)
	// A whole block where none is needed: there is always padding.
	pad := aes.BlockSize - len(text)%aes.BlockSize
	plain := append(bytes.Repeat([]byte{'0'}, pad), text...)
	block, err := aes.NewCipher(key)
	if err != nil {
		return "", fmt.Errorf("encrypt: %w", err)
	}
	cipher.NewCBCEncrypter(block, make([]byte, aes.BlockSize)).CryptBlocks(plain, plain)
	return fmt.Sprintf(`"*%s"%s%s%s#%s[%X`, token, h.seq, h.receiver, h.line, h.account, plain), nil
}
