package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// floor returns the median time of an fdatasync behind the overwriting of 4 KiB
// in place: the least that any durable event can cost in dir.
func floor(dir string) (time.Duration, error) {
	const times = 60
	p, err := openProbe(dir)
	if err != nil {
		return 0, err
	}
	defer p.close()
	took := make(timings, 0, times)
	for range times {
		d, err := p.sync()
		if err != nil {
			return 0, err
		}
		took = append(took, d)
	}
	return took.at(0.5), nil
}

// probe is a small file that is overwritten to see what the disk takes.
type probe struct {
	file *os.File
	buf  []byte
}

// The file of a probe.
const (
	probePage  = 4096 // bytes written at a time
	probePages = 64
)

func openProbe(dir string) (*probe, error) {
	file, err := os.CreateTemp(dir, "floor")
	if err != nil {
		return nil, fmt.Errorf("measure fdatasync: %w", err)
	}
	p := &probe{file, make([]byte, probePage*probePages)}
	_, err = file.Write(p.buf)
	if err = errors.Join(err, file.Sync()); err != nil {
		p.close()
		return nil, fmt.Errorf("measure fdatasync: %w", err)
	}
	return p, nil
}

// sync times an fdatasync behind the overwriting of a page in place.
func (p *probe) sync() (time.Duration, error) {
	p.buf[0]++
	start := time.Now()
	_, err := p.file.WriteAt(p.buf[:probePage], int64(rand.IntN(probePages))*probePage)
	if err = errors.Join(err, syscall.Fdatasync(int(p.file.Fd()))); err != nil {
		return 0, fmt.Errorf("measure fdatasync: %w", err)
	}
	return time.Since(start), nil
}

func (p *probe) close() {
	p.file.Close()
	os.Remove(p.file.Name())
}

// disk is where bytes are counted: an ext4 of our own on a loop device, whose
// sectors tell what really goes to flash, journal and all. /proc/PID/io reads two
// to three times too much where pages are gathered into large folios.
type disk struct {
	dir    string // on the disk
	method string // "sectors", or "spool" when only our own count is to be had
	stat   string // the loop device's statistics
	undo   []func() error
}

// diskSize of the private filesystem, bytes; the file behind it is sparse.
const diskSize = 1 << 30

// openDisk makes a private filesystem in a file in dir. Without the rights or the
// tools for that it returns dir itself, with method "spool", and says why.
func openDisk(ctx context.Context, dir string) (d *disk, why error) {
	d = &disk{method: "sectors"}
	if why := d.make(ctx, dir); why != nil {
		return &disk{dir: dir, method: "spool"}, errors.Join(why, d.close())
	}
	return d, nil
}

func (d *disk) make(ctx context.Context, dir string) error {
	if os.Geteuid() != 0 {
		return errors.New("a loop device needs root")
	}
	path := os.Getenv("PATH") + ":/usr/sbin:/sbin"
	command := func(ctx context.Context, name string, args ...string) (string, error) {
		cmd := exec.CommandContext(ctx, "env", append([]string{"PATH=" + path, name}, args...)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("%s: %w: %s", name, err, out)
		}
		return strings.TrimSpace(string(out)), nil
	}
	image := filepath.Join(dir, "disk.img")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		return err
	}
	d.undo = append(d.undo, func() error { return os.Remove(image) })
	if err := os.Truncate(image, diskSize); err != nil {
		return err
	}
	// Nothing may be left to be initialised in the background: that counts, too.
	if _, err := command(ctx, "mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", image); err != nil {
		return err
	}
	device, err := command(ctx, "losetup", "--find", "--show", image)
	if err != nil {
		return err
	}
	after := context.WithoutCancel(ctx)
	d.undo = append(d.undo, func() error { _, err := command(after, "losetup", "-d", device); return err })
	mount := filepath.Join(dir, "disk")
	if err := os.MkdirAll(mount, 0o700); err != nil {
		return err
	}
	if _, err := command(ctx, "mount", "-t", "ext4", "-o", "noatime", device, mount); err != nil {
		return err
	}
	d.undo = append(d.undo, func() error { _, err := command(after, "umount", mount); return err })
	d.dir, d.stat = mount, filepath.Join("/sys/block", filepath.Base(device), "stat")
	return nil
}

// written returns the bytes that the device has written, everything that was
// handed to the filesystem included. s is the store that wrote them: without a
// device only ours knows.
func (d *disk) written(s store) (bytes uint64, known bool, err error) {
	if d.method != "sectors" {
		o, ok := s.(*ourStore)
		if !ok {
			return 0, false, nil
		}
		return o.s.Stats().Written, true, nil
	}
	dir, err := os.Open(d.dir)
	if err != nil {
		return 0, false, fmt.Errorf("sync disk: %w", err)
	}
	defer dir.Close()
	if err := unix.Syncfs(int(dir.Fd())); err != nil {
		return 0, false, fmt.Errorf("sync disk: %w", err)
	}
	text, err := os.ReadFile(d.stat)
	if err != nil {
		return 0, false, fmt.Errorf("count sectors: %w", err)
	}
	const written, sector = 6, 512 // the seventh number: Documentation/block/stat.rst
	fields := strings.Fields(string(text))
	if len(fields) <= written {
		return 0, false, fmt.Errorf("count sectors: %s says %q", d.stat, text)
	}
	n, err := strconv.ParseUint(fields[written], 10, 64)
	return n * sector, true, err
}

func (d *disk) close() (err error) {
	for len(d.undo) > 0 {
		last := len(d.undo) - 1
		err = errors.Join(err, d.undo[last]())
		d.undo = d.undo[:last]
	}
	return err
}
