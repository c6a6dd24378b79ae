package desk

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/longan-edge/longan"
)

// Exported is what an export holds.
type Exported struct {
	Events uint64 `json:"events"`
	Bytes  int64  `json:"bytes"`
}

// Export writes all events of the book that the city has not acknowledged to w,
// a batch at a time. What is accepted meanwhile may come or not; the events stay
// in the spool.
func Export(ctx context.Context, book Book, head longan.ExportHead, w io.Writer) (out Exported, err error) {
	st, err := book.Stat(ctx)
	if err != nil {
		return out, err
	}
	counted := &counter{w: w}
	x, err := longan.NewExportWriter(counted, head)
	if err != nil {
		return out, fmt.Errorf("write export: %w", err)
	}
	for _, lane := range longan.Lanes {
		for _, e := range st.Epochs {
			if e.Lanes[lane] == nil {
				continue
			}
			b := longan.Batch{Device: head.Device, Epoch: e.Epoch, Lane: lane, Oldest: e.Lanes[lane].Acked + 1}
			if err := exportLane(ctx, book, x, &b, e.Lanes[lane].Last); err != nil {
				return out, fmt.Errorf("export %s of epoch %s: %w", lane, e.Epoch, err)
			}
		}
	}
	if err := x.Close(); err != nil {
		return out, fmt.Errorf("write export: %w", err)
	}
	return Exported{x.Events(), counted.n}, nil
}

// exportLane writes what there is of a lane up to last, and little more.
func exportLane(ctx context.Context, book Book, x *longan.ExportWriter, b *longan.Batch, last uint64) error {
	for from := b.Oldest; from <= last; {
		records, err := book.Read(ctx, b.Epoch, b.Lane, from, maxRead)
		if err != nil {
			return err
		}
		if len(records) == 0 {
			return nil
		}
		raw := make([][]byte, len(records))
		for i, r := range records {
			raw[i] = r.JSON
		}
		if err := x.Batch(b, raw); err != nil {
			return err
		}
		from = records[len(records)-1].Seq + 1
	}
	return nil
}

// counter counts the bytes of a writer.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// WriteFile writes a file by fill, so that under path there is all of it, on the
// disk, or nothing new. Without force it returns an error that wraps fs.ErrExist
// when there is a file already.
func WriteFile(path string, force bool, fill func(io.Writer) error) (err error) {
	if _, err := os.Lstat(path); err == nil && !force {
		return fmt.Errorf("write %s: %w", path, fs.ErrExist)
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".part-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	buffered := bufio.NewWriterSize(f, 64<<10)
	if err = fill(buffered); err == nil {
		err = errors.Join(buffered.Flush(), f.Sync())
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, errors.Join(err, os.Remove(f.Name())))
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		err = nil // some filesystems of sticks have nothing to sync here
	}
	return errors.Join(err, d.Close())
}
