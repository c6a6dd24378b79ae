package broker

import (
	"bufio"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/longan-edge/longan"
)

// Passwords is an Authenticator that reads a file with one line per device:
//
//	621202104-01:$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy
//
// that is the device id and the bcrypt hash of its password; empty lines and
// lines that begin with # are passed over. The file is looked at again whenever
// a device connects, and read again when it has changed: a new line counts at
// once. A device whose line is gone stays connected until its connection ends.
type Passwords struct {
	path string
	log  *slog.Logger
	key  [32]byte      // of the memory of good passwords, random
	work chan struct{} // bounds the bcrypt computations at once

	mu     sync.Mutex
	stamp  fileStamp
	hashes map[longan.DeviceID]string
	good   map[longan.DeviceID][sha256.Size]byte // HMAC of hash and password that matched
}

// fileStamp tells whether a file was changed.
type fileStamp struct {
	modified time.Time
	size     int64
}

const (
	bcryptCost   = 10 // about 60 ms: 199 boards that come back at once are let in within seconds
	bcryptAtOnce = 2  // leaves the other cores to the ingest
	bcryptWait   = 15 * time.Second
	maxPasswords = 1 << 20 // lines
)

// OpenPasswords reads the file, or returns an error that names the line.
func OpenPasswords(path string, log *slog.Logger) (*Passwords, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	p := &Passwords{path: path, log: log, work: make(chan struct{}, bcryptAtOnce)}
	rand.Read(p.key[:]) // never fails
	if err := p.reload(); err != nil {
		return nil, err
	}
	return p, nil
}

// Authenticate implements Authenticator.
func (p *Passwords) Authenticate(device longan.DeviceID, password []byte) bool {
	p.mu.Lock()
	if err := p.reload(); err != nil {
		p.log.Error("password file is not read, the last good one stands", "err", err)
	}
	hash, known := p.hashes[device]
	mac := p.mac(hash, password)
	good, seen := p.good[device]
	p.mu.Unlock()
	if !known {
		return false
	}
	if seen && hmac.Equal(good[:], mac[:]) {
		return true
	}
	if !p.compare(hash, password) {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hashes[device] == hash {
		p.good[device] = mac
	}
	return true
}

// compare computes bcrypt, a few at once; who waits too long is refused and
// comes again.
func (p *Passwords) compare(hash string, password []byte) bool {
	timer := time.NewTimer(bcryptWait)
	defer timer.Stop()
	select {
	case p.work <- struct{}{}:
	case <-timer.C:
		return false
	}
	defer func() { <-p.work }()
	return bcrypt.CompareHashAndPassword([]byte(hash), password) == nil
}

func (p *Passwords) mac(hash string, password []byte) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, p.key[:])
	fmt.Fprintf(h, "%d:%s", len(hash), hash)
	h.Write(password)
	h.Sum(sum[:0])
	return sum
}

// reload reads the file where it has changed. An error is returned once for
// each change, and leaves what was read before. p.mu is held, or p is not shared
// yet.
func (p *Passwords) reload() error {
	info, err := os.Stat(p.path)
	if err != nil {
		if p.hashes != nil && p.stamp == (fileStamp{}) {
			return nil // told already
		}
		p.stamp = fileStamp{}
		return fmt.Errorf("read passwords: %w", err)
	}
	stamp := fileStamp{info.ModTime(), info.Size()}
	if p.hashes != nil && stamp == p.stamp {
		return nil
	}
	p.stamp = stamp
	f, err := os.Open(p.path)
	if err != nil {
		return fmt.Errorf("read passwords: %w", err)
	}
	defer f.Close()
	hashes, err := parsePasswords(f)
	if err != nil {
		return fmt.Errorf("read passwords %s: %w", p.path, err)
	}
	p.hashes, p.good = hashes, map[longan.DeviceID][sha256.Size]byte{}
	return nil
}

// parsePasswords reads the lines of a password file.
func parsePasswords(r io.Reader) (map[longan.DeviceID]string, error) {
	hashes := map[longan.DeviceID]string{}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		id, hash, found := strings.Cut(line, ":")
		if !found {
			return nil, fmt.Errorf("line %d: want device:hash, as longan-cloud passwd writes it", n)
		}
		device, err := longan.ParseDeviceID(id)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if _, err := bcrypt.Cost([]byte(hash)); err != nil {
			return nil, fmt.Errorf("line %d: hash of %s: %w", n, device, err)
		}
		if _, twice := hashes[device]; twice {
			return nil, fmt.Errorf("line %d: %s a second time: delete one of the lines", n, device)
		}
		if len(hashes) == maxPasswords {
			return nil, fmt.Errorf("line %d: more than %d devices", n, maxPasswords)
		}
		hashes[device] = hash
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	return hashes, nil
}
