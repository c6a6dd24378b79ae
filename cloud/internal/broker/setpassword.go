package broker

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/crypto/bcrypt"

	"github.com/longan-edge/longan"
)

// SetPassword writes the device's line into the password file at path, in the
// place of its former one, and makes the file where it is missing. The file is
// replaced as a whole, so that a running city never reads half of it.
func SetPassword(path string, device longan.DeviceID, password []byte) error {
	return setPassword(path, device, password, bcryptCost)
}

func setPassword(path string, device longan.DeviceID, password []byte, cost int) error {
	hash, err := bcrypt.GenerateFromPassword(password, cost)
	if err != nil {
		return fmt.Errorf("set password of %s: %w", device, err)
	}
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("set password of %s: %w", device, err)
	}
	if _, err := parsePasswords(bytes.NewReader(old)); err != nil {
		return fmt.Errorf("set password of %s: %s: %w", device, path, err)
	}
	var out bytes.Buffer
	written := false
	for line := range bytes.Lines(old) {
		if bytes.HasPrefix(bytes.TrimSpace(line), []byte(device+":")) {
			line = fmt.Appendf(nil, "%s:%s\n", device, hash)
			written = true
		}
		out.Write(line)
	}
	if !written {
		if out.Len() > 0 && !bytes.HasSuffix(out.Bytes(), []byte("\n")) {
			out.WriteByte('\n')
		}
		fmt.Fprintf(&out, "%s:%s\n", device, hash)
	}
	if err := replaceFile(path, out.Bytes()); err != nil {
		return fmt.Errorf("set password of %s: %w", device, err)
	}
	return nil
}

// replaceFile puts a file of that content in the place of the one at path.
func replaceFile(path string, content []byte) error {
	mode := fs.FileMode(0o600)
	was, err := os.Stat(path)
	if err == nil {
		mode = was.Mode().Perm()
	}
	tmp := path + ".new"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil && was != nil {
		err = keepOwner(f, was) // or the city's own user could read it no more
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		os.Remove(tmp)
		return err
	}
	return os.Rename(tmp, path)
}
