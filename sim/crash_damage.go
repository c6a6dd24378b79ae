package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
)

// The files of a spool, and what damages are done to them.
const (
	spoolFile    = "spool.db"
	identityFile = "identity.json"
)

// damages are the ways in which flash was seen to lose data.
var damages = []struct {
	name string
	file string
	do   func(rng *rand.Rand, content []byte) []byte // nil removes the file
}{
	{"truncated to nothing", spoolFile, func(*rand.Rand, []byte) []byte { return []byte{} }},
	{"truncated", spoolFile, func(rng *rand.Rand, b []byte) []byte { return b[:rng.IntN(len(b)+1)] }},
	{"page zeroed", spoolFile, zeroPage},
	{"byte flipped", spoolFile, flipByte},
	{"both meta pages garbage", spoolFile, func(rng *rand.Rand, b []byte) []byte {
		for i := range min(len(b), 2*4096) {
			b[i] = byte(rng.Uint32())
		}
		return b
	}},
	{"one meta page garbage", spoolFile, func(rng *rand.Rand, b []byte) []byte {
		page := rng.IntN(2) * 4096
		for i := page; i < min(len(b), page+4096); i++ {
			b[i] = byte(rng.Uint32())
		}
		return b
	}},
	{"spool removed", spoolFile, nil},
	{"identity removed", identityFile, nil},
	{"identity garbage", identityFile, flipByte},
	{"identity empty", identityFile, func(*rand.Rand, []byte) []byte { return []byte{} }},
}

func zeroPage(rng *rand.Rand, b []byte) []byte {
	if pages := len(b) / 4096; pages > 0 {
		page := rng.IntN(pages) * 4096
		clear(b[page : page+4096])
	}
	return b
}

func flipByte(rng *rand.Rand, b []byte) []byte {
	if len(b) > 0 {
		b[rng.IntN(len(b))] ^= byte(1 + rng.IntN(255))
	}
	return b
}

// damage does something to the files of a board that is off.
func (b *crashBoard) damage(rng *rand.Rand) error {
	d := damages[rng.IntN(len(damages))]
	path := filepath.Join(b.data, d.file)
	content, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil // a start that was cut short has not made it yet
	}
	if err != nil {
		return fmt.Errorf("damage %s: %w", d.file, err)
	}
	b.damages[d.name]++
	if d.do == nil {
		return os.Remove(path)
	}
	return os.WriteFile(path, d.do(rng, content), 0o600)
}

// smallDisk is a filesystem of a few hundred KiB that can be filled up.
type smallDisk struct{ dir string }

const smallDiskSize = "8m"

// mountSmallDisk mounts a filesystem in memory at dir. It returns an error that
// wraps errNoMount where this user may not.
func mountSmallDisk(dir string) (*smallDisk, error) {
	err := syscall.Mount("longan", dir, "tmpfs", 0, "size="+smallDiskSize)
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
		return nil, fmt.Errorf("%w: %w", errNoMount, err)
	}
	if err != nil {
		return nil, fmt.Errorf("mount small disk: %w", err)
	}
	return &smallDisk{dir}, nil
}

func (d *smallDisk) filler() string { return filepath.Join(d.dir, "filler") }

// fill takes all space that is left.
func (d *smallDisk) fill() error {
	f, err := os.OpenFile(d.filler(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("fill disk: %w", err)
	}
	defer f.Close()
	for size := 64 << 10; size > 0; {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			return fmt.Errorf("fill disk: %w", err)
		}
	}
	return nil
}

// free gives the space back.
func (d *smallDisk) free() error {
	if err := os.Remove(d.filler()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("free disk: %w", err)
	}
	return nil
}

// unmount takes the filesystem away. There is nothing to be done about a
// failure: it goes with the machine.
func (d *smallDisk) unmount() { _ = syscall.Unmount(d.dir, syscall.MNT_DETACH) }
