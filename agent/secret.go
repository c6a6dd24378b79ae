package agent

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// cardKeyFile holds the key that card numbers and scanned codes are hashed with.
// The board makes it itself, and it never leaves the board: with a new one the
// same card has another hash.
const cardKeyFile = "card.key"

const cardKeySize = 32 // bytes

// cardKey returns the board's key for cards, made where there is none yet.
func cardKey(dir string) ([]byte, error) {
	path := filepath.Join(dir, cardKeyFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		key := make([]byte, cardKeySize)
		rand.Read(key) // never fails
		return key, writeSecret(path, hex.EncodeToString(key)+"\n")
	}
	if err != nil {
		return nil, fmt.Errorf("read key for cards: %w", err)
	}
	key, err := hex.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil || len(key) != cardKeySize {
		return nil, fmt.Errorf("read key for cards: %s does not hold %d hex digits: delete it, and the board makes a new one", path, 2*cardKeySize)
	}
	return key, nil
}

// writeSecret writes a file that only its owner reads, whole or not at all.
func writeSecret(path, text string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("write %s: %w", filepath.Base(path), err)
		}
	}()
	f, err := os.CreateTemp(filepath.Dir(path), ".secret-") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if _, err := f.WriteString(text); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// firstLine returns the first line of a file with a secret.
func firstLine(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	if line = strings.TrimSpace(line); line == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return line, nil
}

// pairs returns the lines "name value" of a file, without empty ones and comments.
func pairs(path string) (map[string]string, error) {
	all := map[string]string{}
	if path == "" {
		return all, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(line, " ")
		if value = strings.TrimSpace(value); !ok || value == "" {
			return nil, fmt.Errorf("%s:%d: want a name, a space and a value", path, n)
		}
		all[name] = value
	}
	return all, lines.Err()
}
