package osdp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/longan-edge/longan/drivers"
)

// Defaults for what is left zero.
const (
	DefaultBaud    = 9600
	DefaultPoll    = 100 * time.Millisecond
	DefaultTimeout = 200 * time.Millisecond // 5.7 of the standard
	DefaultRetries = 2
)

// Config is what a Panel needs to know. Zero values take the defaults.
type Config struct {
	Mode    drivers.SerialMode // of the line; only its Baud is to choose
	Poll    time.Duration      // between two commands to one reader that is online
	Retries int                // how often a command is repeated before its reader is silent; negative is never
	// CardKey is the key that card numbers are hashed with, of 16 bytes or more.
	// It is the board's own and never leaves it.
	CardKey []byte
	Readers []Reader // at least one
	// Rand gives the random numbers of the handshakes; nil is crypto/rand.
	Rand io.Reader
}

// Reader is one reader on the line.
type Reader struct {
	Address int // 0 to 126
	// Online is the name of the reader's own point: Normal while it talks, Fault
	// when it is silent while others on the line talk. Its cards and keys happen
	// there.
	Online string
	Tamper string // name of the point for its tamper switch; "" is none
	Power  string // name of the point for its power supply; "" is none
	Inputs []Input

	// Key is the secure channel's base key (SCBK), of 16 bytes, the reader's own.
	Key []byte
	// Installation lets the channel use the default key that everybody knows
	// (SCBK-D) instead, while a line is being set up. The panel says so.
	Installation bool
	// Plain does without a secure channel, for readers that have none. The panel
	// says so. Without any of the three a reader is refused.
	Plain bool

	Checksum bool          // 8-bit checksum instead of the CRC, for readers that have no CRC
	Timeout  time.Duration // for the first byte of an answer

	LED    string // name of the output that lights the reader's LED; "" is none
	Color  Color  // of the LED when on; zero is Green
	Buzzer string // name of the output that sounds its buzzer; "" is none
}

// Input is a point at an input of a reader.
type Input struct {
	Point  string
	Number int // 1-based: 1 is in1
	// NormallyClosed: the input is active at rest.
	NormallyClosed bool
}

var bauds = []int{9600, 19200, 38400, 57600, 115200, 230400}

// check returns the configuration with its defaults, or what is wrong with it.
func (c Config) check() (Config, error) {
	if c.Mode.Baud == 0 {
		c.Mode.Baud = DefaultBaud
	}
	if !slices.Contains(bauds, c.Mode.Baud) {
		return c, fmt.Errorf("baud %d: OSDP has %v", c.Mode.Baud, bauds)
	}
	if p := c.Mode.Parity; p != 0 && p != drivers.NoParity || c.Mode.StopBits > 1 {
		return c, errors.New("OSDP has no parity and one stop bit")
	}
	if c.Poll <= 0 {
		c.Poll = DefaultPoll
	}
	if c.Retries == 0 {
		c.Retries = DefaultRetries
	}
	c.Retries = max(c.Retries, 0)
	if len(c.Readers) == 0 {
		return c, errors.New("no readers: name at least one")
	}
	c.Readers = slices.Clone(c.Readers)
	points, outputs := map[string]bool{}, map[string]bool{}
	for i := range c.Readers {
		r := &c.Readers[i]
		if err := r.check(); err != nil {
			return c, fmt.Errorf("reader %d: %w", r.Address, err)
		}
		if name, ok := claim(points, r.pointNames()); !ok {
			return c, fmt.Errorf("reader %d: two points have the name %q", r.Address, name)
		}
		if name, ok := claim(outputs, []string{r.LED, r.Buzzer}); !ok {
			return c, fmt.Errorf("reader %d: two outputs have the name %q", r.Address, name)
		}
	}
	return c, nil
}

func (r *Reader) check() error {
	if r.Address < 0 || r.Address >= broadcast {
		return errors.New("want an address of 0 to 126")
	}
	if r.Online == "" {
		return errors.New("its own point, online, has no name")
	}
	modes := 0
	for _, chosen := range []bool{len(r.Key) > 0, r.Installation, r.Plain} {
		if chosen {
			modes++
		}
	}
	switch {
	case modes != 1:
		return errors.New("want either a key, or the installation flag, or plain")
	case len(r.Key) > 0 && len(r.Key) != KeySize:
		return fmt.Errorf("a key of %d bytes: want %d", len(r.Key), KeySize)
	case bytes.Equal(r.Key, defaultKey()):
		return errors.New("the default key is public: use another one, or the installation flag for a while")
	}
	r.Key = bytes.Clone(r.Key)
	for _, in := range r.Inputs {
		if in.Point == "" || in.Number < 1 || in.Number > 255 {
			return fmt.Errorf("input %d: want a point and a number of 1 to 255", in.Number)
		}
	}
	r.Inputs = slices.Clone(r.Inputs)
	if r.Timeout <= 0 {
		r.Timeout = DefaultTimeout
	}
	if r.Color == 0 {
		r.Color = Green
	}
	return nil
}

// pointNames returns the names of all points, "" for those it doesn't have.
func (r *Reader) pointNames() []string {
	names := []string{r.Online, r.Tamper, r.Power}
	for _, in := range r.Inputs {
		names = append(names, in.Point)
	}
	return names
}

// claim adds names to those that are used, and stops at one that is already.
func claim(used map[string]bool, names []string) (twice string, ok bool) {
	for _, name := range names {
		if name != "" && used[name] {
			return name, false
		}
		used[name] = true
	}
	return "", true
}
